package kube

import (
	"context"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// A Reading is the outcome of one question for the Roll.
type Reading struct {
	Endpoint string
	// Sent is when the question was sent: before anything of it happened.
	Sent timing.Instant
	// Roll is evidence if and only if Err is nil.
	Roll roll.Roll
	// Broken, if not empty, says why the Roll's previous history ended. Such a
	// Roll is good for petting.
	Broken string
	// Err is nil or a *Failure.
	Err error
}

// ReadRoll asks one endpoint for the Roll: the one that answered last. If it
// does not answer with a Roll, the next question goes to the next endpoint.
func (a *API) ReadRoll(ctx context.Context) Reading {
	e, i := a.next()
	r := a.readRoll(ctx, e)
	if KindOf(r.Err) != Unknown || r.Err == nil {
		a.settle(i, r.Err == nil)
	}
	return r
}

// AskAll asks every endpoint for the Roll at once (A5) and hands each outcome
// to each, one at a time, as it comes. It returns after the last one, or at
// once after ctx ends: then the outcomes that are left are Failures of Kind
// Unknown. The endpoint whose Roll came first is asked from then on.
func (a *API) AskAll(ctx context.Context, each func(Reading)) {
	type outcome struct {
		reading Reading
		index   int64
	}
	outcomes := make(chan outcome, len(a.endpoints))
	for i, e := range a.endpoints {
		go func() { outcomes <- outcome{a.readRoll(ctx, e), int64(i)} }()
	}
	won := false
	for range a.endpoints {
		o := <-outcomes
		if o.reading.Err == nil && !won {
			won = true
			a.settle(o.index, true)
		}
		each(o.reading)
	}
}

func (a *API) readRoll(ctx context.Context, e *endpoint) Reading {
	r := Reading{Endpoint: e.name, Sent: a.now()}
	type answer struct {
		roll   roll.Roll
		broken string
	}
	got, err := call(ctx, e, a.cfg.Deadline, "read roll", func(ctx context.Context) (answer, error) {
		obj, err := e.api.Rolls.Get(ctx, v1alpha1.RollName)
		if err != nil {
			return answer{}, err
		}
		pure, err := obj.Spec.Roll()
		return answer{pure, obj.Spec.Broken}, err
	})
	r.Roll, r.Broken, r.Err = got.roll, got.broken, err
	return r
}

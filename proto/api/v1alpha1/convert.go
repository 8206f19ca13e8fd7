package v1alpha1

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// Roll returns the pure form of s. It returns an error for a Roll that no
// controller writes: such a Roll is no evidence of anything. Whether s.Broken
// pauses fencing is the caller's business; a broken Roll is good for petting.
func (s RollSpec) Roll() (roll.Roll, error) {
	r := roll.Roll{History: s.History, Serial: s.Serial, PollEvery: s.PollEvery.Duration}
	for _, e := range s.Epochs {
		if e.State != EpochActive && e.State != EpochRetiring {
			return roll.Roll{}, fmt.Errorf("epoch %d has the unknown state %q", e.Number, e.State)
		}
		r.Epochs = append(r.Epochs, roll.Epoch{
			Number:    e.Number,
			Retiring:  e.State == EpochRetiring,
			Witnesses: slices.Clone(e.Witnesses),
		})
	}
	for _, e := range s.Entries {
		r.Entries = append(r.Entries, roll.Entry{
			Node: e.Node, UID: e.NodeUID, Boot: e.BootID, Fence: e.Fence, State: stateOf(e.State),
		})
	}
	if err := r.Validate(); err != nil {
		return roll.Roll{}, err
	}
	return r, nil
}

// RollSpecOf returns r as it is written to the API. Broken is left empty.
func RollSpecOf(r roll.Roll) RollSpec {
	s := RollSpec{History: r.History, Serial: r.Serial, PollEvery: metav1.Duration{Duration: r.PollEvery}}
	for _, e := range r.Epochs {
		state := EpochActive
		if e.Retiring {
			state = EpochRetiring
		}
		s.Epochs = append(s.Epochs, Epoch{Number: e.Number, State: state, Witnesses: slices.Clone(e.Witnesses)})
	}
	for _, e := range r.Entries {
		s.Entries = append(s.Entries, RollEntry{
			Node: e.Node, NodeUID: e.UID, BootID: e.Boot, Fence: e.Fence, State: e.State.String(),
		})
	}
	return s
}

// stateOf returns the state of that name; an unknown one is Unlisted, which no
// entry may have.
func stateOf(name string) roll.State {
	for _, s := range []roll.State{roll.Suspected, roll.Withheld} {
		if name == s.String() {
			return s
		}
	}
	return roll.Unlisted
}

// Pure returns the promise from which a wait may be computed. That of an
// unarmed node is the zero one, whatever else it says. It returns an error for
// an armed promise that no agent makes; then the node cannot be fenced on time.
func (p Promise) Pure() (timing.Promise, error) {
	if !p.Armed {
		return timing.Promise{}, nil
	}
	t := timing.Promise{
		Armed:    true,
		RollLife: p.RollLife.Duration,
		PetDelay: p.PetDelay.Duration,
		Timeout:  p.Timeout.Duration,
		Kappa:    int(p.Kappa),
		Ungated:  int(p.Ungated),
	}
	if err := t.Validate(); err != nil {
		return timing.Promise{}, err
	}
	return t, nil
}

// PromiseOf returns t as it is written to the API.
func PromiseOf(t timing.Promise) Promise {
	if !t.Armed {
		return Promise{}
	}
	return Promise{
		Armed:    true,
		RollLife: metav1.Duration{Duration: t.RollLife},
		PetDelay: metav1.Duration{Duration: t.PetDelay},
		Timeout:  metav1.Duration{Duration: t.Timeout},
		Kappa:    int32(t.Kappa),
		Ungated:  int32(t.Ungated),
	}
}

// Resolve returns base with the fields of t in place of its own. The result is
// not validated: timing.Profile.Validate says which inequality fails.
func (t Timing) Resolve(base timing.Profile) timing.Profile {
	duration := func(to *time.Duration, from *metav1.Duration) {
		if from != nil {
			*to = from.Duration
		}
	}
	count := func(to *int, from *int32) {
		if from != nil {
			*to = int(*from)
		}
	}
	duration(&base.Heartbeat, t.Heartbeat)
	count(&base.Misses, t.Misses)
	duration(&base.RollInterval, t.RollInterval)
	duration(&base.RollLife, t.RollLife)
	duration(&base.RealTimeout, t.RealTimeout)
	count(&base.GateReads, t.GateReads)
	duration(&base.PetDelay, t.PetDelay)
	duration(&base.ResetLatency, t.ResetLatency)
	duration(&base.Drain, t.Drain)
	duration(&base.RejoinGuard, t.RejoinGuard)
	duration(&base.ShutdownTimeout, t.ShutdownTimeout)
	return base
}

// TimingOf returns p with every field set, so that an agent needs to know no
// profile by name.
func TimingOf(p timing.Profile) Timing {
	duration := func(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }
	count := func(n int) *int32 { return new(int32(n)) }
	return Timing{
		Heartbeat:       duration(p.Heartbeat),
		Misses:          count(p.Misses),
		RollInterval:    duration(p.RollInterval),
		RollLife:        duration(p.RollLife),
		RealTimeout:     duration(p.RealTimeout),
		GateReads:       count(p.GateReads),
		PetDelay:        duration(p.PetDelay),
		ResetLatency:    duration(p.ResetLatency),
		Drain:           duration(p.Drain),
		RejoinGuard:     duration(p.RejoinGuard),
		ShutdownTimeout: duration(p.ShutdownTimeout),
	}
}

package world

import (
	"errors"
	"time"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/agent/seam"
	"github.com/picket-dev/picket/proto/timing"
)

type instant = timing.Instant

const (
	holderPoll     = time.Second
	holderPatience = 2 * time.Second
)

// A wish is what a verdict wants of the holder.
type wish struct {
	order    uint64
	mode     decide.HoldMode
	timeout  time.Duration
	petUntil instant
}

// A keeper keeps the holder as the verdicts wish, like the daemon's.
type keeper struct {
	wish, done wish
	said       decide.Held
	known      bool
	since      time.Duration // since when the holder cannot be reached
	planned    bool          // a turn is
	turn, poll func()
}

// keep makes what the keeper does again and again.
func (a *agent) keep() {
	serve := func() {
		a.keeper.planned = false
		a.serveHolder()
	}
	poll := func() {
		a.serveHolder()
		if a.publisher.acked && a.publisher.clean != a.m.clean() {
			a.publish()
		}
		a.m.after(holderPoll, a.keeper.poll)
	}
	a.keeper.turn = func() { a.attend(serve) }
	a.keeper.poll = func() { a.attend(poll) }
}

// want takes a verdict's wish.
func (a *agent) want(v *decide.Verdict) {
	w := wish{v.Order, v.Hold, v.Timeout, v.PetUntil}
	if w == a.keeper.wish {
		return
	}
	a.keeper.wish = w
	if !a.keeper.planned {
		a.keeper.planned = true
		a.m.after(a.m.upTo(a.m.Hop/16)+time.Millisecond, a.keeper.turn)
	}
}

// serveHolder carries out the present wish and reports what changed.
func (a *agent) serveHolder() {
	k := &a.keeper
	h := a.m.holder
	if !h.runs() {
		if a.m.now-k.since >= holderPatience {
			a.report(decide.Held{Order: k.done.order, Err: "picket-holder does not answer"}, instant{})
		}
		return
	}
	var s seam.Status
	h.core.Report(&s)
	var err error
	if q, ok := k.command(&s); ok {
		s, err = h.serve(q)
		if a.m.holder != h || a.m.agent != a {
			return
		}
	}
	if err == nil {
		k.done = k.wish
	}
	held := a.heldOf(&s)
	held.Order = k.done.order
	switch {
	case errors.Is(err, seam.ErrExpired):
	case err != nil:
		held.Err = err.Error()
	default:
		k.since = a.m.now
	}
	a.report(held, s.PetUntil)
}

// report tells the core what changed. Only a core that has heard nothing yet
// needs the deadline.
func (a *agent) report(h decide.Held, until instant) {
	k := &a.keeper
	said := h
	if !k.known {
		h.PetUntil = until
		k.known = h.Mode != decide.HoldUnknown
	} else if said == k.said {
		return
	}
	k.said = said
	a.step(h)
}

// command returns the one request, if any, that leads to the wish.
func (k *keeper) command(s *seam.Status) (seam.Request, bool) {
	w := k.wish
	q := seam.Request{Timeout: w.timeout, PetUntil: w.petUntil}
	switch w.mode {
	case decide.HoldUnknown:
	case decide.HoldIdle:
		q.Op = seam.OpDisarm
		return q, s.State != seam.Idle
	case decide.HoldFree:
		q.Op = seam.OpFree
		return q, s.State == seam.Armed
	case decide.HoldArmed:
		switch {
		case s.State != seam.Armed:
			q.Op = seam.OpArm
		case w.timeout != s.Timeout && w.timeout != k.done.timeout:
			q.Op = seam.OpSetTimeout
		default:
			q.Op = seam.OpExtend
			return q, w.petUntil.After(s.PetUntil)
		}
		return q, true
	case decide.HoldCoast:
		q.Op = seam.OpCoast
		return q, s.State != seam.Coasting
	case decide.HoldLatched:
		q.Op = seam.OpLatch
		return q, true
	}
	return q, false
}

// heldOf says in the core's words what the holder said.
func (a *agent) heldOf(s *seam.Status) decide.Held {
	h := decide.Held{Timeout: s.Timeout, Device: decide.Device{
		Usable: true, Min: 100 * time.Millisecond, Granule: 100 * time.Millisecond,
		Kappa: a.m.Kappa, PetDelay: s.PetDelay, Ungated: a.m.Ungated,
	}}
	switch s.State {
	case seam.Idle:
		h.Mode = decide.HoldIdle
	case seam.Armed:
		h.Mode = decide.HoldArmed
	case seam.Free:
		h.Mode = decide.HoldFree
	case seam.Coasting:
		h.Mode = decide.HoldCoast
	case seam.Latched:
		h.Mode = decide.HoldLatched
	default:
	}
	if s.Failing {
		h.Err = s.LastError
	}
	return h
}

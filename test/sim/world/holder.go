package world

import (
	"time"

	"github.com/picket-dev/picket/agent/seam"
)

// A holder is one run of picket-holder: its real machine, and the loop that
// carries out what the machine decides.
type holder struct {
	m           *machine
	core        *seam.Machine
	adopted     bool // the device was handed on
	pausedUntil time.Duration
	due         time.Duration // the planned tick; 0: none
	stalled     bool          // an action is under way
	fn          func()        // a planned tick
}

// startHolder starts a holder, which finds what an earlier one has left.
func (m *machine) startHolder(adopted bool) {
	if m.holder != nil || !m.on || m.hung {
		return
	}
	h := &holder{m: m, adopted: adopted && m.dog.running}
	h.fn = func() {
		if h.due == m.now {
			h.due = 0
			h.tick()
		}
	}
	m.holder = h
	core, action, err := seam.Resume(m.run.marker, h.adopted, m.Profile.PetDelay, h.clock())
	h.core = core
	_ = h.carry(action, err)
	h.tick()
}

// stopHolder ends its process. A device that the service manager keeps stays
// open.
func (m *machine) stopHolder() {
	if m.holder != nil {
		m.holder, m.left = nil, m.now
		m.closeOne(&m.dog.open)
	}
}

func (h *holder) clock() (now instant) { return h.m.clock.read(h.m.now) }

// runs reports whether the holder is there and acts now.
func (h *holder) runs() bool {
	return h != nil && h.m.holder == h && !h.frozen() && !h.stalled && h.pausedUntil <= h.m.now
}

// frozen reports whether the kernel runs it no more.
func (h *holder) frozen() bool { return h.m.hung && !h.m.downs }

// pause stops the process for a while.
func (h *holder) pause(d time.Duration) {
	h.pausedUntil = max(h.pausedUntil, h.m.now+d)
	h.due = 0
	h.plan(h.pausedUntil)
}

// terminate is a SIGTERM, which a process that is stopped gets when it goes on.
func (h *holder) terminate() {
	switch {
	case h.m.holder != h || h.frozen():
	case h.pausedUntil > h.m.now:
		h.m.at(h.pausedUntil, h.terminate)
	default:
		_ = h.carry(h.core.Terminate(h.clock()))
		h.next()
	}
}

// tick is one turn of the holder's loop.
func (h *holder) tick() {
	if h.m.holder != h || h.frozen() || h.stalled {
		return
	}
	if h.pausedUntil > h.m.now {
		h.plan(h.pausedUntil)
		return
	}
	if h.m.gasp && h.waits() {
		return
	}
	action, err := h.core.Tick(h.clock())
	if action.Act == seam.Ping && h.m.stall > 0 && (!h.m.gasp || h.last()) {
		h.slow(action)
		return
	}
	_ = h.carry(action, err)
	h.next()
}

// waits lets the last tick before the deadline come as late as it can, and
// reports whether it does. Whoever extends the deadline meanwhile is in time.
func (h *holder) waits() bool {
	var s seam.Status
	h.core.Report(&s)
	if s.State != seam.Armed {
		return false
	}
	late := h.m.clock.until(h.m.now, s.PetUntil, true) - time.Millisecond
	if late <= h.m.now+time.Millisecond/2 || late > h.m.now+s.Timeout/4 {
		return false
	}
	h.due = 0
	h.plan(late)
	return true
}

// last reports whether the deadline passes within a moment.
func (h *holder) last() bool {
	var s seam.Status
	h.core.Report(&s)
	return h.m.clock.until(h.m.now, s.PetUntil, true) <= h.m.now+2*time.Millisecond
}

// next plans the next tick, as the machine wants it.
func (h *holder) next() {
	if h.m.holder != h {
		return
	}
	if at, ok := h.core.Next(); ok {
		h.plan(h.m.clock.until(h.m.now, at, true))
	}
}

func (h *holder) plan(at time.Duration) {
	if h.due != 0 && h.due <= at && h.due > h.m.now {
		return // that tick looks again
	}
	h.due = at
	h.m.at(at, h.fn)
}

// slow is a ping that needs long, from its check to its end. The kernel may
// hang right after it; where it took longer than δ, only once the clock was
// read again.
func (h *holder) slow(a seam.Action) {
	h.stalled = true
	h.m.run.marker = new(h.core.Record())
	d, hangs := h.m.stall, h.m.stallEnd
	h.m.stall = 0
	h.m.sick(d + h.m.Profile.RealTimeout)
	h.m.say(h.m.name, "its holder's next ping takes %v", d)
	h.m.after(d, func() {
		if h.m.holder != h || h.frozen() {
			return
		}
		h.stalled = false
		r := h.perform(a)
		if !hangs || d > h.m.Profile.PetDelay {
			_ = h.carry(h.core.Done(a, r, h.clock()))
		}
		if hangs && h.m.on && h.m.holder == h {
			h.m.say(h.m.name, "its kernel hangs")
			h.m.hang()
			h.m.closeLate()
			return
		}
		h.next()
	})
}

// closeLate ends the holder's process, in half of all cases, just before the dog
// expires.
func (m *machine) closeLate() {
	if m.Ungated == 0 || m.chance(1, 2) {
		return
	}
	boot := m.boot
	m.at(m.expires()-time.Millisecond, func() {
		if m.on && m.boot == boot {
			m.stopHolder()
		}
	})
}

// carry carries out an action and all that follow from it.
func (h *holder) carry(a seam.Action, err error) error {
	for {
		if h.m.run.marker == nil || *h.m.run.marker != h.core.Record() {
			h.m.run.marker = new(h.core.Record())
		}
		if a.Act == seam.Exit {
			h.m.stopHolder()
		}
		if a.Act == seam.Nothing || a.Act == seam.Exit {
			return err
		}
		r := h.perform(a)
		if h.m.holder != h {
			return err // the machine was reset
		}
		next, failure := h.core.Done(a, r, h.clock())
		if failure != nil {
			err = failure
		}
		a = next
	}
}

func (h *holder) perform(a seam.Action) (r seam.Result) {
	m := h.m
	switch a.Act {
	case seam.Ping:
		if m.broken {
			r.Err = errDog
			return r
		}
		m.ping()
	case seam.SetTimeout:
		r.Timeout, r.Err = m.setTimeout(a.Timeout)
	case seam.Open:
		r.Timeout, r.Err = m.openDog(a.Resume, h.adopted)
		r.Nowayout = m.Nowayout
		h.adopted = false
	case seam.Close:
		r.Err = m.closeDog()
	case seam.Reset:
		m.reset("sysrq, by its holder: " + h.core.Reason())
	case seam.Nothing, seam.Exit:
	}
	return r
}

// serve carries out one call of the agent.
func (h *holder) serve(q seam.Request) (s seam.Status, err error) {
	action, refused := h.core.Request(q, h.clock())
	err = h.carry(action, refused)
	if h.m.holder != h {
		return s, err
	}
	h.core.Report(&s)
	h.m.judgePromise()
	h.next()
	return s, err
}

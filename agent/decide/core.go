package decide

import (
	"fmt"
	"time"

	"github.com/picket-dev/picket/proto/timing"
)

// Config is what a core knows from its start.
type Config struct {
	Node string
	Boot string
	// Memory is what an earlier run of the agent stored in this boot; the zero
	// Memory if there was none.
	Memory Memory
	// Forbidden, if not empty, keeps the node unarmed: the host's reason, such
	// as a break-glass file, a container, a spent reboot budget.
	Forbidden Reason
	// Phase, in [0,1), spreads the questions of different nodes over time.
	Phase float64
}

// LateLoop is how late the own loop may be before its judgements about others
// are worth nothing (A9).
const LateLoop = 250 * time.Millisecond

// PeersLostAfter is how long fewer than H witnesses may answer, with the API
// fine, before the node becomes unarmed (A7).
const PeersLostAfter = 30 * time.Second

// Core decides for one node. It is not safe for concurrent use.
type Core struct {
	cfg  Config
	now  timing.Instant
	wake timing.Instant // when the last verdict wanted to be called again

	spec *Spec // nil until the controller has spoken

	evidence
	peers
	asks
	pledge

	leaving     bool // Stop was seen
	uninstall   bool
	shutdown    bool
	latched     bool
	latchReason Reason
	storageDown bool
	pruned      string
	refuted     string // the fence that this boot refutes

	last  Verdict
	notes []Note
}

// New returns a core that holds no roll, and waits for the holder's word on
// whether an earlier run of the agent left it armed.
func New(cfg Config, now timing.Instant) *Core {
	c := &Core{cfg: cfg, now: now, wake: now}
	if m := cfg.Memory.Roll; m != nil {
		c.history = m.History
		c.remember(m)
		c.announced = now // it was before it was read
		c.know(*m)
		c.knownSince = now
	}
	return c
}

// Step takes an event that is known at now and returns the verdict.
func (c *Core) Step(now timing.Instant, e Event) Verdict {
	late := c.wake.Age(now)
	c.now = now
	c.notes = nil
	if late > LateLoop {
		c.forgive(late)
	}
	c.take(e)
	c.decide()
	c.wake = c.last.Wake
	return c.last
}

// take records the event.
func (c *Core) take(e Event) {
	switch e := e.(type) {
	case Tick:
	case RollRead:
		c.rollRead(e)
	case RollMissed:
		c.rollMissed(e)
	case Stated:
		c.witnessStated(e)
	case Heard:
		c.neighbourHeard(e)
	case Link:
		c.linkChanged(e)
	case Guided:
		c.guided(e.Spec)
	case Held:
		c.holderSaid(e)
	case Published:
		c.published(e)
	case Pruned:
		c.pruned = e.Field
	case Stop:
		c.leaving = true
		c.uninstall = e.Uninstall
	case Shutdown:
		c.shutdown = true
	}
}

// guided takes the controller's word. A profile that breaks its own
// inequalities would reset every node that follows it, and is refused.
func (c *Core) guided(s Spec) {
	if c.spec == nil || s.Profile != c.spec.Profile {
		if err := s.Profile.Validate(); err != nil {
			c.note(A12, "profile refused: %v", err)
			if c.spec == nil {
				return
			}
			s.Profile = c.spec.Profile
		}
	}
	c.spec = &s
	c.setNeighbours(s.Neighbours)
	c.setWitnesses(s.Witnesses)
}

func (c *Core) linkChanged(l Link) {
	if l.Storage {
		c.storageDown = !l.Up
		c.note(A10, "storage link %s: %s", l.Interface, upDown(l.Up))
		return
	}
	if !l.Up {
		c.note(A5, "link %s went down: asking everybody at once", l.Interface)
		c.urgent = true
	}
}

// decide makes the verdict from all that is known now.
func (c *Core) decide() {
	if c.stale {
		c.tally() // A5: a witness asks itself, too, and may be enough
	}
	c.judgeNeighbours()
	c.judgeWitnesses()
	c.checkFencedBoot()
	c.checkWithheld()
	c.checkDeadline()
	c.speak()
	if c.holder && !c.latched {
		c.settle()
		c.extend()
	}
	c.last = c.verdict()
}

// speak applies A3 and A4 to a suspicion against the own boot.
func (c *Core) speak() {
	fence := c.refutes()
	if fence != "" && fence != c.refuted {
		if c.apiMissed {
			c.note(A4, "suspected by fence %s, and the API does not answer: going on while a roll allows it", fence)
		} else {
			c.note(A3, "suspected by fence %s: refuting it", fence)
		}
	}
	c.refuted = fence
}

// latch ends this boot's right to run (A1, A6, A14): nothing undoes it.
func (c *Core) latch(rule Rule, reason Reason, format string, args ...any) {
	if c.latched {
		return
	}
	c.latched = true
	c.latchReason = reason
	c.note(rule, format, args...)
}

// checkFencedBoot applies A14: the controller says that this very boot was
// fenced to the end, so its volumes have moved.
func (c *Core) checkFencedBoot() {
	if c.spec != nil && c.spec.FencedBoot != "" && c.spec.FencedBoot == c.cfg.Boot {
		c.latch(A14, ReasonFenced, "this boot was fenced and its volumes have moved: resetting")
	}
}

// checkWithheld applies A1 to what the API or a quorum of witnesses said.
func (c *Core) checkWithheld() {
	if c.gated() && c.known.Withholds(c.cfg.Boot) {
		c.latch(A1, ReasonWithheld, "the Roll withholds this boot at serial %d: resetting", c.known.Serial)
	}
}

// checkDeadline applies A6.
func (c *Core) checkDeadline() {
	if c.gated() && !c.coasting && c.granted.Passed(c.now) {
		c.latch(A6, ReasonDeadline, "no roll arrived in time: resetting")
	}
}

// verdict puts the newest state into words.
func (c *Core) verdict() (v Verdict) {
	phase, reason, message := c.stand()
	v = Verdict{
		Phase: phase, Reason: reason, Message: message,
		Order: c.order, Hold: c.hold(phase), Timeout: c.target(), PetUntil: c.granted,
		Memory: Memory{Roll: c.memory, Promise: c.enforced()},
		Relay:  c.relay(),
		Via:    c.via,
	}
	if v.Hold != c.last.Hold || v.Timeout != c.last.Timeout {
		c.order++
		v.Order = c.order
	}
	v.Done = c.done() // what is asked for only now is not done
	v.Status = c.status(phase, reason, message)
	v.Ask, v.Wake = c.schedule()
	v.Notes = c.notes
	return v
}

// status is what the NodeGuard must say.
func (c *Core) status(phase Phase, reason Reason, message string) (s Status) {
	s = Status{
		Phase: phase, Reason: reason, Message: message,
		Promise:            c.offer,
		Offer:              c.offers,
		History:            c.history,
		Refutes:            c.refuted,
		PeersLost:          c.peersLost(),
		HistoryBroken:      c.broken,
		StorageUnreachable: c.storageDown,
	}
	if !s.PeersLost {
		s.Lost = c.lost
	}
	if c.memory != nil && c.witness {
		s.Serial = c.memory.Serial
		s.Fences = c.fences
		s.Streak = c.streak
	}
	return s
}

func (c *Core) note(r Rule, format string, args ...any) {
	c.notes = append(c.notes, Note{Rule: r, What: fmt.Sprintf(format, args...)})
}

func upDown(up bool) string {
	if up {
		return "up"
	}
	return "down"
}

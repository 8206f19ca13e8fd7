package decide

import (
	"time"

	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// asks is when the core last asked whom.
type asks struct {
	apiAsked   timing.Instant
	apiPending bool // a read is under way; the adapter always reports its end
	peersAsked timing.Instant
	probed     timing.Instant
	urgent     bool // ask everybody at once (A5)
	stale      bool // no roll younger than L/2
}

// schedule returns the questions that are due now and when to look again.
func (c *Core) schedule() (Ask, timing.Instant) {
	if c.spec == nil {
		return c.scheduleFirst()
	}
	p := c.spec.Profile
	newest := c.freshest()
	c.noteStale(newest.IsZero() || newest.Age(c.now) >= c.life()/2)
	wake := c.now.Add(p.Heartbeat / 2)

	var ask Ask
	if due := c.apiAsked.Add(c.pollEvery()); due.Passed(c.now) || c.urgent || c.callsRoll() && c.ackedAt.After(c.apiAsked) {
		ask.API = !c.apiPending
	} else {
		wake = wake.Earlier(due)
	}
	if c.stale || c.urgent {
		// A5: at once, then again at the gate's pace, each node at its own phase.
		again := p.GateInterval() + time.Duration(c.cfg.Phase*float64(p.GateInterval()/2))
		if due := c.peersAsked.Add(again); due.Passed(c.now) || c.urgent {
			ask.Witnesses, ask.Neighbours = true, true
			ask.API, ask.Urgent = !c.apiPending, !c.apiPending
			c.peersAsked = c.now
		} else {
			wake = wake.Earlier(due)
		}
	} else if due := c.probed.Add(c.spec.ProbeEvery); due.Passed(c.now) {
		ask.Witnesses = true
	}
	c.urgent = false
	if ask.Witnesses {
		c.probed = c.now
	}
	if ask.API {
		c.apiAsked, c.apiPending = c.now, true
	}
	if c.gated() && !c.latched && !c.coasting {
		wake = wake.Earlier(c.granted)
	}
	if c.recovering() {
		wake = wake.Earlier(c.failed.Add(RearmAfter))
	}
	return ask, wake
}

// scheduleFirst polls the API once a second until the controller has spoken.
func (c *Core) scheduleFirst() (Ask, timing.Instant) {
	var ask Ask
	if c.apiAsked.Add(time.Second).Passed(c.now) && !c.apiPending {
		ask.API = true
		c.apiAsked, c.apiPending = c.now, true
	}
	return ask, c.now.Add(time.Second / 4)
}

// pollEvery is how often this agent reads the Roll: rarely in a large cluster,
// where relays keep it fresh, unless it has a duty or a doubt.
func (c *Core) pollEvery() time.Duration {
	p := c.spec.Profile
	entry := c.newest().Entry(c.cfg.Boot).State
	switch {
	case c.known.Gating() && c.witness, c.callsRoll():
		return p.GateInterval()
	case c.witness, len(c.lost) > 0, c.stale, entry != roll.Unlisted:
		return p.RollInterval
	}
	return max(p.RollInterval, c.known.PollEvery)
}

// callsRoll reports whether a handshake waits for a roll that is later than
// the acknowledgement.
func (c *Core) callsRoll() bool {
	waits := c.inUse.Harder(c.want) || c.shutdown && !c.coasting
	return waits && !c.ackedAt.IsZero() && !c.api.After(c.ackedAt)
}

// life is L as it counts: a longer one that is not adopted yet grants nothing.
func (c *Core) life() time.Duration {
	if c.gated() {
		return min(c.inUse.RollLife, c.spec.Profile.RollLife)
	}
	return c.spec.Profile.RollLife
}

// freshest returns the send time of the newest roll: for a node that is gated,
// of the newest that lets it pet.
func (c *Core) freshest() timing.Instant {
	if c.gated() {
		return c.permitted
	}
	return c.sent
}

func (c *Core) noteStale(stale bool) {
	if stale && !c.stale && !c.sent.IsZero() {
		c.note(A5, "no roll younger than L/2: asking witnesses, neighbours and the API")
	}
	c.stale = stale
}

package decide

import (
	"cmp"
	"strings"
	"time"

	"github.com/picket-dev/picket/proto/timing"
)

// RearmAfter is how long a node that is unarmed waits after its device failed
// before it arms again (A11). A device may fail only when it is armed, and look
// well as soon as it is let go: asked again at once, it would fail as often as
// the loop turns.
const RearmAfter = 10 * time.Second

// pledge is the node's promise and its way to change it: publish, call the
// roll, adopt (PROTOCOL.md §4). Whatever makes the node harder to fence is
// published first and used after a later roll; whatever makes it easier is
// used first and published after.
type pledge struct {
	inUse timing.Promise // what the holder enforces, at most
	want  timing.Promise // what the core is heading for
	offer timing.Promise // what the NodeGuard must say

	offers  uint64         // how many offers there were
	offered timing.Instant // since when the offer stands
	ackedAt timing.Instant // when its acknowledgement was here; zero: not yet

	granted  timing.Instant // petUntil: never moves back
	coasting bool           // the long timeout of a shutdown is in use

	order  uint64 // of the last verdict that asked the holder for something new
	held   Held   // the holder's last word
	holder bool   // the holder has spoken

	failed  timing.Instant // when the device last failed; zero: it never did
	failure string         // why

	asked, got time.Duration // a timeout that the driver rounded, and what it made of it

	reason Reason
	detail string
}

func (c *Core) holderSaid(e Held) {
	if e.Err != "" && c.held.Err == "" && c.holder {
		c.note(A11, "watchdog: %s", e.Err)
	}
	if e.Err != "" && c.holder {
		c.failed, c.failure = c.now, e.Err
	}
	c.held = e
	if e.Mode == HoldLatched {
		c.latch(A6, ReasonDeadline, "the holder has latched")
	}
	if !c.holder && e.Mode != HoldUnknown {
		c.holder = true
		c.resume()
	}
	if e.Mode == HoldArmed && c.obeyed() && (e.Timeout != c.last.Timeout || c.asked == c.last.Timeout) {
		c.asked, c.got = c.last.Timeout, e.Timeout
	}
}

// resume goes on where an earlier run of the agent left the holder. If that
// run's promise is lost, nobody knows what the NodeGuard says: the new one
// extends nothing, becomes unarmed by the handshake and arms again.
func (c *Core) resume() {
	switch c.held.Mode {
	case HoldCoast:
		c.shutdown, c.coasting = true, true
	case HoldArmed:
	case HoldUnknown, HoldIdle, HoldFree, HoldLatched:
		return
	}
	c.inUse = c.cfg.Memory.Promise
	if !c.inUse.Armed {
		c.inUse = timing.Promise{Armed: true} // easier than anything, and true of nothing
	}
	c.granted = c.held.PetUntil
	c.enough, c.quorate, c.since = true, true, c.now
	if c.spec != nil {
		c.setWitnesses(c.spec.Witnesses)
	}
	c.note(A2, "the holder is still gating: going on under %s", describe(c.inUse))
}

// obeyed reports whether the holder's last word follows the last wish of this
// run of the agent: before the first one, nothing is confirmed.
func (c *Core) obeyed() bool {
	return c.order != 0 && c.held.Order == c.order && c.held.Err == ""
}

// published takes an acknowledgement, if it is of the offer that stands: one
// that was sent before, or that says something else, acknowledges nothing.
func (c *Core) published(e Published) {
	if c.offered.After(e.Sent) {
		return
	}
	if c.announced.IsZero() {
		c.announced = c.now
	}
	if e.Status.Promise == c.offer && c.ackedAt.IsZero() {
		c.ackedAt = c.now
	}
}

// propose puts a promise on offer. A new offer needs a new acknowledgement,
// even if the same promise was acknowledged earlier: a write whose reply was
// lost may have come between.
func (c *Core) propose(p timing.Promise) {
	if p != c.offer || c.offered.IsZero() {
		c.offer = p
		c.repropose()
	}
}

// repropose makes every acknowledgement so far worth nothing.
func (c *Core) repropose() {
	c.offers++
	c.offered = c.now
	c.ackedAt = timing.Instant{}
}

// enforced returns what the holder may be enforcing: until it has spoken, what
// an earlier run of the agent stored.
func (c *Core) enforced() timing.Promise {
	if !c.holder {
		return c.cfg.Memory.Promise
	}
	return c.inUse
}

// gated reports whether the holder may be enforcing petUntil now.
func (c *Core) gated() bool { return c.inUse.Armed }

// settle moves the promise towards what the node should be. A node that coasts
// stays what it is: each order more would ping the device once more.
func (c *Core) settle() {
	if c.coasting {
		if !c.unsure() {
			c.propose(c.inUse)
		}
		return
	}
	c.want = c.goal()
	switch {
	case c.want == c.inUse:
		c.propose(c.inUse)
		c.coasting = c.coasting || c.shutdown && c.inUse.Armed && c.mayAdopt()
	case c.inUse.Harder(c.want):
		c.propose(c.inUse.Hardest(c.want))
		if c.mayAdopt() {
			c.adopt()
		}
	case !c.inUse.Armed:
		c.confirmArmed()
	default:
		c.ease()
	}
}

// goal returns the promise that the node should make, and notes why it should
// make none.
func (c *Core) goal() timing.Promise {
	c.reason, c.detail = c.unfit()
	switch {
	case c.reason != ReasonNone:
		return timing.Promise{}
	case c.spec == nil:
		return c.inUse
	}
	p := c.spec.Profile
	g := timing.Promise{
		Armed: true, RollLife: p.RollLife, PetDelay: max(p.PetDelay, c.held.Device.PetDelay),
		Timeout: c.timeout(p.RealTimeout), Kappa: c.held.Device.Kappa, Ungated: c.held.Device.Ungated,
	}
	if c.shutdown {
		g.Timeout = c.timeout(p.ShutdownTimeout)
		// The service manager closes what it kept when it stops the holder: one
		// ping that nothing gates, whatever the device outlives.
		g.Ungated = max(g.Ungated, 1)
	}
	return g
}

// timeout chooses T: the longest that keeps κT within the bound, or the
// driver's minimum.
func (c *Core) timeout(bound time.Duration) time.Duration {
	d := c.held.Device
	t := bound * 1000 / time.Duration(max(d.Kappa, 1000))
	if d.Granule > 0 {
		t = t.Truncate(d.Granule)
	}
	if d.Max > 0 {
		t = min(t, d.Max)
	}
	t = max(t, d.Min)
	if t == c.asked {
		return c.got // the driver rounds
	}
	return t
}

// unfit returns why the node must not be armed, or ReasonNone (A7, A11, A12,
// A13). What is only missing for now keeps a node from arming, and disarms
// none.
func (c *Core) unfit() (Reason, string) {
	switch {
	case c.unsure():
		return ReasonMemoryLost, "the agent restarted without its memory"
	case c.leaving && !c.shutdown:
		return ReasonStopping, "the agent was asked to stop"
	case c.shutdown && !c.inUse.Armed:
		return ReasonShutdown, "the host is shutting down"
	case c.cfg.Forbidden != ReasonNone:
		return c.cfg.Forbidden, "the host forbids it"
	case c.spec == nil && !c.inUse.Armed:
		return ReasonNoGuard, "the controller has not spoken yet: is picket-controller running?"
	case c.spec != nil && c.spec.Unarmed != "":
		word, more, _ := strings.Cut(c.spec.Unarmed, ": ")
		return Reason(word), cmp.Or(c.spec.Because, more, "the controller says so")
	case c.pruned != "":
		return ReasonPruned, "the API server drops status field " + c.pruned + ": update Picket's CRDs"
	case !c.holder || !c.held.Device.Usable && c.held.Err == "":
		return ReasonNoWatchdog, "no usable watchdog: see picket-agent watchdog"
	case c.held.Err != "":
		return ReasonDeviceFailed, rearming(c.held.Err)
	case !c.inUse.Armed && c.recovering():
		return ReasonDeviceFailed, rearming(c.failure)
	case !c.inUse.Armed && c.api.IsZero():
		return ReasonNoRoll, "no roll was read from the API yet"
	case !c.inUse.Armed && (c.withholds(c.known) || c.withholds(c.rumour)):
		return ReasonWithheld, "the Roll withholds this boot"
	case !c.quorate || !c.inUse.Armed && !c.enough || c.peersLongLost():
		return ReasonPeersLost, "fewer than a quorum of witnesses answer: is the agents' port open between nodes?"
	}
	return ReasonNone, ""
}

// recovering reports whether the device failed so lately that an unarmed node
// does not arm yet (A11).
func (c *Core) recovering() bool {
	return !c.failed.IsZero() && !c.failed.Add(RearmAfter).Passed(c.now)
}

// rearming says what a node waits for whose device failed. It names no instant
// that moves: a status that changes is written.
func rearming(failure string) string {
	return failure + "; arming again " + RearmAfter.String() + " after its last failure"
}

// unsure reports whether the holder gates under a promise that nobody knows.
func (c *Core) unsure() bool { return c.inUse.Armed && c.inUse.RollLife == 0 }

// peersLongLost applies A7's second half: with the API fine and the witnesses
// away, the next API blip would reset this node for nothing.
func (c *Core) peersLongLost() bool {
	fine := !c.api.IsZero() && !c.apiMissed && c.apiSince.Age(c.now) >= PeersLostAfter
	return !c.enough && fine && c.since.Age(c.now) >= PeersLostAfter
}

// mayAdopt reports whether the harder promise on offer may be used: the API
// server has acknowledged it, and a roll that was asked for after that
// acknowledgement does not withhold this boot.
func (c *Core) mayAdopt() bool {
	return !c.ackedAt.IsZero() && c.api.After(c.ackedAt) && !c.known.Withholds(c.cfg.Boot)
}

// adopt uses the promise on offer. Where the goal is easier in some term, the
// next steps ease towards it.
func (c *Core) adopt() {
	rule := A2
	if !c.offer.Armed {
		rule = c.leaveRule()
	}
	c.note(rule, "published, called the roll, adopting: %s", describe(c.offer))
	c.inUse = c.offer
	c.coasting = c.shutdown && c.inUse.Armed && c.inUse == c.want
}

// confirmArmed arms: the holder gates first, and only then is it published. A
// deadline that was granted under a longer L must not be ahead any more.
func (c *Core) confirmArmed() {
	c.propose(timing.Promise{})
	gates := c.obeyed() && c.last.Hold == HoldArmed && c.held.Mode == HoldArmed
	if !gates || c.granted.Passed(c.now) || !c.withinLife() {
		return
	}
	p := c.want
	p.Timeout = c.held.Timeout
	c.inUse = p
	c.propose(p)
	c.note(A2, "armed: %s", describe(p))
}

// ease uses a shorter T or L, and publishes it once it is fully in use: the
// device reports the shorter timeout, and no deadline granted under the longer
// L is still ahead.
func (c *Core) ease() {
	c.propose(c.inUse)
	if c.obeyed() && c.held.Mode == HoldArmed && c.held.Timeout <= c.want.Timeout && c.withinLife() {
		c.inUse = c.want
		c.inUse.Timeout = c.held.Timeout
		c.propose(c.inUse)
	}
}

// withinLife reports whether no deadline is ahead that a longer L granted.
func (c *Core) withinLife() bool { return c.granted.Elapsed(c.permitted.Add(c.want.RollLife)) >= 0 }

// target returns the timeout to set: the goal's as soon as it is no harder
// than what is in use.
func (c *Core) target() time.Duration {
	if c.want.Armed && !c.inUse.Harder(c.want) {
		return c.want.Timeout
	}
	return c.inUse.Timeout
}

// extend applies A2 to the newest roll that permits this boot to pet.
func (c *Core) extend() {
	life := c.want.RollLife
	if c.inUse.Armed && (!c.want.Armed || c.inUse.RollLife < life) {
		life = c.inUse.RollLife
	}
	if life <= 0 {
		return
	}
	if until := c.permitted.Add(life); !c.permitted.IsZero() && until.After(c.granted) {
		c.granted = until
	}
}

// stand names the phase, and why.
func (c *Core) stand() (Phase, Reason, string) {
	switch {
	case c.latched:
		return Latched, c.latchReason, "resetting"
	case !c.holder && c.held.Err == "":
		return PhaseUnknown, ReasonNone, "waiting for the holder"
	case !c.holder:
		// Nobody knows what it does. To say unarmed is never too easy; to act as
		// if it were would need the handshake.
		return Unarmed, ReasonNoHolder, c.held.Err
	case c.coasting:
		return Armed, ReasonShutdown, "the host is shutting down"
	case c.inUse.Armed && !c.want.Armed:
		return Leaving, c.reason, c.detail
	case c.inUse.Armed && c.shutdown:
		return Armed, ReasonShutdown, "the host is shutting down"
	case c.inUse.Armed && c.refuted != "":
		return Armed, ReasonSuspected, "suspected, and refuting it"
	case c.inUse.Armed:
		return Armed, ReasonNone, ""
	case c.want.Armed:
		return Arming, ReasonNone, "asking the holder to gate"
	}
	return Unarmed, c.reason, c.detail
}

// hold returns what the holder should do in the phase.
func (c *Core) hold(p Phase) HoldMode {
	switch {
	case p == Latched:
		return HoldLatched
	case !c.holder:
		return HoldUnknown
	case c.coasting:
		return HoldCoast
	case p == Armed || p == Leaving:
		return HoldArmed
	case p == Arming && !c.granted.Passed(c.now):
		return HoldArmed
	case c.uninstall || c.held.Mode == HoldIdle:
		return HoldIdle
	}
	return HoldFree
}

// done reports whether Stop or Shutdown is complete.
func (c *Core) done() bool {
	switch {
	case c.shutdown && c.coasting:
		return c.held.Mode == HoldCoast
	case c.leaving || c.shutdown:
		return !c.inUse.Armed && c.obeyed() && c.held.Mode != HoldArmed
	}
	return false
}

func (c *Core) leaveRule() Rule {
	switch c.reason {
	case ReasonPeersLost:
		return A7
	case ReasonDeviceFailed:
		return A11
	case ReasonStopping, ReasonShutdown, ReasonSelfTest:
		return A13
	default:
		return A12
	}
}

func describe(p timing.Promise) string {
	if !p.Armed {
		return "unarmed"
	}
	return "T=" + p.Timeout.String() + " L=" + p.RollLife.String()
}

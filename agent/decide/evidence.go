package decide

import (
	"fmt"
	"slices"

	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// evidence is what the core knows of the Roll, and since when.
//
// Two things are kept apart: freshness (the newest send time that some roll
// answered) and content (the highest serial seen). The content of a higher
// serial may stand in for that of a lower one at any send time, because within
// a history the Roll only moves forward and an entry leaves it only when it
// binds nobody any more (PROTOCOL.md §3, claim 5).
type evidence struct {
	history string    // the history that the API last showed; others are refused
	known   roll.Roll // highest serial proven by the API or a quorum
	witness bool      // by it, this node is in some listed epoch
	rumour  roll.Roll // highest serial heard by relay; may be behind known

	knownSince timing.Instant // when known's serial was learned
	sent       timing.Instant // newest send time that any roll answered
	via        string         // how that roll was got: api, witness or relay
	permitted  timing.Instant // newest send time of a roll that lets this boot pet

	memory *roll.Roll // own newest read of the API in this boot; nil makes no statement
	fences []string   // withheld in it, sorted
	broken string     // what was seen when the history broke; empty while it is whole

	// announced is when the API server had stored a status of this boot; zero:
	// not yet. Only what is read after it is stated: the controller counts a
	// witness whose last boot is dead as heard, and must see a later boot
	// before that one can speak (PROTOCOL.md §6, step 5).
	announced timing.Instant

	api       timing.Instant // send time of the last API roll
	apiSince  timing.Instant // since when the API has answered without a miss
	apiMissed bool           // the last read brought no roll
	streak    int64          // consecutive fresh reads while a suspicion is open
}

// rollRead takes a read of the API: the only evidence that needs no other.
func (c *Core) rollRead(e RollRead) {
	c.apiPending = false
	if c.overtaken(e) {
		return
	}
	c.countStreak(e)
	if c.apiMissed || c.api.IsZero() {
		c.apiSince = c.now
	}
	c.apiMissed = false
	c.api = c.api.Later(e.Sent)
	c.checkHistory(e)
	if e.Roll.Serial > c.known.Serial || c.broken != "" {
		c.learn(e.Roll)
	}
	announced := !c.announced.IsZero() && e.Sent.After(c.announced)
	if announced && c.broken == "" && (c.memory == nil || e.Roll.Serial > c.memory.Serial) {
		m := e.Roll.Clone()
		c.remember(&m)
	}
	c.credit(e.Sent, "api", c.known, e.Roll)
}

// overtaken reports whether a read says nothing any more: another history, or
// another line of a broken one, was read by a later question.
func (c *Core) overtaken(e RollRead) bool {
	unsure := c.history != "" && e.Roll.History != c.history || c.broken != ""
	return unsure && !e.Sent.After(c.api)
}

// rollMissed notes that the API brought no roll: no evidence, whoever spoke.
func (c *Core) rollMissed(e RollMissed) {
	c.apiPending = false
	c.streak = 0
	if !c.apiMissed && !c.api.IsZero() {
		c.note(A5, "the API gave no roll (%s)", e.Err)
	}
	c.apiMissed = true
}

// checkHistory notices a Roll that went back or began anew. It stays good for
// petting, but it voids the memory: what this agent acknowledged earlier says
// nothing about the line of serials that now counts.
func (c *Core) checkHistory(e RollRead) {
	switch {
	case c.history == "":
		c.history = e.Roll.History
	case e.Roll.History != c.history:
		c.note(A2, "the Roll has a new history %s (was %s): memory voided", e.Roll.History, c.history)
		c.startHistory(e.Roll.History, "")
	case e.Roll.Serial < c.known.Serial && e.Sent.After(c.knownSince) && c.broken == "":
		c.startHistory(e.Roll.History, fmt.Sprintf("serial went back from %d to %d in history %s",
			c.known.Serial, e.Roll.Serial, c.history))
		c.note(A2, "the Roll is broken: %s", c.broken)
	}
}

// startHistory forgets every content and statement of the line before. While
// the history is broken the serial says nothing about which content is newer:
// the API's counts, and what peers tell can extend but never replace it.
func (c *Core) startHistory(history, broken string) {
	c.history = history
	c.broken = broken
	c.remember(nil)
	c.repropose() // the backup may have taken the promise with it
	c.announced = timing.Instant{}
	c.know(roll.Roll{})
	c.rumour = roll.Roll{}
	c.sent = timing.Instant{} // of another line: a relay must not pair it with this one's content
	c.stated = nil
}

// learn takes a proven content of a higher serial.
func (c *Core) learn(r roll.Roll) {
	c.know(r)
	c.knownSince = c.now
}

func (c *Core) know(r roll.Roll) {
	c.known = r
	c.witness = slices.ContainsFunc(r.Epochs, func(e roll.Epoch) bool { return e.Has(c.cfg.Node) })
}

func (c *Core) remember(r *roll.Roll) {
	c.memory, c.fences = r, nil
	if r != nil {
		c.fences = r.Fences()
	}
}

// countStreak counts the fresh reads that follow each other at the gate's pace.
// Several endpoints that answer one question are one read.
func (c *Core) countStreak(e RollRead) {
	if c.spec == nil || !e.Sent.After(c.api) {
		return
	}
	pace := c.spec.Profile.RollInterval
	fresh := e.Sent.Age(c.now) <= pace
	follows := !c.apiMissed && !c.api.IsZero() && c.api.Age(e.Sent) <= pace
	switch {
	case !e.Roll.Gating() || !fresh:
		c.streak = 0
	case c.streak > 0 && c.api.Age(e.Sent) < c.spec.Profile.GateInterval()/2:
	case follows:
		c.streak++
	default:
		c.streak = 1
	}
}

// tally turns the statements at hand into a witness roll, if they make one.
func (c *Core) tally() {
	c.statements = append(c.statements[:0], c.stated...)
	if c.memory != nil && c.witness {
		c.statements = append(c.statements, roll.Statement{Witness: c.cfg.Node, Roll: *c.memory, Sent: c.now})
	}
	held, ok := roll.Quorum(c.history, c.statements)
	if !ok {
		return
	}
	if c.broken != "" {
		c.credit(held.Sent, "witness", c.known, held.Roll)
		return
	}
	if held.Roll.Serial > c.known.Serial {
		c.learn(held.Roll)
	}
	c.credit(held.Sent, "witness", c.known)
}

// relayed takes a neighbour's best roll. By itself it may extend the deadline,
// but it never latches: if it withholds this boot, everybody is asked (A1, A5).
func (c *Core) relayed(from string, r roll.Held) {
	if c.history == "" || r.Roll.History != c.history {
		return
	}
	if c.broken != "" {
		c.credit(r.Sent, "relay", c.known, r.Roll)
		return
	}
	if r.Roll.Serial > c.rumour.Serial {
		c.rumour = r.Roll
		if r.Roll.Withholds(c.cfg.Boot) && r.Roll.Serial > c.known.Serial {
			c.note(A1, "a relay from %s withholds this boot at serial %d: asking everybody", from, r.Roll.Serial)
			c.urgent = true
		}
	}
	c.credit(r.Sent, "relay", c.known, c.rumour)
}

// credit records a roll that was true as of sent, with the contents to judge
// by: it lets this boot pet if none of them withholds it.
func (c *Core) credit(sent timing.Instant, via string, contents ...roll.Roll) {
	if sent.After(c.sent) && (c.broken == "" || via == "api") {
		c.sent = sent
		c.via = via
	}
	if sent.After(c.permitted) && !slices.ContainsFunc(contents, c.withholds) {
		c.permitted = sent
	}
}

func (c *Core) withholds(r roll.Roll) bool { return r.Withholds(c.cfg.Boot) }

// newest returns the content of the highest serial, proven or not.
func (c *Core) newest() *roll.Roll {
	if c.rumour.Serial > c.known.Serial {
		return &c.rumour
	}
	return &c.known
}

// relay returns the best roll for neighbours, or nil. Most steps bring no better
// one than the last: where the history is whole, the serial says so.
func (c *Core) relay() *roll.Held {
	if c.sent.IsZero() || c.history == "" {
		return nil
	}
	best, newest := c.last.Relay, c.newest()
	if best != nil && c.broken == "" && best.Sent == c.sent &&
		best.Roll.Serial == newest.Serial && best.Roll.History == newest.History {
		return best
	}
	return &roll.Held{Roll: *newest, Sent: c.sent}
}

// refutes returns the fence that this boot denies (A3): it is suspected, and
// it is alive.
func (c *Core) refutes() string {
	if e := c.newest().Entry(c.cfg.Boot); e.State == roll.Suspected && !c.latched {
		return e.Fence
	}
	return ""
}

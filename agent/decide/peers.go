package decide

import (
	"slices"
	"time"

	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// peers is what the core knows of its neighbours and of the witnesses. There are
// few of either, in lists.
type peers struct {
	heard   contacts         // of each neighbour, by name: the send time of its last answered ping
	lost    []string         // neighbours that count as lost, sorted; a new list for each change
	stated  []roll.Statement // the newest statement of each witness
	reached contacts         // of each witness that ever did: when it last answered anything
	enough  bool             // at least H witnesses of an epoch answer
	since   timing.Instant   // since when enough has its value
	quorate bool             // enough was true once in this life of the agent

	statements []roll.Statement // space for tally
}

// contacts is when each of some nodes last gave a sign of life.
type contacts []contact

type contact struct {
	node string
	at   timing.Instant
	lost bool // a neighbour that counts as lost
}

// of returns the contact with the node, or nil.
func (s contacts) of(node string) *contact {
	for i := range s {
		if s[i].node == node {
			return &s[i]
		}
	}
	return nil
}

// within reports whether the node gave one in the last while.
func (s contacts) within(while time.Duration, now timing.Instant, node string) bool {
	n := s.of(node)
	return n != nil && n.at.Age(now) <= while
}

// setNeighbours takes the controller's list; a new neighbour gets the full
// time to answer.
func (c *Core) setNeighbours(names []string) {
	var next contacts
	for _, n := range slices.Compact(slices.Sorted(slices.Values(names))) {
		if old := c.heard.of(n); old != nil {
			next = append(next, *old)
		} else {
			next = append(next, contact{node: n, at: c.now})
		}
	}
	c.heard = next
	c.lost = c.lostNeighbours()
}

// setWitnesses takes the controller's list. To a node that is armed, a new
// witness counts as within reach until it has had the time to answer.
func (c *Core) setWitnesses(names []string) {
	for _, n := range names {
		if c.reached.of(n) == nil && c.inUse.Armed {
			c.reached = append(c.reached, contact{node: n, at: c.now})
		}
	}
	c.reached = slices.DeleteFunc(c.reached, func(r contact) bool {
		gone := !slices.Contains(names, r.node)
		if gone {
			c.stated = slices.DeleteFunc(c.stated, func(s roll.Statement) bool { return s.Witness == r.node })
		}
		return gone
	})
}

func (c *Core) neighbourHeard(e Heard) {
	c.reach(e.Node)
	if n := c.heard.of(e.Node); n != nil {
		n.at = n.at.Later(e.Sent)
	}
	if e.Relay != nil {
		c.relayed(e.Node, *e.Relay)
	}
}

func (c *Core) witnessStated(e Stated) {
	c.reach(e.Witness)
	if e.Roll == nil || c.history == "" || e.Roll.History != c.history {
		return
	}
	s := roll.Statement{Witness: e.Witness, Roll: *e.Roll, Sent: e.Sent}
	switch i := slices.IndexFunc(c.stated, func(old roll.Statement) bool { return old.Witness == e.Witness }); {
	case i < 0:
		c.stated = append(c.stated, s)
	case c.stated[i].Sent.After(s.Sent):
		return
	default:
		c.stated[i] = s
	}
	c.tally()
}

func (c *Core) reach(node string) {
	if c.spec == nil || !slices.Contains(c.spec.Witnesses, node) {
		return
	}
	if w := c.reached.of(node); w != nil {
		w.at = c.now
	} else {
		c.reached = append(c.reached, contact{node: node, at: c.now})
	}
}

// judgeNeighbours applies A8: whoever left its pings unanswered for too long
// is lost.
func (c *Core) judgeNeighbours() {
	if c.spec == nil {
		return
	}
	changed := false
	for i := range c.heard {
		n := &c.heard[i]
		silent := n.at.Age(c.now)
		lost := silent >= c.spec.Profile.LostAfter()
		if lost == n.lost {
			continue
		}
		n.lost, changed = lost, true
		if lost {
			c.note(A8, "neighbour %s is lost: no answer for %v", n.node, silent.Round(time.Millisecond))
		} else {
			c.note(A8, "neighbour %s answers again", n.node)
		}
	}
	if changed {
		c.lost = c.lostNeighbours()
	}
}

// lostNeighbours returns the lost ones, sorted.
func (c *Core) lostNeighbours() []string {
	var names []string
	for i := range c.heard {
		if c.heard[i].lost {
			names = append(names, c.heard[i].node)
		}
	}
	return names
}

// forgive applies A9: after a pause of the own loop, nobody's silence means
// anything, and the count starts again.
func (c *Core) forgive(late time.Duration) {
	c.note(A9, "own loop was %v late: no judgement about others", late.Round(time.Millisecond))
	for i := range c.heard {
		if n := &c.heard[i]; !n.lost {
			n.at = c.now
		}
	}
}

// judgeWitnesses finds out whether a witness roll could be had at all.
func (c *Core) judgeWitnesses() {
	if c.spec == nil {
		return
	}
	enough := slices.ContainsFunc(c.known.Epochs, c.reaches)
	if enough != c.enough {
		c.enough = enough
		c.since = c.now
		if !enough {
			c.note(A7, "fewer than a quorum of witnesses answer")
		}
	}
	c.quorate = c.quorate || enough
}

// reaches reports whether at least H witnesses of the epoch answer.
func (c *Core) reaches(e roll.Epoch) bool {
	if e.Retiring {
		return false
	}
	need, window := e.Quorum(), c.reachWindow()
	for _, name := range e.Witnesses {
		if name == c.cfg.Node || c.reached.within(window, c.now, name) {
			need--
		}
		if need == 0 {
			return true
		}
	}
	return false
}

// reachWindow is how long an answer shows that a witness can be reached: two
// probes may be lost.
func (c *Core) reachWindow() time.Duration {
	return 3*c.spec.ProbeEvery + c.spec.Profile.LostAfter()
}

// peersLost reports A7's first half: abstain from judging others. It is only
// meaningful once witnesses exist.
func (c *Core) peersLost() bool {
	return c.spec != nil && len(c.known.Epochs) > 0 && !c.enough
}

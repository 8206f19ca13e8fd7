package decide

import (
	"slices"
	"time"

	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// peers is what the core knows of its neighbours and of the witnesses.
type peers struct {
	heard   map[string]timing.Instant // neighbour → send time of its last answered ping
	lost    map[string]bool           // neighbours that count as lost
	stated  map[string]roll.Statement // witness → its newest statement
	reached map[string]timing.Instant // witness → when it last answered anything
	enough  bool                      // at least H witnesses of an epoch answer
	since   timing.Instant            // since when enough has its value
	quorate bool                      // enough was true once in this life of the agent
}

// setNeighbours takes the controller's list; a new neighbour gets the full
// time to answer.
func (c *Core) setNeighbours(names []string) {
	for n := range c.heard {
		if !slices.Contains(names, n) {
			delete(c.heard, n)
			delete(c.lost, n)
		}
	}
	for _, n := range names {
		if _, ok := c.heard[n]; !ok {
			c.heard[n] = c.now
		}
	}
}

// setWitnesses takes the controller's list. To a node that is armed, a new
// witness counts as within reach until it has had the time to answer.
func (c *Core) setWitnesses(names []string) {
	for _, n := range names {
		if _, ok := c.reached[n]; !ok && c.inUse.Armed {
			c.reached[n] = c.now
		}
	}
	for n := range c.reached {
		if !slices.Contains(names, n) {
			delete(c.reached, n)
			delete(c.stated, n)
		}
	}
}

func (c *Core) neighbourHeard(e Heard) {
	c.reach(e.Node)
	if last, ok := c.heard[e.Node]; ok {
		c.heard[e.Node] = last.Later(e.Sent)
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
	old, ok := c.stated[e.Witness]
	if ok && old.Sent.After(s.Sent) {
		return
	}
	c.stated[e.Witness] = s
	c.tally()
}

func (c *Core) reach(node string) {
	if c.spec != nil && slices.Contains(c.spec.Witnesses, node) {
		c.reached[node] = c.now
	}
}

// judgeNeighbours applies A8: whoever left its pings unanswered for too long
// is lost.
func (c *Core) judgeNeighbours() {
	if c.spec == nil {
		return
	}
	for n, heard := range c.heard {
		lost := heard.Age(c.now) >= c.spec.Profile.LostAfter()
		if lost == c.lost[n] {
			continue
		}
		if lost {
			c.lost[n] = true
			c.note(A8, "neighbour %s is lost: no answer for %v", n, heard.Age(c.now).Round(time.Millisecond))
		} else {
			delete(c.lost, n)
			c.note(A8, "neighbour %s answers again", n)
		}
	}
}

// forgive applies A9: after a pause of the own loop, nobody's silence means
// anything, and the count starts again.
func (c *Core) forgive(late time.Duration) {
	c.note(A9, "own loop was %v late: no judgement about others", late.Round(time.Millisecond))
	for n := range c.heard {
		if !c.lost[n] {
			c.heard[n] = c.now
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
	n := 0
	for _, w := range e.Witnesses {
		at, ok := c.reached[w]
		if w == c.cfg.Node || ok && at.Age(c.now) <= c.reachWindow() {
			n++
		}
	}
	return n >= e.Quorum()
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

// lostNeighbours returns the lost ones, sorted.
func (c *Core) lostNeighbours() []string {
	var names []string
	for n := range c.lost {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// isWitness reports whether this node is in some listed epoch.
func (c *Core) isWitness() bool {
	return slices.ContainsFunc(c.known.Epochs, func(e roll.Epoch) bool { return e.Has(c.cfg.Node) })
}

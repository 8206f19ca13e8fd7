package plan_test

import (
	"testing"
	"time"

	"github.com/picket-dev/picket/controller/plan"
)

// A proof does not open the storm guard.
func TestC9_TheStormGuardHoldsWithAProof(t *testing.T) {
	c := ready(t, 5)
	c.policy.MaxWithheld = 20
	c.cut("n1")
	c.cut("n2")
	c.runUntil(20*time.Second, func() bool { return c.phase("n1") == plan.Suspected && c.phase("n2") == plan.Suspected })
	for _, n := range []string{"n1", "n2"} {
		f := c.fenceOf(n)
		c.proveDead(f.Name, f.Status.Boot)
	}
	c.run(2 * time.Minute) // checkRoll counts
	for _, n := range []string{"n1", "n2"} {
		if p := c.phase(n); p != plan.Detached {
			t.Errorf("%s: %s", n, p)
		}
	}
}

// An entry whose NodeFence is lost still withholds a node.
func TestC9_TheStormGuardCountsEntriesWithoutAFence(t *testing.T) {
	c := ready(t, 5)
	c.policy.MaxWithheld = 20
	c.toWithheld("n1")
	delete(c.fences, c.fenceOf("n1").Name)
	c.ask("n2", plan.Requested)
	c.run(time.Second)
	if n := len(c.roll.Entries); n > 1 {
		t.Errorf("%d entries: %v", n, c.roll.Entries)
	}
}

// While the storm guard holds a suspicion back, nothing is written and nobody
// is asked.
func TestC9_AWaitingSuspicionIsQuiet(t *testing.T) {
	c := ready(t, 5)
	c.policy.MaxWithheld = 20
	c.cut("n1")
	c.run(time.Second)
	c.cut("n2")
	c.until("n1", plan.Withheld, 20*time.Second)
	c.until("n2", plan.Suspected, 20*time.Second)
	c.run(7 * time.Second)
	f := c.fenceOf("n2")
	looks := len(c.looked["n2"])
	c.run(5 * time.Second)
	if g := c.fenceOf("n2"); g.Version != f.Version || len(c.looked["n2"]) != looks {
		t.Errorf("%d looks, status written again: %+v, then %+v", len(c.looked["n2"])-looks, f.Status, g.Status)
	}
	c.until("n2", plan.Fenced, time.Minute)
}

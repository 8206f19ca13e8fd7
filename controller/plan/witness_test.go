package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/controller/plan"
)

// The boot of a dead witness counts as having acknowledged only if no later
// boot of that node can have read the Roll before the withholding. Here n5 came
// back, read the Roll and was cut off with n2 and n4: together they are a
// quorum, n2 pets, and the controller's cache shows n5 as it was.
func TestC5_ADeadWitnessThatCameBackHasNotAcknowledged(t *testing.T) {
	c := ready(t, 5)
	c.pods["n5"][0].Finalizers = []string{"keeps/it"} // n5 stays Fenced
	c.toWithheld("n5")
	f := c.fenceOf("n5")
	c.proveDead(f.Name, f.Status.Boot)
	c.until("n5", plan.Fenced, 10*time.Second)
	old := c.guards["n5"]
	c.reboot("n5")
	c.run(2 * time.Second)
	for _, m := range []string{"n2", "n4", "n5"} {
		c.machine(m).api = false
	}
	c.strand("n2", "n4", "n5")
	c.ask("n2", plan.Requested)
	l := c.leader()
	for end := c.now + time.Minute; c.now < end; {
		c.now += tick
		c.live()
		for range 3 {
			l.sync()
			l.world.guards["n5"] = old
			for _, a := range l.plan() {
				if _, guard := a.(plan.PutGuard); !guard {
					l.act(a)
				}
			}
		}
	}
	if m := c.machine("n2"); !m.runs() || m.boots > 1 {
		t.Error("n2 does not run: this proves nothing")
	}
	if s := c.fenceOf("n2").Status; s.Phase != plan.Withheld || !s.QuorumShort {
		t.Errorf("fence of n2: %+v", s)
	}
}

// A witness that is dead and stays dead counts.
func TestC5_ADeadWitnessCounts(t *testing.T) {
	c := ready(t, 5)
	c.cut("n2")
	c.cut("n5")
	c.steps(func() bool { return len(c.roll.Entries) == 2 && c.roll.Gating() == false })
	c.machine("n4").api = false
	c.run(10 * time.Second)
	if s := c.fenceOf("n2").Status; !s.QuorumShort {
		t.Errorf("only n1 and n3 can acknowledge: %+v", s)
	}
	f := c.fenceOf("n5")
	c.proveDead(f.Name, f.Status.Boot)
	c.until("n2", plan.Fenced, time.Minute)
	if d := cmp.Diff([]string{"n1", "n3", "n5"}, c.fenceOf("n2").Status.Acknowledged); d != "" {
		t.Error(d)
	}
}

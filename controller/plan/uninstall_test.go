package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/picket-dev/picket/controller/plan"
)

// leave lets each agent that was told to leave, and is unarmed, be gone: it closes
// its peer server, and takes everything off its host. One that is told anything
// else comes back.
func (c *cluster) leave() {
	for _, m := range c.machines {
		if m.on && !m.inUse.Armed && m.api {
			m.hung = c.guards[m.name].Spec.Unarmed == "Uninstall"
		}
	}
}

func (c *cluster) leaving(d time.Duration) {
	for end := c.now + d; c.now < end; {
		c.run(time.Second)
		c.leave()
	}
}

func (c *cluster) mode(observe, uninstall bool) {
	c.policy.Observe, c.policy.Uninstall = observe, uninstall
}

func (c *cluster) told(t *testing.T, want string) {
	t.Helper()
	for name := range c.nodes {
		if got := c.guards[name].Spec.Unarmed; got != want {
			t.Errorf("%s is told %q, want %q", name, got, want)
		}
	}
}

// A node whose credentials are broken lives by its peers: none of them leaves
// before it is unarmed.
func TestA13_AnUninstallResetsNobody(t *testing.T) {
	c := ready(t, 5)
	n2 := c.machine("n2")
	n2.api = false // 401 from everybody: its token has expired
	c.run(time.Minute)
	c.mode(true, true)
	c.leaving(2 * time.Minute)
	c.unharmed(t, "n1", "n2", "n3", "n4", "n5")
	if !n2.inUse.Armed {
		t.Fatal("who let it become unarmed?")
	}
	c.told(t, "Observe")
	n2.api = true // it has a token again
	c.leaving(10 * time.Second)
	c.told(t, "Uninstall")
	for _, m := range c.machines {
		if m.inUse.Armed || !m.hung {
			t.Errorf("%s has not left", m.name)
		}
	}
	c.mode(false, false) // somebody thinks again
	c.leaving(15 * time.Second)
	c.told(t, "")
	for _, m := range c.machines {
		if !c.guards[m.name].Status.Promise.Armed {
			t.Errorf("%s was called back, and is not armed", m.name)
		}
	}
	c.unharmed(t, "n1", "n2", "n3", "n4", "n5")
}

// An agent that has left is silent, as it was told: nobody is warned of it, nor asked
// for a proof.
func TestA13_AnAgentThatHasLeftIsNotReportedLost(t *testing.T) {
	c := ready(t, 9)
	c.mode(true, true)
	c.run(5 * time.Second)
	for _, m := range c.machines { // one after the other
		c.run(2 * time.Second)
		if got := c.guards[m.name].Spec.Unarmed; m.inUse.Armed || got != "Uninstall" {
			t.Fatalf("%s is told %q, armed %t", m.name, got, m.inUse.Armed)
		}
		m.hung = true
	}
	if i := slices.IndexFunc(c.script, func(s string) bool { return strings.HasPrefix(s, "C9 NotFenced") }); i >= 0 {
		t.Errorf("%s", c.script[i])
	}
}

// A node that has published that it is unarmed, and has not called the roll after
// it, still lives by rolls.
func TestA13_AnUninstallWaitsForANodeThatIsLeaving(t *testing.T) {
	c := ready(t, 5)
	g := c.guards["n2"]
	c.machine("n2").api = false
	c.mode(true, true)
	g.Status.Promise.Armed, g.Status.Gated = false, true
	c.putGuard(g)
	c.leaving(time.Minute)
	c.unharmed(t, "n1", "n2", "n3", "n4", "n5")
	c.told(t, "Observe")
}

// A dead node that was fenced to the end keeps nobody; one whose fence still runs
// keeps its witnesses, even where its Node is gone.
func TestA13_AnUninstallWaitsForTheFencesThatRun(t *testing.T) {
	for name, gone := range map[string]bool{"its Node is there": false, "its Node is gone": true} {
		t.Run(name, func(t *testing.T) {
			c := ready(t, 5)
			c.toWithheld("n2")
			c.mode(true, true)
			if gone {
				delete(c.nodes, "n2")
			}
			for c.phase("n2") == plan.Withheld {
				c.leaving(time.Second)
				if c.phase("n2") == plan.Withheld {
					c.told(t, "Observe")
				}
			}
			if got := c.phase("n2"); got == plan.Refuted {
				t.Fatalf("%+v", c.fenceOf("n2").Status)
			}
			c.leaving(10 * time.Second)
			c.told(t, "Uninstall")
		})
	}
}

// A node that is off and was never fenced is armed as far as anybody knows: it
// keeps the others until a person deletes its Node, though its fence stays open.
func TestA13_AnUninstallGoesOnOnceADeadNodeIsDeleted(t *testing.T) {
	c := ready(t, 5)
	c.mode(true, true)
	c.cut("n2")
	c.ask("n2", plan.Requested)
	c.leaving(time.Minute)
	c.told(t, "Observe")
	delete(c.nodes, "n2")
	c.leaving(5 * time.Second)
	c.told(t, "Uninstall")
}

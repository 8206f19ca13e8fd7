package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/roll"
)

// steal lets root on a node claim another node's boot: its agent and its kubelet
// both say so.
func (c *cluster) steal(thief, victim string) { c.machine(thief).id = c.machine(victim).id }

// unharmed fails where a machine was reset, or is about to be.
func (c *cluster) unharmed(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if m := c.machine(name); m.latched || !m.on || m.boots != 1 {
			t.Errorf("healthy %s was reset: latched %v, on %v; fences %+v", name, m.latched, m.on, c.listFences())
		}
	}
}

// A node that claims another node's boot ID, and then falls silent, gets nobody
// reset: agents find themselves in the Roll by their boot alone. It is said of
// both nodes, until only one names the boot; then all goes on by itself.
func TestC9_AStolenBootIDResetsNobodyElse(t *testing.T) {
	for name, silence := range map[string]time.Duration{
		"silent once both are told to disarm": 5 * time.Second,
		"silent at once":                      2 * tick,
	} {
		t.Run(name, func(t *testing.T) {
			c := ready(t, 5)
			c.steal("n2", "n3")
			c.run(silence)
			c.machine("n2").hung = true
			c.strand("n2")
			c.run(time.Minute)
			c.unharmed(t, "n1", "n3", "n4", "n5")
			for _, node := range []string{"n2", "n3"} {
				if got := c.guards[node].Spec.Unarmed; !strings.HasPrefix(got, "SharedBoot: ") {
					t.Errorf("%s is told %q", node, got)
				}
			}
			if c.guards["n1"].Spec.Unarmed != "" || c.guards["n3"].Status.Promise.Armed {
				t.Error("the wrong nodes are armed")
			}
			if !slices.Contains(c.script, "C9 NotFenced n3") ||
				!slices.Contains(c.script, "C9 NotFenced n2") && !slices.Contains(c.script, "C9 FenceBlocked n2") {
				t.Errorf("nobody was told: %v", c.script)
			}
			c.reboot("n2") // an honest one, which n2's island still hides
			c.machine("n2").island = 0
			c.run(10 * time.Second)
			for _, node := range []string{"n2", "n3"} {
				if g := c.guards[node]; g.Spec.Unarmed != "" || !g.Status.Promise.Armed {
					t.Errorf("%s is not armed again: %q", node, g.Spec.Unarmed)
				}
			}
			c.unharmed(t, "n1", "n3", "n4", "n5")
		})
	}
}

// What one of two objects says is enough: a thief may have the agent's token
// alone, and the victim's kubelet may be late.
func TestC9_ABootIsSharedByWhatAnyObjectSays(t *testing.T) {
	for name, change := range map[string]func(*cluster){
		"the thief's Node": func(c *cluster) {
			n := c.nodes["n2"]
			n.Boot = c.machine("n3").id
			c.putNode(n)
			c.machine("n2").deaf = true
		},
		"the thief's NodeGuard": func(c *cluster) { c.steal("n2", "n3"); c.machine("n2").deaf = true },
		"the victim's NodeGuard alone": func(c *cluster) {
			n := c.nodes["n3"]
			n.Boot = "n3/0"
			c.putNode(n)
			c.machine("n3").deaf = true
			c.steal("n2", "n3")
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := ready(t, 5)
			change(c)
			c.run(3 * time.Second)
			for _, node := range []string{"n2", "n3"} {
				if got := c.guards[node].Spec.Unarmed; !strings.HasPrefix(got, "SharedBoot: ") {
					t.Errorf("%s is told %q", node, got)
				}
			}
			c.ask("n2", plan.Requested)
			c.ask("n3", plan.Requested)
			c.run(5 * time.Second)
			if len(c.roll.Entries) > 0 {
				t.Errorf("listed: %v", c.roll.Entries)
			}
		})
	}
}

// A proof about a boot that two nodes name is a proof about either: whoever of
// them lives would be reset.
func TestC9_AProofOfASharedBootIsBlocked(t *testing.T) {
	c := ready(t, 5)
	c.steal("n4", "n5")
	c.run(5 * time.Second)
	name := c.ask("n4", plan.Requested)
	c.run(time.Second)
	c.proveDead(name, c.machine("n5").id)
	c.run(10 * time.Second)
	c.unharmed(t, "n4", "n5")
	st := c.fenceOf("n4").Status
	said := slices.ContainsFunc(st.Blockers, func(b string) bool { return strings.HasPrefix(b, "SharedBoot: ") && strings.Contains(b, "node n5") })
	if st.Phase != plan.Blocked || !said {
		t.Errorf("%s %v", st.Phase, st.Blockers)
	}
}

// Asked again before a suspicion becomes a withholding: the sharing may show only
// then, and it may end.
func TestC9_ASuspicionOfABootThatComesToBeSharedWaits(t *testing.T) {
	c := ready(t, 5)
	c.cut("n2")
	c.until("n2", plan.Suspected, 20*time.Second)
	n := c.nodes["n4"]
	n.Boot = c.machine("n2").id
	c.putNode(n)
	c.machine("n4").deaf = true
	c.run(30 * time.Second)
	if st := c.fenceOf("n2").Status; st.Phase != plan.Suspected || len(st.Blockers) != 1 || !strings.HasPrefix(st.Blockers[0], "SharedBoot: ") {
		t.Fatalf("%s %v", st.Phase, st.Blockers)
	}
	if !slices.Contains(c.script, "C9 FenceBlocked n2") {
		t.Errorf("nobody was told: %v", c.script)
	}
	c.machine("n4").deaf = false
	c.until("n2", plan.Fenced, time.Minute)
}

// Once a boot is withheld a liar stops nothing: whoever runs in it is latched, and
// its volumes must move.
func TestC9_AWithheldBootIsFencedWhoeverClaimsIt(t *testing.T) {
	c := ready(t, 5)
	c.toWithheld("n2")
	n := c.nodes["n4"]
	n.Boot = c.machine("n2").id
	c.putNode(n)
	c.machine("n4").deaf = true
	c.until("n2", plan.Fenced, time.Minute)
	for _, e := range c.roll.Entries {
		if e.Node == "n4" || e.State != roll.Withheld {
			t.Errorf("listed: %v", e)
		}
	}
}

// What a node that is gone has left behind shares nothing: a machine that was
// registered under another name is armed, and fenced when it dies.
func TestC9_AGuardWithoutANodeSharesNothing(t *testing.T) {
	c := ready(t, 5)
	left := c.guards["n2"]
	delete(c.nodes, "n2")
	c.cut("n2")
	c.addMachine("n6")
	c.machine("n6").id = left.Status.Boot
	for range 40 {
		c.guards["n2"] = left // nobody can delete it
		c.run(500 * time.Millisecond)
	}
	if g := c.guards["n6"]; g.Spec.Unarmed != "" || !g.Status.Promise.Armed {
		t.Fatalf("n6 is told %q", g.Spec.Unarmed)
	}
	c.cut("n6")
	c.until("n6", plan.Fenced, time.Minute)
}

// A node whose suspicion outlives its Node object may be back under another name.
func TestC9_ASuspicionDoesNotFollowABootToAnotherName(t *testing.T) {
	c := ready(t, 5)
	name := c.ask("n2", plan.Requested)
	c.policy.Paused = "for now"
	c.run(time.Second)
	f := c.fences[name]
	delete(c.nodes, "n2")
	c.cut("n2")
	c.addMachine("n6")
	c.machine("n6").id = f.Status.Boot
	c.proveDead(name, f.Status.Boot)
	c.run(5 * time.Second)
	c.policy.Paused = ""
	c.run(10 * time.Second)
	c.unharmed(t, "n6")
	if len(c.roll.Entries) > 0 {
		t.Errorf("listed: %v", c.roll.Entries)
	}
}

package plan_test

import (
	"slices"
	"testing"
	"time"

	"github.com/picket-dev/picket/controller/plan"
)

// A14: what the policy says of a rejoin is told to an agent whose boot was fenced,
// and to no other, and taken back with the fence.
func TestA14_RejoinIsToldWithTheFencedBoot(t *testing.T) {
	c := ready(t, 5)
	c.policy.RejoinClean = true
	c.toWithheld("n2")
	c.until("n2", plan.Detached, time.Minute)
	for name, g := range c.guards {
		fenced := name == "n2"
		if g.Spec.RejoinClean != fenced || (g.Spec.FencedBoot != "") != fenced {
			t.Errorf("%s is told %q, clean %t", name, g.Spec.FencedBoot, g.Spec.RejoinClean)
		}
	}
	c.reboot("n2")
	c.until("n2", plan.Recovered, time.Minute)
	c.run(5 * time.Second)
	if s := c.guards["n2"].Spec; s.RejoinClean || s.FencedBoot != "" {
		t.Errorf("after the fence it is told %q, clean %t", s.FencedBoot, s.RejoinClean)
	}
}

// C8: an agent that has not heard of this fence yet has not said anything about
// it, whatever it says.
func TestC8_CleanOfAnotherFenceDoesNotLift(t *testing.T) {
	c := ready(t, 5)
	c.toWithheld("n2")
	c.until("n2", plan.Detached, time.Minute)
	c.reboot("n2")
	c.until("n2", plan.Recovered, time.Minute) // the machine is well

	c = ready(t, 5)
	c.toWithheld("n2")
	c.until("n2", plan.Detached, time.Minute)
	c.reboot("n2")
	l := c.leader()
	for range 400 {
		c.now += tick
		c.live()
		l.sync()
		g := l.world.guards["n2"]
		g.Spec.FencedBoot = "n2/0" // of the fence before this one
		l.world.guards["n2"] = g
		for _, a := range l.plan() {
			l.act(a)
		}
	}
	if n := c.nodes["n2"]; c.phase("n2") != plan.Detached || n.Fence == "" || !n.Ready {
		t.Errorf("%s, %+v", c.phase("n2"), n)
	}
}

// C8: a new boot is armed before its neighbours have heard it. It is not welcome
// until they have: their word on its last boot would open the next fence.
func TestC8_TheSilenceOfTheLastBootFencesNobody(t *testing.T) {
	c := ready(t, 5)
	c.toWithheld("n2")
	c.until("n2", plan.Detached, time.Minute)
	c.reboot("n2")
	l := c.leader()
	for begin := c.now; c.now < begin+3*time.Second; {
		c.now += tick
		c.live()
		l.sync()
		for name, g := range l.world.guards {
			if name != "n2" {
				g.Status.Lost = []string{"n2"}
				l.world.guards[name] = g
			}
		}
		for _, a := range l.plan() {
			l.act(a)
		}
	}
	if !c.guards["n2"].Status.Promise.Armed || c.phase("n2") != plan.Detached {
		t.Errorf("while it is not heard: armed %t, %s", c.guards["n2"].Status.Promise.Armed, c.phase("n2"))
	}
	c.until("n2", plan.Recovered, time.Minute)
	if n := len(c.listFences()); n != 1 {
		t.Errorf("%d fences", n)
	}
}

// C9: a new boot that dies before its quarantine was lifted is not fenced, since
// the fence of the last one is open; people are told so.
func TestC9_ABootThatDiesInQuarantineIsSpokenOf(t *testing.T) {
	c := ready(t, 5)
	c.toWithheld("n2")
	c.until("n2", plan.Detached, time.Minute)
	c.reboot("n2")
	c.machine("n2").dirty = true
	c.run(5 * time.Second)
	if c.phase("n2") != plan.Detached || !c.guards["n2"].Status.Promise.Armed {
		t.Fatalf("%s, armed %t", c.phase("n2"), c.guards["n2"].Status.Promise.Armed)
	}
	c.script = nil
	c.cut("n2")
	c.run(20 * time.Second)
	if !slices.Contains(c.script, "C9 NotFenced n2") {
		t.Errorf("nothing is said of it: %q", c.script)
	}
	c.reboot("n2")
	c.machine("n2").dirty = false
	c.until("n2", plan.Recovered, time.Minute)
}

// C8: a fence that was lost after its end leaves the quarantine to the next one: the
// Roll still withholds the boot, and the agent was told that it is dead. What has
// moved may be mapped in the new boot, and only its agent can say that it is not.
func TestC8_ALostFenceLiftsNoQuarantine(t *testing.T) {
	for name, rebooted := range map[string]bool{"before the new boot": false, "after it": true} {
		t.Run(name, func(t *testing.T) {
			c := ready(t, 5)
			c.toWithheld("n2")
			c.until("n2", plan.Detached, time.Minute)
			fenced := c.fenceOf("n2")
			if rebooted {
				c.reboot("n2")
				c.machine("n2").dirty = true
				c.run(5 * time.Second)
			}
			delete(c.fences, fenced.Name) // somebody has removed its finalizer
			c.run(time.Second)
			if !rebooted {
				c.reboot("n2")
				c.machine("n2").dirty = true
			}
			for range 60 {
				c.run(time.Second)
				if got := c.guards["n2"].Spec.FencedBoot; got != fenced.Status.Boot {
					t.Fatalf("the agent is told %q, and its boot %s was fenced", got, fenced.Status.Boot)
				}
				if n := c.nodes["n2"]; n.Fence != fenced.Status.Fence || len(n.Taints) < 2 {
					t.Fatalf("the quarantine was lifted: %q %v", n.Fence, n.Taints)
				}
			}
			c.machine("n2").dirty = false
			c.until("n2", plan.Recovered, time.Minute)
			if n := c.nodes["n2"]; n.Fence != "" || len(n.Taints) > 0 || len(c.roll.Entries) > 0 {
				t.Errorf("left: %+v %v", n, c.roll.Entries)
			}
		})
	}
}

package plan_test

import (
	"testing"
	"time"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/roll"
)

// A NodeFence that was lost is made anew for the boot that it was about, and
// for no other one.
func TestC11_ALostFenceGoesOn(t *testing.T) {
	for name, reboot := range map[string]bool{"same boot": false, "rebooted meanwhile": true} {
		t.Run(name, func(t *testing.T) {
			c := ready(t, 5)
			c.toWithheld("n2")
			c.run(tick)
			first := c.fenceOf("n2")
			delete(c.fences, first.Name)
			if reboot {
				c.runUntil(10*time.Second, func() bool { return c.fenceOf("n2").Name != "" })
				c.reboot("n2")
				c.live()
				c.run(time.Minute)
				if e := c.roll.Entries; len(e) > 0 {
					t.Errorf("entries %v", e)
				}
				if n := c.nodes["n2"]; n.Fence != "" || len(n.Taints) > 0 {
					t.Errorf("marks left: %+v", n)
				}
				if m := c.machine("n2"); m.boots != 2 || m.latched {
					t.Errorf("the new boot was reset")
				}
				return
			}
			c.until("n2", plan.Fenced, time.Minute)
			if id := c.fenceOf("n2").Status.Fence; id != first.Status.Fence {
				t.Errorf("went on as %s, it was %s", id, first.Status.Fence)
			}
		})
	}
}

// A fence that only is not visible yet is not lost: making another one would
// fence a healthy node later.
func TestC11_AFenceThatIsNotVisibleYetIsNotLost(t *testing.T) {
	c := ready(t, 5)
	c.toWithheld("n2")
	l := c.elect()
	for range 3 {
		l.sync()
		l.world.fences, l.world.names = nil, nil
		for _, a := range l.plan() {
			if _, ok := a.(plan.MakeFence); ok {
				l.act(a)
			}
		}
		c.now += 100 * time.Millisecond
	}
	c.reboot("n2")
	c.run(90 * time.Second)
	if m := c.machine("n2"); m.boots != 2 || m.latched || len(c.roll.Entries) > 0 {
		t.Errorf("the new boot was fenced: %v", c.listFences())
	}
}

// What a write that came late left behind of a fence that has ended is cleaned
// up: nobody else will.
func TestC11_LeftoversOfEndedFences(t *testing.T) {
	for name, left := range map[string]func(*cluster, plan.Fence){
		"quarantine": func(c *cluster, f plan.Fence) {
			n := c.nodes["n2"]
			n.Fence, n.Taints = f.Status.Fence, []plan.Taint{{Key: plan.QuarantineKey, Value: n.Boot, Effect: "NoSchedule"}}
			c.putNode(n)
		},
		"entry": func(c *cluster, f plan.Fence) {
			r := *c.roll
			r.Roll = r.Clone()
			r.Entries = []roll.Entry{{Node: "n2", UID: "node-n2", Boot: f.Status.Boot, Fence: f.Status.Fence, State: roll.Suspected}}
			r.Serial++
			r.Version = c.version()
			c.roll = &r
		},
		"out-of-service mark alone": func(c *cluster, f plan.Fence) {
			n := c.nodes["n2"]
			n.OutOfService = f.Status.Fence
			n.Taints = []plan.Taint{{Key: plan.OutOfServiceKey, Value: "nodeshutdown", Effect: "NoExecute"}}
			c.putNode(n)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := ready(t, 5)
			c.strand("n2")
			c.until("n2", plan.Suspected, 10*time.Second)
			c.until("n2", plan.Refuted, 10*time.Second)
			c.machine("n2").island = 0
			c.run(5 * time.Second)
			left(c, c.fenceOf("n2"))
			c.run(10 * time.Second)
			if n := c.nodes["n2"]; n.Fence+n.OutOfService != "" || len(n.Taints) > 0 || len(c.roll.Entries) > 0 {
				t.Errorf("left: %+v, %v", n, c.roll.Entries)
			}
		})
	}
}

// An orphan whose entry is lost, too, has nothing to go on for: it must not
// fence the node by itself.
func TestC11_AnOrphanFencesNothingElse(t *testing.T) {
	c := ready(t, 5)
	c.ask("n2", plan.Requested)
	c.until("n2", plan.Withheld, 20*time.Second)
	delete(c.fences, c.fenceOf("n2").Name)
	c.until("n2", plan.Withheld, 20*time.Second)
	if f := c.fenceOf("n2"); f.Reason != plan.Orphaned {
		t.Fatalf("%+v", f)
	}
	c.loseEntries()
	c.reboot("n2")
	c.run(time.Minute)
	if m := c.machine("n2"); m.boots > 2 || m.latched || len(c.roll.Entries) > 0 {
		t.Errorf("fenced again: %v", c.roll.Entries)
	}
}

// A quarantine that lost its annotation is ours all the same.
func TestC11_AQuarantineWithoutItsAnnotationGoes(t *testing.T) {
	for name, then := range map[string]func(*cluster){
		"the node comes back": func(c *cluster) { c.reboot("n2") },
		"the fence is lost":   func(c *cluster) { delete(c.fences, c.fenceOf("n2").Name); c.reboot("n2") },
	} {
		t.Run(name, func(t *testing.T) {
			c := ready(t, 5)
			c.toWithheld("n2")
			c.until("n2", plan.Detached, time.Minute)
			then(c)
			for range 20 { // and whoever removes it is quicker than the controller
				n := c.nodes["n2"]
				n.Fence = ""
				c.putNode(n)
				c.run(500 * time.Millisecond)
			}
			if n := c.nodes["n2"]; len(n.Taints) > 0 || len(c.roll.Entries) > 0 {
				t.Errorf("left: %v %v", n.Taints, c.roll.Entries)
			}
		})
	}
}

// A leader that did not see a fence may have let another one go on for its
// entry: of two under one ID the older stays.
func TestC11_TwoFencesUnderOneID(t *testing.T) {
	c := ready(t, 5)
	c.toWithheld("n2")
	first := c.fenceOf("n2")
	name := c.ask("n2", plan.Requested)
	twin := c.fences[name]
	twin.Status = first.Status
	twin.Status.Phase = plan.Fenced // each as its leader saw it
	c.putFence(twin)
	c.run(30 * time.Second)
	if p, q := c.fences[first.Name].Status.Phase, c.fences[name].Status.Phase; p != plan.Detached || q != plan.Refuted {
		t.Errorf("%s and %s", p, q)
	}
}

// An entry of a fence that has ended comes back: whoever goes on for it does so
// beside the ended one, under the same ID.
func TestC11_AnOrphanOfAnEndedFence(t *testing.T) {
	c := ready(t, 5)
	c.strand("n2")
	c.until("n2", plan.Refuted, 10*time.Second)
	c.machine("n2").island = 0
	c.run(5 * time.Second)
	r := *c.roll
	r.Roll = r.Clone()
	r.Entries = []roll.Entry{{Node: "n2", UID: "node-n2", Boot: "n2/1", Fence: c.fenceOf("n2").Status.Fence, State: roll.Withheld}}
	r.Serial++
	r.Version = c.version()
	c.roll = &r
	c.cut("n2")
	c.until("n2", plan.Detached, time.Minute)
}

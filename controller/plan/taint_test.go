package plan_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/roll"
)

// A proof that was given and taken back leaves nothing behind: least of all a
// wait that was computed without a promise.
func TestC5_AProofTakenBackIsNoProof(t *testing.T) {
	c := ready(t, 5)
	c.isolate("n2") // it pets for a while
	c.until("n2", plan.Suspected, 10*time.Second)
	f := c.fenceOf("n2")
	c.proveDead(f.Name, f.Status.Boot)
	c.steps(func() bool { return c.nodes["n2"].Fence != "" })
	c.proveDead(f.Name, "")
	c.until("n2", plan.Fenced, time.Minute) // checkTaint judges it
}

// A proof ends the wait, not the rejoin guard.
func TestC5_AProofKeepsTheRejoinGuard(t *testing.T) {
	c := ready(t, 5)
	c.toWithheld("n2")
	c.run(5 * time.Second)
	f := c.fenceOf("n2")
	c.proveDead(f.Name, f.Status.Boot)
	since := time.Duration(0)
	c.steps(func() bool {
		n := c.nodes["n2"]
		if since == 0 && slices.ContainsFunc(n.Taints, func(t plan.Taint) bool { return t.Effect == "NoExecute" }) {
			since = c.now
		}
		return outOfService(n)
	})
	if guard := c.now - since; guard < c.policy.Profile.RejoinGuard {
		t.Errorf("out-of-service %v after the quarantine, the rejoin guard is %v", guard, c.policy.Profile.RejoinGuard)
	}
}

// Once the out-of-service taint is there, Kubernetes moves volumes: whatever
// happens to the node or to the fence then, it goes on as Fenced.
func TestC5_WhatIsTaintedIsFenced(t *testing.T) {
	for name, then := range map[string]func(*cluster){
		"reboot":           func(c *cluster) { c.reboot("n2") },
		"fence deleted":    func(c *cluster) { c.store.delete(c.fenceOf("n2").Name) },
		"Roll lost it":     func(c *cluster) { c.loseEntries() },
		"another leader":   func(c *cluster) { c.elect() },
		"reboot, new lead": func(c *cluster) { c.reboot("n2"); c.elect() },
	} {
		for _, cached := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				c := ready(t, 5)
				c.toWithheld("n2")
				c.taintOnly("n2")
				then(c)
				c.live()
				if !cached { // the next plans do not know of the taint yet
					l := c.leader()
					l.sync()
					n := l.world.nodes["n2"]
					n.Taints, n.OutOfService, n.Version = n.Taints[:2], "", "1"
					l.world.nodes["n2"] = n
					for _, a := range l.plan() {
						l.act(a)
					}
				}
				c.run(20 * time.Second)
				var rules []plan.Rule
				for _, s := range c.listFences()[0].Status.Steps {
					if s.Rule == plan.C7 || s.What == "tainted out-of-service" {
						rules = append(rules, s.Rule)
					}
				}
				if d := cmp.Diff([]plan.Rule{plan.C5, plan.C7}, rules); d != "" {
					t.Errorf("%s\n%+v", d, c.listFences()[0].Status.Steps)
				}
			})
		}
	}
}

// taintOnly runs until the out-of-service taint is on the node, and no longer:
// its fence is still Withheld.
func (c *cluster) taintOnly(node string) {
	c.Helper()
	c.steps(func() bool { return outOfService(c.nodes[node]) })
}

// loseEntries edits the Roll by hand.
func (c *cluster) loseEntries() {
	r := *c.roll
	r.Roll = r.Clone()
	r.Entries = nil
	r.Serial++
	r.Version = c.version()
	c.roll = &r
}

// An entry that went back to Suspected withholds nothing.
func TestC5_WithheldInStatusOnly(t *testing.T) {
	c := ready(t, 5)
	c.toWithheld("n2")
	first := c.fenceOf("n2").Status.Fence
	r := *c.roll
	r.Roll = r.Clone()
	r.Entries[0].State = roll.Suspected
	r.Serial++
	r.Version = c.version()
	c.roll = &r
	if !c.runUntil(time.Second, func() bool { return c.fenceOf("n2").Status.Fence != first }) {
		t.Errorf("fence %s goes on", first)
	}
}

// Looks that overtake each other: the newest counts.
func TestC5_AnOlderLookDoesNotReplaceANewerOne(t *testing.T) {
	c := ready(t, 5)
	c.toWithheld("n2")
	c.run(24 * time.Second)
	l := c.leader()
	old := l.looks[c.fenceOf("n2").Status.Fence].saw
	c.reboot("n2")
	c.agent(c.machine("n2"))
	l.act(plan.Look{Fence: old.Fence, Node: "n2"})
	l.core.Saw(l.clock(), old)
	l.twin.Saw(l.clock(), old)
	c.run(10 * time.Second)
	if outOfService(c.nodes["n2"]) {
		t.Error("tainted on an old look")
	}
}

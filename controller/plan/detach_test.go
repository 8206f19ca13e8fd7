package plan_test

import (
	"slices"
	"testing"
	"time"

	"github.com/picket-dev/picket/controller/plan"
)

// The out-of-service taint goes even if the cache has not seen it come.
func TestC7_ATaintThatTheCacheHasNotSeenIsRemoved(t *testing.T) {
	c := ready(t, 5)
	c.toWithheld("n2")
	c.pods["n2"], c.vas["n2"] = nil, nil
	c.taintOnly("n2")
	f := c.fenceOf("n2")
	f.Status.Phase = plan.Fenced
	c.putFence(f)
	l := c.elect()
	for range 20 {
		c.now += tick
		l.sync()
		n := l.world.nodes["n2"]
		n.Taints, n.OutOfService = n.Taints[:2], ""
		n.Version = "1"
		l.world.nodes["n2"] = n
		for _, a := range l.plan() {
			l.act(a)
		}
	}
	c.until("n2", plan.Detached, 10*time.Second)
	if outOfService(c.nodes["n2"]) {
		t.Error("the taint stays")
	}
}

// C6 deletes nothing of a boot that it has not fenced, be the cache behind or
// not, and does not wait for what is that boot's own.
func TestC6_WhatIsNotTheFencedBootsStays(t *testing.T) {
	for name, tt := range map[string]struct {
		change  func(*cluster)
		deleted bool
		want    plan.Phase
	}{
		"the fenced boot's": {func(*cluster) {}, true, plan.Detached},
		"the node is gone":  {func(c *cluster) { delete(c.nodes, "n2"); c.vas["n2"] = nil }, true, plan.Recovered},
		"a new boot under the taint": {func(c *cluster) {
			c.reboot("n2")
		}, true, plan.Recovered},
		"a new boot, and somebody took the taint away": {func(c *cluster) {
			c.reboot("n2")
			n := c.nodes["n2"]
			n.Boot, n.Taints = "n2/2", n.Taints[:2]
			c.putNode(n)
		}, false, plan.Recovered},
		"made anew, a new boot": {func(c *cluster) { c.reboot("n2"); c.remake("n2/2") }, false, plan.Recovered},
		"made anew, no boot":    {func(c *cluster) { c.remake("") }, false, plan.Fenced},
		"made anew, restored":   {func(c *cluster) { c.remake("n2/1") }, false, plan.Fenced},
	} {
		t.Run(name, func(t *testing.T) {
			c := ready(t, 5)
			c.pods["n2"][0].Finalizers = []string{"keeps/it"}
			c.toWithheld("n2")
			c.until("n2", plan.Fenced, time.Minute)
			c.run(time.Second)
			old := c.nodes["n2"]
			tt.change(c)
			c.pods["n2"] = []plan.Pod{{Namespace: "a", Name: "young", UID: "young", Version: "1"}}
			l := c.leader()
			for range 20 { // its cache is behind
				c.now += 2 * tick
				l.sync()
				l.world.nodes["n2"] = old
				for _, a := range l.plan() {
					l.act(a)
				}
			}
			c.run(20 * time.Second)
			if got := slices.Contains(c.script, "delete young"); got != tt.deleted {
				t.Errorf("deleted: %v", got)
			}
			if p := c.phase("n2"); p != tt.want {
				t.Errorf("%s, not %s: %+v", p, tt.want, c.fenceOf("n2").Status)
			}
			c.reboot("n2")
			c.run(20 * time.Second)
			if p := c.phase("n2"); len(c.nodes) == 5 && p != plan.Recovered {
				t.Errorf("%s after a new boot", p)
			}
		})
	}
}

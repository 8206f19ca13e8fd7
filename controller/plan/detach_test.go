package plan_test

import (
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

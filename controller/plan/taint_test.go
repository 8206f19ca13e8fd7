package plan_test

import (
	"slices"
	"testing"
	"time"

	"github.com/picket-dev/picket/controller/plan"
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

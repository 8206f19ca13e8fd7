package plan_test

import (
	"testing"
	"time"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/timing"
)

// Another leader started a new history: nothing that this one observed counts.
func TestC10_AnotherHistoryVoidsEveryTrial(t *testing.T) {
	c := ready(t, 5)
	c.toWithheld("n2")
	c.run(15 * time.Second)
	r := *c.roll
	r.Roll = r.Clone()
	r.History = "another" // with the same entries
	r.Serial++
	r.Version = c.version()
	c.roll = &r
	began := c.now
	c.machine("n2").history = "another"
	g := c.guards["n2"]
	g.Status.History = "another"
	c.putGuard(g)
	c.until("n2", plan.Fenced, time.Minute)
	if w := timing.Wait(c.guards["n2"].Status.Promise, c.policy.Profile); c.now-began < w {
		t.Errorf("tainted %v after the new history began, W is %v", c.now-began, w)
	}
}

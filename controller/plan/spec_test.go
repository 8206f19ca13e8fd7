package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/controller/plan"
)

// The policy's watchdog reaches every guard, once: a guard that says it already
// is not written again.
func TestThePolicysWatchdogReachesEveryGuard(t *testing.T) {
	c := ready(t, 3)
	want := plan.Watchdog{PreferSoftdog: true, Device: "watchdog1", TakeOver: true, AcceptVM: true}
	c.policy.Watchdog = want
	c.run(2 * time.Second)
	versions := make(map[string]string)
	for name, g := range c.guards {
		versions[name] = g.Version
		if d := cmp.Diff(want, g.Spec.Watchdog); d != "" {
			t.Errorf("guard of %s (-want +got):\n%s", name, d)
		}
	}
	l := c.leader()
	l.sync()
	for _, a := range l.plan() {
		if put, ok := a.(plan.PutGuard); ok {
			t.Errorf("guard of %s is written again: %+v", put.Node, put.Spec)
		}
	}
	if len(versions) != 3 {
		t.Errorf("%d guards, want 3", len(versions))
	}
}

package plan_test

import (
	"slices"
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

// Where a node stands reaches its own guard and those of its peers, once, and
// again when its labels change.
func TestPlacesReachEveryGuard(t *testing.T) {
	c := ready(t, 3)
	move := func(node string, to plan.Place) {
		n := c.nodes[node]
		n.Place = to
		c.nodes[node] = n
		c.run(2 * time.Second)
	}
	check := func(node string, want plan.Place) {
		t.Helper()
		if d := cmp.Diff(want, c.guards[node].Spec.Place); d != "" {
			t.Errorf("guard of %s (-want +got):\n%s", node, d)
		}
		for name, g := range c.guards {
			seen := 0
			for _, p := range slices.Concat(g.Spec.Neighbours, g.Spec.Callers, g.Spec.Witnesses) {
				if p.Node != node {
					continue
				}
				seen++
				if d := cmp.Diff(want, p.Place); d != "" {
					t.Errorf("%s in the guard of %s (-want +got):\n%s", node, name, d)
				}
			}
			if seen == 0 && name != node {
				t.Errorf("%s is no peer of %s", node, name)
			}
		}
	}
	for _, want := range []plan.Place{{Zone: "z1", Rack: "r1"}, {Zone: "z1", Rack: "r2"}, {}} {
		move("n2", want)
		check("n2", want)
	}
	l := c.leader()
	l.sync()
	for _, a := range l.plan() {
		if put, ok := a.(plan.PutGuard); ok {
			t.Errorf("guard of %s is written again: %+v", put.Node, put.Spec)
		}
	}
}

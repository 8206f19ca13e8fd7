package plan_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// large returns a steady cluster of n nodes, of which the first have a fence
// that waits for its deadline.
func large(tb testing.TB, n, open int) (*plan.Core, plan.World) {
	tb.Helper()
	s := newStore()
	profile := timing.Standard()
	policy := plan.Policy{Profile: profile, MaxWithheld: 49}
	promise := timing.Promise{
		Armed: true, RollLife: profile.RollLife, PetDelay: profile.PetDelay, Timeout: 10 * time.Second, Kappa: 1020,
	}
	for i := range n {
		name := nodeName(i)
		s.putNode(plan.Node{
			Name: name, UID: "uid-" + name, Boot: "boot-" + name, MachineID: "m-" + name, SystemUUID: "u-" + name,
			Ready: true, Heartbeat: "1", Domain: fmt.Sprint("zone", i%20),
		})
		s.putGuard(plan.Guard{Name: name, Status: plan.GuardStatus{
			Boot: "boot-" + name, MachineID: "m-" + name, SystemUUID: "u-" + name, History: "h", Promise: promise,
			Addresses: []string{"10.0.0.1:9", "10.1.0.1:9"}, Fingerprint: "key-" + name, Clean: true,
		}})
	}
	core := plan.New(plan.Config{NewID: func() string { return "h" }})
	now := time.Duration(0)
	settle := func(limit time.Duration) {
		for end := now + limit; now < end; {
			now += 200 * time.Millisecond
			if s.roll != nil {
				for _, w := range s.roll.Witnesses() {
					g := s.guards[w]
					g.Status.Serial, g.Status.Fences = s.roll.Serial, s.roll.Fences()
					s.putGuard(g)
				}
			}
			actions, _ := core.Plan(at(now), s.world(policy, at(now)))
			for _, a := range actions {
				switch a := a.(type) {
				case plan.Look:
					core.Saw(at(now), s.look(a, at(now)))
				case plan.Survey:
					core.Surveyed(at(now), s.survey(a, at(now)))
				default:
					_ = s.do(a)
				}
			}
		}
	}
	settle(2 * time.Second)
	for i := range open {
		s.ask(nodeName(n-1-i), plan.PeersLost)
	}
	for _, f := range s.listFences() {
		name := f.Node
		f.Status = plan.FenceStatus{
			Node: name, NodeUID: "uid-" + name, Boot: "boot-" + name, MachineID: "m-" + name, SystemUUID: "u-" + name,
			Fence: f.UID + ".1", Attempt: 1, Phase: plan.Withheld,
		}
		s.putFence(f)
		s.roll.Entries = append(s.roll.Entries, roll.Entry{Node: name, UID: "uid-" + name, Boot: "boot-" + name, Fence: f.UID + ".1", State: roll.Withheld})
	}
	settle(3 * time.Second)
	for _, f := range s.listFences() {
		if f.Status.DeadlineIn == 0 {
			tb.Fatalf("no wait runs: %+v", f.Status)
		}
	}
	w := s.world(policy, at(now))
	if actions, _ := core.Plan(at(now), w); len(actions) > 0 {
		tb.Fatalf("not steady: %v", actions)
	}
	return core, w
}

// BenchmarkPlan is what one plan costs in a cluster of 5000 nodes in which
// nothing changes. The budget is some tens of milliseconds.
func BenchmarkPlan(b *testing.B) {
	for _, open := range []int{0, 100} {
		b.Run(fmt.Sprintf("nodes=5000/fences=%d", open), func(b *testing.B) {
			core, w := large(b, 5000, open)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				core.Plan(at(5*time.Second+time.Duration(i)*time.Microsecond), w)
			}
		})
	}
}

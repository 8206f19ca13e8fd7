package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/timing"
	"github.com/picket-dev/picket/test/sim/world"
)

// A short, fixed part of `make sim`: no promise is broken, and the schedules go
// where it hurts.
func TestSchedules(t *testing.T) {
	o := options{seeds: 1500, workers: 1}
	if testing.Short() {
		o.seeds = 200
	}
	r := run(o)
	t.Logf("%d schedules: %v", r.schedules, &r.counts)
	if r.violations > 0 {
		t.Fatalf("seed %d violates %s: %s", r.worst.seed, r.worst.outcome.Violation, r.worst.outcome.What)
	}
	if testing.Short() {
		return // too few to count
	}
	if fired, all, silent := r.counts.Coverage(); fired < all-1 {
		t.Errorf("%d of %d rules fired, without %v", fired, all, silent)
	}
	c := r.counts
	for what, n := range map[string]int{
		"taints after a wait": c.Waited / 100, "resets": c.Resets / 200, "withholdings": c.Withheld / 200, "refutations": c.Refuted / 100,
		"adopted promises": c.Adopted / 100, "fences dropped": c.Dropped / 200, "changes of witnesses": c.Epochs / 40,
		"new histories": c.Histories / 40, "pings by a close": c.Ungated / 20, "lost writes": c.LostWrites / 200, "conflicts": c.Conflicts / 100,
	} {
		if n == 0 {
			t.Errorf("%s: too few to prove anything (%v)", what, &c)
		}
	}
}

// A seed is a story: told twice, it is the same.
func TestSeedTellsTheSameStoryTwice(t *testing.T) {
	for seed := range uint64(40) {
		var first, second []string
		a := world.Run(world.Draw(seed), func(line string) { first = append(first, line) })
		b := world.Run(world.Draw(seed), func(line string) { second = append(second, line) })
		if d := cmp.Diff(a, b) + cmp.Diff(first, second); d != "" {
			t.Fatalf("seed %d:\n%s", seed, d)
		}
		if quiet := world.Run(world.Draw(seed), nil); quiet != b {
			t.Fatalf("seed %d is another one when nobody listens: %+v, %+v", seed, quiet, b)
		}
	}
}

// The judge can be failed: a dog that is later than the profile has it breaks P1, and what is left of the schedule still does.
func TestShrinkKeepsTheViolation(t *testing.T) {
	for seed := range uint64(200) {
		s := fences(seed, 3*time.Second)
		if o := world.Run(s, nil); o.Violation != "" {
			t.Fatalf("seed %d violates %s: %s", seed, o.Violation, o.What)
		}
		s = fences(seed, 5*time.Second) // §12 does not hold
		o := world.Run(s, nil)
		if o.Violation != "P1" {
			continue
		}
		small := shrink(s, o.Violation)
		if got := world.Run(small, nil); got.Violation != "P1" || len(small.Faults) >= len(s.Faults) {
			t.Errorf("seed %d: %d faults of %d violate %q", seed, len(small.Faults), len(s.Faults), got.Violation)
		}
		t.Logf("seed %d: %d faults of %d are left", seed, len(small.Faults), len(s.Faults))
		return
	}
	t.Error("no schedule with late dogs violates P1")
}

// fences returns a setting whose watchdogs are so late, where 3 s are allowed, and
// whose second node is fenced while it can live for longest.
func fences(seed uint64, latency time.Duration) world.Setting {
	const r = time.Second
	p := timing.Profile{
		Heartbeat: r, Misses: 2, RollInterval: r, RollLife: 4 * r, RealTimeout: 2 * r, GateReads: 5,
		PetDelay: r, ResetLatency: 3 * r, Drain: r, RejoinGuard: r / 8, ShutdownTimeout: 2 * r,
	}
	gear := world.Gear{Ungated: 1, Kappa: 1000, Real: 1000, Latency: latency, Drain: p.Drain}
	return world.Setting{
		Seed: seed, Nodes: 3, Profile: p, Policy: plan.Policy{Profile: p, MaxWithheld: 49},
		Hop: r / 200, Patience: r, Lag: r / 100, Gear: []world.Gear{gear, gear, gear}, Span: 12 * r,
		Faults: []world.Fault{
			{Kind: world.PowerCut, On: world.EpochChange}, // which does not come
			{Kind: world.HumanFence, At: 2 * r, Node: 1},
			{Kind: world.Isolate, On: world.Withheld, For: 9 * r, Node: 1},
			{Kind: world.LastGasp, On: world.Withheld, Node: 1},
		},
	}
}

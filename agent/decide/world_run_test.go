package decide_test

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// The key invariant, in any order of events: whatever promise a controller can
// read is true, and a node whose fence has waited writes no more.
func TestPromiseHoldsInAnySchedule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(faults{}, func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") })
		w.run(150)
		if w.wrong != "" {
			t.Fatal(w.wrong)
		}
	})
}

// The same in many more schedules, with proof that they go where it hurts.
func TestPromiseHoldsInManySchedules(t *testing.T) {
	schedules := uint64(4000)
	if testing.Short() {
		schedules = 400
	}
	did := map[string]int{}
	for seed := range schedules {
		w := newWorld(faults{}, rand.New(rand.NewPCG(seed, 0)).IntN)
		w.run(400)
		if w.wrong != "" {
			t.Fatalf("schedule %d: %s", seed, w.wrong)
		}
		for k, n := range w.did {
			did[k] += n
		}
	}
	t.Logf("%d schedules: %v", schedules, did)
	for what, least := range map[string]uint64{
		"armed": 2, "unarmed": 8, "harder": 100, "easier": 20, "resumed": 2, "coasting": 20, "waits": 5,
		"acknowledgements": 1, "lost writes": 1, "crashes": 1, "histories": 8, "A1": 4, "A6": 10,
	} {
		if uint64(did[what]) < schedules/least {
			t.Errorf("%s: only %d times in %d schedules", what, did[what], schedules)
		}
	}
}

// Each thing that the core relies on is there for a reason: without it, some
// schedule breaks a promise. The search starts near a schedule that does.
func TestPromiseDoesNotHoldWithoutEachRule(t *testing.T) {
	for name, broken := range map[string]struct {
		faults
		from uint64
	}{
		"writes without a precondition":        {faults{noPrecondition: true}, 3450},
		"an acknowledgement before the reply":  {faults{ackWhenSent: true}, 13490},
		"memory stored after the rest":         {faults{memoryLate: true}, 11340},
		"a restart from an older memory":       {faults{memoryOld: true}, 0},
		"rolls that count from their receipt":  {faults{sentLate: true}, 0},
		"relays without their age":             {faults{ageIgnored: true}, 0},
		"reads that are not linearizable":      {faults{staleReads: true}, 0},
		"orders echoed before they are obeyed": {faults{orderEarly: true}, 1840},
		"the NodeGuard read before the commit": {faults{readEarly: true}, 39870},
		"C−1 acknowledgements":                 {faults{fewerAcks: true}, 860},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(60000) {
				w := newWorld(broken.faults, rand.New(rand.NewPCG(broken.from+seed, 1)).IntN)
				if w.run(400); w.wrong != "" {
					t.Logf("schedule %d: %s", broken.from+seed, w.wrong)
					return
				}
			}
			t.Error("no schedule breaks a promise: the rule, or this test, is useless")
		})
	}
}

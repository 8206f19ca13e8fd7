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

// schedule returns the choices of one schedule. Seeds that are near each other
// would begin alike in PCG.
func schedule(seed uint64) func(int) int {
	return rand.New(rand.NewPCG(seed*0x9e3779b97f4a7c15, ^seed)).IntN
}

// The same in many more schedules, with proof that they go where it hurts.
func TestPromiseHoldsInManySchedules(t *testing.T) {
	schedules := uint64(3000)
	if testing.Short() {
		schedules = 400
	}
	did := map[string]int{}
	for seed := range schedules {
		w := newWorld(faults{}, schedule(seed))
		w.run(400)
		if w.wrong != "" {
			t.Fatalf("schedule %d: %s", seed, w.wrong)
		}
		for k, n := range w.did {
			did[k] += n
		}
	}
	t.Logf("%d schedules: %v", schedules, did)
	if testing.Short() {
		return // too few to count
	}
	for what, least := range map[string]uint64{
		"armed": 2, "unarmed": 8, "harder": 150, "easier": 20, "resumed": 2, "coasting": 40, "waits": 8,
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
		"writes without a precondition":        {faults{noPrecondition: true}, 8260},
		"an acknowledgement before the reply":  {faults{ackWhenSent: true}, 2860},
		"memory stored after the rest":         {faults{memoryLate: true}, 21980},
		"a restart from an older memory":       {faults{memoryOld: true}, 0},
		"rolls that count from their receipt":  {faults{sentLate: true}, 0},
		"relays without their age":             {faults{ageIgnored: true}, 0},
		"reads that are not linearizable":      {faults{staleReads: true}, 0},
		"orders echoed before they are obeyed": {faults{orderEarly: true}, 0},
		"the NodeGuard read before the commit": {faults{readEarly: true}, 6640},
		"C−1 acknowledgements":                 {faults{fewerAcks: true}, 13190},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(60000) {
				w := newWorld(broken.faults, schedule(broken.from+seed))
				if w.run(400); w.wrong != "" {
					t.Logf("schedule %d: %s", broken.from+seed, w.wrong)
					return
				}
			}
			t.Error("no schedule breaks a promise: the rule, or this test, is useless")
		})
	}
}

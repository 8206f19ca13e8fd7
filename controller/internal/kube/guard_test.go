package kube

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/timing"
)

func TestGuardOf(t *testing.T) {
	promise := timing.Promise{Armed: true, RollLife: 5 * time.Second, PetDelay: time.Second, Timeout: 10 * time.Second, Kappa: 1020}
	full := v1alpha1.NodeGuardStatus{
		Writes: 3, BootID: "boot", MachineID: "machine", SystemUUID: "system",
		Addresses: []string{"10.0.0.1:1"}, Fingerprint: "ff", Phase: "Armed", Promise: v1alpha1.PromiseOf(promise),
		Watchdog: v1alpha1.Watchdog{Verified: true},
		Acked:    v1alpha1.Acked{History: "h", Serial: 4, Fences: []string{"f.1"}, Streak: 6},
		Refutes:  "f.2", Lost: []string{"b"}, Storage: v1alpha1.Storage{State: "Clean"},
		Conditions: []metav1.Condition{
			{Type: "PeersLost", Status: metav1.ConditionTrue},
			{Type: "HistoryBroken", Status: metav1.ConditionTrue, Reason: "R", Message: "serial 3 after 4"},
		},
	}
	void := full
	void.Promise.Kappa = 1
	quiet := v1alpha1.NodeGuardStatus{
		Promise: v1alpha1.Promise{Armed: false, Timeout: metav1.Duration{Duration: time.Second}},
		Storage: v1alpha1.Storage{State: "Dirty"},
		Conditions: []metav1.Condition{
			{Type: "PeersLost", Status: metav1.ConditionFalse}, {Type: "HistoryBroken", Status: metav1.ConditionUnknown},
		},
	}
	want := plan.GuardStatus{
		Writes: 3, Boot: "boot", MachineID: "machine", SystemUUID: "system",
		Addresses: []string{"10.0.0.1:1"}, Fingerprint: "ff", Promise: promise, Gated: true, Verified: true,
		History: "h", Serial: 4, Fences: []string{"f.1"}, Streak: 6, Refutes: "f.2", Lost: []string{"b"},
		PeersLost: true, HistoryBroken: "serial 3 after 4", Clean: true,
	}
	leaving, unarmed := quiet, quiet
	leaving.Phase, unarmed.Phase = "Leaving", "Unarmed"
	wantVoid := want
	wantVoid.Promise = timing.Promise{}
	for name, test := range map[string]struct {
		status v1alpha1.NodeGuardStatus
		want   plan.GuardStatus
	}{
		"everything":                            {full, want},
		"C9: a void promise counts as unarmed":  {void, wantVoid},
		"an unarmed node promises nothing else": {quiet, plan.GuardStatus{}},
		"A13: unarmed":                          {unarmed, plan.GuardStatus{}},
		"A13: unarmed by its word, and not yet": {leaving, plan.GuardStatus{Gated: true}},
	} {
		t.Run(name, func(t *testing.T) {
			got := guardOf(&v1alpha1.NodeGuard{
				ObjectMeta: metav1.ObjectMeta{Name: "a", ResourceVersion: "7"}, Status: test.status,
			})
			if diff := cmp.Diff(plan.Guard{Name: "a", Version: "7", Status: test.want}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The planner compares what it wants with what it reads: what comes back from
// the API must be equal, or it writes for ever.
func TestGuardSpecSurvivesTheAPI(t *testing.T) {
	for name, want := range map[string]plan.GuardSpec{
		"everything": {
			NodeUID:    "uid",
			Neighbours: []plan.Peer{{Node: "b", Addresses: []string{"10.0.0.2:1", "[fd::2]:1"}, Fingerprint: "aa", Place: plan.Place{Zone: "z1", Rack: "r1"}}},
			Witnesses:  []plan.Peer{{Node: "c", Addresses: nil, Fingerprint: "bb"}},
			Callers:    []plan.Peer{{Node: "d", Addresses: []string{"10.0.0.4:1"}, Fingerprint: "cc"}},
			Profile:    timing.Fast(), ProbeEvery: 640 * time.Millisecond, Unarmed: "Observe", FencedBoot: "old",
			Watchdog: plan.Watchdog{PreferSoftdog: true, Device: "watchdog1", TakeOver: true, AcceptVM: true},
			Place:    plan.Place{Zone: "z2", Rack: "r2"},
		},
		"as little as possible": {NodeUID: "uid", Profile: timing.Standard(), ProbeEvery: 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := json.Marshal(apiGuardSpec(want))
			if err != nil {
				t.Fatal(err)
			}
			var kept v1alpha1.NodeGuardSpec
			if err := json.Unmarshal(raw, &kept); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, guardSpecOf(kept)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSignsOfLifeDoNotUrge(t *testing.T) {
	a := plan.Guard{Version: "1", Status: plan.GuardStatus{Writes: 1, Serial: 5}}
	if b := (plan.Guard{Version: "2", Status: plan.GuardStatus{Writes: 2, Serial: 5}}); !sameGuard(a, b) {
		t.Error("a sign of life alone urges a plan")
	}
	if b := (plan.Guard{Version: "2", Status: plan.GuardStatus{Writes: 2, Serial: 6}}); sameGuard(a, b) {
		t.Error("an acknowledgement urges no plan")
	}
}

package kube

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

func TestFenceOf(t *testing.T) {
	for name, test := range map[string]struct {
		fence v1alpha1.NodeFence
		want  plan.Fence
	}{
		"named by the spec": {
			v1alpha1.NodeFence{
				ObjectMeta: metav1.ObjectMeta{Name: "x", Annotations: map[string]string{nhcNode: "b"}},
				Spec:       v1alpha1.NodeFenceSpec{Node: "a", Reason: "PeersLost"},
			},
			plan.Fence{Name: "x", Node: "a", Reason: plan.PeersLost},
		},
		"named by NHC's annotation": {
			v1alpha1.NodeFence{ObjectMeta: metav1.ObjectMeta{
				Name: "a-x7f2p", Annotations: map[string]string{nhcNode: "a"},
				OwnerReferences: []metav1.OwnerReference{{Kind: "NodeHealthCheck"}},
			}},
			plan.Fence{Name: "a-x7f2p", Node: "a", Reason: plan.Requested, Foreign: true},
		},
		"named by its own name, labelled by NHC": {
			v1alpha1.NodeFence{ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{nhcPartOf: nhcController}}},
			plan.Fence{Name: "a", Node: "a", Reason: plan.Requested, Foreign: true},
		},
		"proven dead, being deleted": {
			v1alpha1.NodeFence{
				ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "u", ResourceVersion: "9", DeletionTimestamp: &metav1.Time{Time: wall}},
				Spec:       v1alpha1.NodeFenceSpec{Proof: &v1alpha1.Proof{BootID: "boot", Kind: "PowerOff", By: "bmc"}},
			},
			plan.Fence{
				Name: "a", UID: "u", Version: "9", Node: "a", Reason: plan.Requested,
				Proof: "boot", ProofBy: "PowerOff by bmc", Deleting: true,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, fenceOf(&test.fence)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func aFenceStatus() plan.FenceStatus {
	return plan.FenceStatus{
		Node: "a", NodeUID: "uid-a", Boot: "boot", MachineID: "machine", SystemUUID: "system",
		Fence: "uid.3", Attempt: 3, Phase: plan.Withheld, WaitsFor: "C5: the wait of 21s",
		DeadlineIn: 21 * time.Second, Acknowledged: []string{"b", "c"}, QuorumShort: true,
		Steps: []plan.Step{{Rule: plan.C1, What: "suspected"}, {Rule: plan.C5, What: "acknowledged"}},
	}
}

// write returns the fence with the status as the API gives it back.
func write(t *testing.T, f v1alpha1.NodeFence, s plan.FenceStatus, at time.Time) v1alpha1.NodeFence {
	t.Helper()
	f.Status = apiFenceStatus(&f, s, at)
	raw, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var kept v1alpha1.NodeFence
	if err := json.Unmarshal(raw, &kept); err != nil {
		t.Fatal(err)
	}
	return kept
}

func TestFenceStatusSurvivesTheAPI(t *testing.T) {
	for name, want := range map[string]plan.FenceStatus{
		"nothing":    {},
		"everything": aFenceStatus(),
		"blocked":    {Node: "a", Phase: plan.Blocked, Blockers: []string{"Paused: x"}, Fence: "uid.1", Attempt: 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := v1alpha1.NodeFence{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(wall)}}
			f = write(t, f, want, wall.Add(3*time.Second))
			got := fenceStatusOf(&f)
			if (want.DeadlineIn == 0) != (got.DeadlineIn == 0) {
				t.Errorf("deadline %v became %v", want.DeadlineIn, got.DeadlineIn)
			}
			want.DeadlineIn, got.DeadlineIn = 0, 0
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestStepsAndDeadlineKeepTheirTime(t *testing.T) {
	f := v1alpha1.NodeFence{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(wall.Add(-time.Minute))}}
	f = write(t, f, aFenceStatus(), wall)

	s := fenceStatusOf(&f)
	s.Steps = append(s.Steps, plan.Step{Rule: plan.C5, What: "tainted"})
	f = write(t, f, s, wall.Add(30*time.Second))
	if want := wall.Add(21 * time.Second); !f.Status.Deadline.Time.Equal(want) {
		t.Errorf("deadline %v, want %v", f.Status.Deadline, want)
	}
	var at []time.Time
	for _, step := range f.Status.Timeline {
		at = append(at, step.At.UTC())
	}
	if diff := cmp.Diff([]time.Time{wall, wall, wall.Add(30 * time.Second)}, at); diff != "" {
		t.Error(diff)
	}

	s = fenceStatusOf(&f)
	s.DeadlineIn = 21 * time.Second // C10: another leader starts the wait again
	f = write(t, f, s, wall.Add(40*time.Second))
	if want := wall.Add(61 * time.Second); !f.Status.Deadline.Time.Equal(want) {
		t.Errorf("after a restart of the wait: deadline %v, want %v", f.Status.Deadline, want)
	}
	s.DeadlineIn = 0
	if f = write(t, f, s, wall); f.Status.Deadline != nil {
		t.Errorf("a dropped wait keeps its deadline: %v", f.Status.Deadline)
	}
}

func TestAttempt(t *testing.T) {
	for id, want := range map[string]int{"": 0, "uid.1": 1, "a.b.12": 12, "uid": 0, "uid.": 0} {
		if got := attempt(id); got != want {
			t.Errorf("attempt(%q) = %d, want %d", id, got, want)
		}
	}
}

// The words that node-healthcheck-operator reads.
func TestFenceConditions(t *testing.T) {
	type words struct{ Processing, Succeeded, QuorumBlocked metav1.ConditionStatus }
	for phase, want := range map[plan.Phase]words{
		"":             {"True", "Unknown", "False"},
		plan.Pending:   {"True", "Unknown", "False"},
		plan.Suspected: {"True", "Unknown", "False"},
		plan.Withheld:  {"True", "Unknown", "False"},
		plan.Fenced:    {"True", "Unknown", "False"},
		plan.Detached:  {"False", "True", "False"},
		plan.Recovered: {"False", "True", "False"},
		plan.Refuted:   {"False", "False", "False"},
		plan.Blocked:   {"False", "Unknown", "False"},
	} {
		got := map[string]metav1.ConditionStatus{}
		for _, c := range fenceConditions(plan.FenceStatus{Phase: phase}) {
			got[c.Type] = c.Status
			if c.Reason == "" {
				t.Errorf("phase %q: condition %s has no reason; the API refuses it", phase, c.Type)
			}
		}
		if diff := cmp.Diff(want, words{got["Processing"], got["Succeeded"], got["QuorumBlocked"]}); diff != "" {
			t.Errorf("phase %q:\n%s", phase, diff)
		}
	}
}

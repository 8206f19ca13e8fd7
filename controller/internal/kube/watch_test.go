package kube

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// start runs f until the test ends.
func start(t *testing.T, f func(context.Context)) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { f(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
}

func TestWorldFollowsTheAPI(t *testing.T) {
	a, s, _ := newAPI(t)
	s.put(nodePath, aNode(func(n *corev1.Node) { n.Status.Conditions[1].Status = corev1.ConditionFalse }))
	s.put(guardPath, &v1alpha1.NodeGuard{Status: v1alpha1.NodeGuardStatus{BootID: "boot"}})
	for i, name := range []string{"old", "new"} {
		s.put("/apis/picket.dev/v1alpha1/nodefences/"+name, &v1alpha1.NodeFence{
			ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(wall.Add(time.Duration(i) * time.Second))},
		})
	}
	if a.Synced() {
		t.Error("synced before anything was listed")
	}
	start(t, a.Watch)
	if err := a.WaitForSync(t.Context()); err != nil || !a.Synced() {
		t.Fatal(err)
	}
	w := a.World()
	if w.Nodes["a"].Boot != "boot" || w.Nodes["a"].NotReadyFor != time.Minute || w.Guards["a"].Status.Boot != "boot" {
		t.Errorf("the world has %+v", w)
	}
	var names []string
	for _, f := range w.Fences {
		names = append(names, f.Name)
	}
	if diff := cmp.Diff([]string{"old", "new"}, names); diff != "" {
		t.Errorf("fences, the oldest first:\n%s", diff)
	}

	s.watching(t, 4)
	s.put(policyPath, &v1alpha1.FencingPolicy{Spec: v1alpha1.FencingPolicySpec{Mode: "Observe"}})
	s.put(nodePath, aNode(func(n *corev1.Node) { n.Status.NodeInfo.BootID = "next" }))
	<-a.Urgent()
	eventually(t, "the changes are in the world", func() bool {
		w := a.World()
		return w.Policy.Observe && w.Nodes["a"].Boot == "next" && w.Nodes["a"].NotReadyFor == 0
	})
}

// A failed list is tried again soon: client-go alone would pause up to 30 s.
func TestWatchIsBackSoonAfterAnOutage(t *testing.T) {
	a, s, _ := newAPI(t)
	var mu sync.Mutex
	refused := map[string]int{}
	s.fail = func(r request) int {
		mu.Lock()
		defer mu.Unlock()
		if refused[r.path]++; refused[r.path] <= 6 {
			return 500
		}
		return 0
	}
	began := time.Now()
	start(t, a.Watch)
	if err := a.WaitForSync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestPolicyIsReviewed(t *testing.T) {
	a, s, events := newAPI(t)
	put := func(rollInterval time.Duration) {
		s.put(policyPath, &v1alpha1.FencingPolicy{
			ObjectMeta: metav1.ObjectMeta{Generation: int64(rollInterval / time.Second)},
			Spec: v1alpha1.FencingPolicySpec{Overrides: v1alpha1.Timing{
				RollInterval: &metav1.Duration{Duration: rollInterval},
			}},
		})
	}
	accepted := func() (c metav1.Condition) {
		var p v1alpha1.FencingPolicy
		s.get(policyPath, &p)
		if found := meta.FindStatusCondition(p.Status.Conditions, "Accepted"); found != nil {
			c = *found
		}
		return c
	}
	put(time.Second)
	start(t, a.Watch)
	if err := a.WaitForSync(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.watching(t, 4)
	start(t, a.Attend)
	eventually(t, "accepted", func() bool { return accepted().Status == metav1.ConditionTrue })
	good := a.World().Policy.Profile

	put(60 * time.Second)
	warning := <-events.Events
	if !strings.Contains(warning, "Warning InvalidPolicy") || !strings.Contains(warning, "2·rollInterval ≤ rollLife/2") {
		t.Errorf("the warning does not name the inequality: %s", warning)
	}
	eventually(t, "refused", func() bool {
		c := accepted()
		return c.Status == metav1.ConditionFalse && strings.Contains(c.Message, "rollLife")
	})
	if w := a.World(); w.Policy.Profile != good || w.Policy.Paused != "" {
		t.Errorf("the policy in force is %+v", w.Policy)
	}
}

// NHC gives a fence up and deletes it: nothing of ours keeps it.
func TestTimedOutFencesAreReleased(t *testing.T) {
	a, s, _ := newAPI(t)
	for name, notes := range map[string]map[string]string{"given-up": {nhcTimedOut: "x"}, "deleted": nil} {
		s.put("/apis/picket.dev/v1alpha1/nodefences/"+name, &v1alpha1.NodeFence{ObjectMeta: metav1.ObjectMeta{
			Annotations: notes, Finalizers: []string{FenceFinalizer}, DeletionTimestamp: &metav1.Time{Time: wall},
		}})
	}
	start(t, a.Watch)
	if err := a.WaitForSync(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.watching(t, 4)
	start(t, a.Attend)
	eventually(t, "released", func() bool { return len(a.World().Fences) == 1 })
	if s.get("/apis/picket.dev/v1alpha1/nodefences/given-up", &v1alpha1.NodeFence{}) {
		t.Error("still there")
	}
	if !s.get("/apis/picket.dev/v1alpha1/nodefences/deleted", &v1alpha1.NodeFence{}) {
		t.Error("a fence that NHC still waits for was released")
	}
}

// NotReadyFor grows with the wall clock, without any event.
func TestNotReadyForGrows(t *testing.T) {
	a, s, _ := newAPI(t)
	seed(t, s, a.nodes, nodePath, aNode(func(n *corev1.Node) { n.Status.Conditions[1].Status = corev1.ConditionUnknown }), &corev1.Node{})
	now := wall
	a.cfg.Wall = func() time.Time { return now }
	var got []time.Duration
	for range 3 {
		got = append(got, a.World().Nodes["a"].NotReadyFor)
		now = now.Add(time.Minute)
	}
	if diff := cmp.Diff([]time.Duration{time.Minute, 2 * time.Minute, 3 * time.Minute}, got); diff != "" {
		t.Error(diff)
	}
}

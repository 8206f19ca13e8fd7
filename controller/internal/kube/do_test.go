package kube

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

const (
	nodePath   = "/api/v1/nodes/a"
	guardPath  = "/apis/picket.dev/v1alpha1/nodeguards/a"
	fencePath  = "/apis/picket.dev/v1alpha1/nodefences/f"
	rollPath   = "/apis/picket.dev/v1alpha1/rolls/cluster"
	podPath    = "/api/v1/namespaces/ns/pods/p"
	policyPath = "/apis/picket.dev/v1alpha1/fencingpolicies/default"
)

// seed puts an object into the stand-in and shows it to a mirror.
func seed[T metav1.Object, V any](t *testing.T, s *standIn, m *mirror[T, V], path string, o, into T) string {
	t.Helper()
	v := s.put(path, o)
	if !s.get(path, into) {
		t.Fatal("not stored")
	}
	if err := m.Update(into); err != nil {
		t.Fatal(err)
	}
	return v
}

func seedNode(t *testing.T, a *API, s *standIn, taints ...corev1.Taint) string {
	t.Helper()
	return seed(t, s, a.nodes, nodePath, aNode(func(n *corev1.Node) { n.Spec.Taints = taints }), &corev1.Node{})
}

func seedGuard(t *testing.T, a *API, s *standIn) string {
	t.Helper()
	return seed(t, s, a.guards, guardPath, &v1alpha1.NodeGuard{Status: v1alpha1.NodeGuardStatus{BootID: "boot"}}, &v1alpha1.NodeGuard{})
}

func seedFence(t *testing.T, a *API, s *standIn, change func(*v1alpha1.NodeFence)) string {
	t.Helper()
	f := &v1alpha1.NodeFence{Spec: v1alpha1.NodeFenceSpec{Node: "a"}}
	if change != nil {
		change(f)
	}
	return seed(t, s, a.fences, fencePath, f, &v1alpha1.NodeFence{})
}

func aRoll(version string, serial int64) plan.Roll {
	return plan.Roll{Version: version, Roll: roll.Roll{History: "h", Serial: serial, PollEvery: 1}}
}

func seedRoll(t *testing.T, a *API, s *standIn) string {
	t.Helper()
	v := s.put(rollPath, &v1alpha1.Roll{
		ObjectMeta: metav1.ObjectMeta{Finalizers: []string{v1alpha1.RollFinalizer}},
		Spec:       v1alpha1.RollSpecOf(aRoll("", 1).Roll),
	})
	if err := a.ReadRoll(t.Context()); err != nil {
		t.Fatal(err)
	}
	return v
}

func does(t *testing.T, a *API, action plan.Action) any {
	t.Helper()
	answer, err := a.Do(t.Context(), action)
	if err != nil {
		t.Fatalf("%T: %v", action, err)
	}
	return answer
}

// Each write, on an object that somebody else changed meanwhile, changes
// nothing, says so, and the world has the newest object at once.
func TestWritesArePreconditioned(t *testing.T) {
	spec := plan.GuardSpec{NodeUID: "uid-a", Profile: timing.Standard()}
	for name, test := range map[string]struct {
		path   string
		seed   func(*testing.T, *API, *standIn) string
		change any
		action func(version string) plan.Action
		now    func(plan.World) string // the version in the world
	}{
		"PutTaints": {
			nodePath, func(t *testing.T, a *API, s *standIn) string { return seedNode(t, a, s) }, aNode(nil),
			func(v string) plan.Action { return plan.PutTaints{Node: "a", Version: v, Rule: plan.C5} },
			func(w plan.World) string { return w.Nodes["a"].Version },
		},
		"PutGuard": {
			guardPath, seedGuard, &v1alpha1.NodeGuard{},
			func(v string) plan.Action { return plan.PutGuard{Node: "a", Version: v, Spec: spec} },
			func(w plan.World) string { return w.Guards["a"].Version },
		},
		"PutGuard of a new one": {
			guardPath, func(*testing.T, *API, *standIn) string { return "" }, &v1alpha1.NodeGuard{},
			func(v string) plan.Action { return plan.PutGuard{Node: "a", Version: v, Spec: spec} },
			func(w plan.World) string { return w.Guards["a"].Version },
		},
		"DropGuard": {
			guardPath, seedGuard, &v1alpha1.NodeGuard{},
			func(v string) plan.Action { return plan.DropGuard{Node: "a", Version: v} },
			func(w plan.World) string { return w.Guards["a"].Version },
		},
		"PutFence": {
			fencePath, func(t *testing.T, a *API, s *standIn) string { return seedFence(t, a, s, nil) },
			&v1alpha1.NodeFence{Spec: v1alpha1.NodeFenceSpec{Node: "a"}},
			func(v string) plan.Action {
				return plan.PutFence{Name: "f", Version: v, Status: plan.FenceStatus{Phase: plan.Pending}}
			},
			func(w plan.World) string { return w.Fences[0].Version },
		},
		"DropFence": {
			fencePath, func(t *testing.T, a *API, s *standIn) string { return seedFence(t, a, s, nil) },
			&v1alpha1.NodeFence{Spec: v1alpha1.NodeFenceSpec{Node: "a"}},
			func(v string) plan.Action { return plan.DropFence{Name: "f", UID: "uid-f", Version: v} },
			func(w plan.World) string { return w.Fences[0].Version },
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, s, _ := newAPI(t)
			version := test.seed(t, a, s)
			newest := s.put(test.path, test.change)
			_, err := a.Do(t.Context(), test.action(version))
			if !errors.Is(err, ErrConflict) {
				t.Errorf("got %v, want a conflict", err)
			}
			if got := test.now(a.World()); got != newest {
				t.Errorf("the world has version %s, the API %s", got, newest)
			}
			var kept metav1.PartialObjectMetadata
			if !s.get(test.path, &kept) || kept.ResourceVersion != newest {
				t.Errorf("the object was changed: %+v", kept.ObjectMeta)
			}
		})
	}
}

// An action that was decided upon an older version than the world has is not
// even sent.
func TestStaleActionsAreNotSent(t *testing.T) {
	for _, action := range []plan.Action{
		plan.PutRoll{Roll: aRoll("1", 2)}, plan.ReleaseRoll{Version: "1"},
		plan.PutGuard{Node: "a", Version: "1"}, plan.DropGuard{Node: "a", Version: "1"},
		plan.PutFence{Name: "f", Version: "1"}, plan.DropFence{Name: "f", UID: "uid-f", Version: "1"},
	} {
		a, s, _ := newAPI(t)
		seedGuard(t, a, s)
		version := seedFence(t, a, s, nil)
		seedRoll(t, a, s)
		s.requests()
		if _, err := a.Do(t.Context(), action); !errors.Is(err, ErrConflict) {
			t.Errorf("%T: got %v, want a conflict", action, err)
		}
		if f, ok := action.(plan.DropFence); ok {
			f.Version, f.UID = version, "another"
			if _, err := a.Do(t.Context(), f); !errors.Is(err, ErrConflict) {
				t.Errorf("%T of another UID: got %v, want a conflict", action, err)
			}
		}
		if got := s.requests(); len(got) != 0 {
			t.Errorf("%T: sent %v", action, got)
		}
	}
}

func TestGoneObjectsLeaveTheWorld(t *testing.T) {
	a, s, _ := newAPI(t)
	nodeV, guardV, fenceV := seedNode(t, a, s), seedGuard(t, a, s), seedFence(t, a, s, nil)
	s.mu.Lock()
	clear(s.objects)
	s.mu.Unlock()
	for _, action := range []plan.Action{
		plan.PutTaints{Node: "a", Version: nodeV}, plan.PutGuard{Node: "a", Version: guardV},
		plan.PutFence{Name: "f", Version: fenceV, Status: plan.FenceStatus{Phase: plan.Refuted}},
	} {
		if _, err := a.Do(t.Context(), action); !errors.Is(err, ErrConflict) {
			t.Errorf("%T: got %v, want a conflict", action, err)
		}
	}
	if w := a.World(); len(w.Nodes)+len(w.Guards)+len(w.Fences) != 0 {
		t.Errorf("the world still has them: %+v", w)
	}
}

func TestPutTaints(t *testing.T) {
	a, s, _ := newAPI(t)
	added := &metav1.Time{Time: wall}
	version := seedNode(t, a, s, corev1.Taint{Key: "foreign", Effect: corev1.TaintEffectNoExecute, TimeAdded: added})
	does(t, a, plan.PutTaints{
		Node: "a", Version: version, Rule: plan.C5, Fence: "u.1", OutOfService: "u.1",
		Taints: []plan.Taint{
			{Key: "foreign", Effect: "NoExecute"},
			{Key: plan.OutOfServiceKey, Value: "nodeshutdown", Effect: "NoExecute"},
		},
	})
	if got := s.requests(); len(got) != 1 {
		t.Errorf("taints and annotations took %v", got)
	}
	var n corev1.Node
	s.get(nodePath, &n)
	want := []corev1.Taint{
		{Key: "foreign", Effect: corev1.TaintEffectNoExecute, TimeAdded: added},
		{Key: plan.OutOfServiceKey, Value: "nodeshutdown", Effect: corev1.TaintEffectNoExecute},
	}
	if diff := cmp.Diff(want, n.Spec.Taints); diff != "" {
		t.Error(diff)
	}
	marks := map[string]string{"somebody/else": "x", AnnotationFence: "u.1", AnnotationOutOfService: "u.1"}
	if diff := cmp.Diff(marks, n.Annotations); diff != "" {
		t.Error(diff)
	}
	w := a.World().Nodes["a"]
	if w.Fence != "u.1" || w.OutOfService != "u.1" || len(w.Taints) != 2 {
		t.Errorf("the next world does not show the write: %+v", w)
	}
	does(t, a, plan.PutTaints{Node: "a", Version: w.Version, Rule: plan.C8})
	n = corev1.Node{}
	s.get(nodePath, &n)
	if diff := cmp.Diff(map[string]string{"somebody/else": "x"}, n.Annotations); diff != "" || len(n.Spec.Taints) != 0 {
		t.Errorf("after lifting: %v, annotations:\n%s", n.Spec.Taints, diff)
	}
	if _, err := a.Do(t.Context(), plan.PutTaints{Node: "a"}); err == nil {
		t.Error("taints were written without a version")
	}
}

func TestRollIsMadeWithItsFinalizer(t *testing.T) {
	a, s, _ := newAPI(t)
	if err := a.ReadRoll(t.Context()); err != nil || a.World().Roll != nil {
		t.Fatalf("no Roll: got %+v, %v", a.World().Roll, err)
	}
	before := s.clock.readings()
	does(t, a, plan.PutRoll{Roll: aRoll("", 1)})
	got := a.World().Roll
	if got == nil || got.Serial != 1 || got.Version == "" || got.Sent.Raw <= timing.At(0).Raw || int64(got.Sent.Raw) != before+1 {
		t.Errorf("the world has %+v", got)
	}
	var r v1alpha1.Roll
	if s.get(rollPath, &r); !slices.Contains(r.Finalizers, v1alpha1.RollFinalizer) {
		t.Error("the Roll has no finalizer")
	}
	if _, err := a.Do(t.Context(), plan.PutRoll{Roll: aRoll("", 1)}); !errors.Is(err, ErrConflict) {
		t.Errorf("made twice: %v", err)
	}
}

// Roll.Sent promises that nothing in the Roll is older than that: it is read
// before the request leaves, for reads as for writes.
func TestRollIsStampedBeforeItIsSent(t *testing.T) {
	a, s, _ := newAPI(t)
	version := seedRoll(t, a, s)
	for name, ask := range map[string]func(){
		"read":  func() { _ = a.ReadRoll(t.Context()) },
		"write": func() { does(t, a, plan.PutRoll{Roll: aRoll(version, 2)}) },
	} {
		s.requests()
		ask()
		sent := int64(a.World().Roll.Sent.Raw)
		if all := s.requests(); len(all) != 1 || all[0].readings != sent {
			t.Errorf("%s: stamped at reading %d, requests: %+v", name, sent, all)
		}
	}
}

func TestDeletedRollIsReleased(t *testing.T) {
	a, s, _ := newAPI(t)
	seedRoll(t, a, s)
	if err := a.cfg.Picket.Rolls.Delete(t.Context(), a.roll.object); err != nil {
		t.Fatal(err)
	}
	if err := a.ReadRoll(t.Context()); err != nil || !a.World().Roll.Deleting {
		t.Fatalf("got %+v, %v", a.World().Roll, err)
	}
	does(t, a, plan.ReleaseRoll{Version: a.World().Roll.Version})
	if a.World().Roll != nil {
		t.Errorf("the world still has it: %+v", a.World().Roll)
	}
}

// A failed read says nothing about the Roll, and a server that does not know
// Rolls does not say that there is none.
func TestFailedReadsAreNoAnswers(t *testing.T) {
	for name, fail := range map[string]func(*API, *standIn){
		"forbidden":  func(_ *API, s *standIn) { s.fail = func(request) int { return 403 } },
		"broken":     func(_ *API, s *standIn) { s.fail = func(request) int { return 500 } },
		"overloaded": func(_ *API, s *standIn) { s.fail = func(request) int { return 429 } },
		"no CRD":     func(_ *API, s *standIn) { s.fail = func(request) int { return -404 } },
		"not a Roll": func(_ *API, s *standIn) { s.put(rollPath, &v1alpha1.Roll{}) },
	} {
		a, s, _ := newAPI(t)
		seedRoll(t, a, s)
		fail(a, s)
		if err := a.ReadRoll(t.Context()); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := a.Do(t.Context(), plan.Look{Node: "a"}); err == nil {
			t.Errorf("%s: a look without an error", name)
		}
		if r := a.World().Roll; r == nil || r.Serial != 1 {
			t.Errorf("%s: the Roll became %+v", name, r)
		}
	}
}

func TestOpenFencesHoldOurFinalizer(t *testing.T) {
	a, s, _ := newAPI(t)
	stored := func() (f v1alpha1.NodeFence) { s.get(fencePath, &f); return f }
	version := seedFence(t, a, s, func(f *v1alpha1.NodeFence) { f.Finalizers = []string{"other"} })
	does(t, a, plan.PutFence{Name: "f", Version: version, Status: aFenceStatus()})
	f := stored()
	if diff := cmp.Diff([]string{"other", FenceFinalizer}, f.Finalizers); diff != "" {
		t.Error(diff)
	}
	w := a.World().Fences[0]
	if w.Version != f.ResourceVersion || w.Status.Phase != plan.Withheld || w.Status.Attempt != 3 {
		t.Errorf("the next world does not show the write: %+v", w)
	}
	done := w.Status
	done.Phase = plan.Recovered
	does(t, a, plan.PutFence{Name: "f", Version: w.Version, Status: done})
	if diff := cmp.Diff([]string{"other"}, stored().Finalizers); diff != "" {
		t.Error(diff)
	}
	if got := stored().Status.Phase; got != "Recovered" {
		t.Errorf("phase %s", got)
	}
}

func TestMakeFence(t *testing.T) {
	a, s, _ := newAPI(t)
	name := strings.Repeat("n", 246) + ".x"
	does(t, a, plan.MakeFence{Node: name, Reason: plan.PeersLost})
	w := a.World().Fences
	if len(w) != 1 || w[0].Node != name || w[0].Reason != plan.PeersLost || w[0].Foreign || w[0].UID == "" {
		t.Fatalf("the world has %+v", w)
	}
	var f v1alpha1.NodeFence
	s.get("/apis/picket.dev/v1alpha1/nodefences/"+w[0].Name, &f)
	if len(f.Name) > 253 || !strings.HasPrefix(f.Name, strings.Repeat("n", 246)+"-") ||
		f.Spec.Requester != "picket" || !slices.Contains(f.Finalizers, FenceFinalizer) {
		t.Errorf("made %+v", f)
	}
}

func TestDropFence(t *testing.T) {
	for name, deleting := range map[string]bool{"ended": false, "deleted by somebody": true} {
		a, s, _ := newAPI(t)
		version := seedFence(t, a, s, func(f *v1alpha1.NodeFence) {
			f.Finalizers = []string{FenceFinalizer}
			if deleting {
				f.DeletionTimestamp = &metav1.Time{Time: wall}
			}
		})
		does(t, a, plan.DropFence{Name: "f", UID: "uid-f", Version: version})
		if s.get(fencePath, &v1alpha1.NodeFence{}) {
			t.Errorf("%s: still there", name)
		}
		if w := a.World().Fences; len(w) != 0 {
			t.Errorf("%s: the world has %+v", name, w)
		}
	}
}

// Somebody else's finalizer is never touched.
func TestDropFenceWaitsForForeignFinalizers(t *testing.T) {
	a, s, _ := newAPI(t)
	version := seedFence(t, a, s, func(f *v1alpha1.NodeFence) { f.Finalizers = []string{"other", FenceFinalizer} })
	does(t, a, plan.DropFence{Name: "f", UID: "uid-f", Version: version})
	var f v1alpha1.NodeFence
	if !s.get(fencePath, &f) || f.DeletionTimestamp == nil || !slices.Equal(f.Finalizers, []string{"other"}) {
		t.Errorf("left %+v", f.ObjectMeta)
	}
}

func TestDropGuard(t *testing.T) {
	a, s, _ := newAPI(t)
	version := seedGuard(t, a, s)
	does(t, a, plan.DropGuard{Node: "a", Version: version})
	if s.get(guardPath, &v1alpha1.NodeGuard{}) || len(a.World().Guards) != 0 {
		t.Error("still there")
	}
}

func TestPrunedFieldsAreReported(t *testing.T) {
	a, s, _ := newAPI(t)
	version := seedGuard(t, a, s)
	spec := plan.GuardSpec{NodeUID: "uid-a", Profile: timing.Standard(), FencedBoot: "boot"}
	s.prune = []string{"fencedBoot"}
	if _, err := a.Do(t.Context(), plan.PutGuard{Node: "a", Version: version, Spec: spec}); !errors.Is(err, errPruned) {
		t.Errorf("got %v, want a word about the CRDs", err)
	}
}

func TestDeletePod(t *testing.T) {
	a, s, _ := newAPI(t)
	version := s.put(podPath, &corev1.Pod{})
	x := plan.DeletePod{Namespace: "ns", Name: "p", UID: "uid-p", Version: version}
	for name, change := range map[string]func(*plan.DeletePod){
		"another pod":     func(x *plan.DeletePod) { x.UID = "uid-q" },
		"another version": func(x *plan.DeletePod) { x.Version = "1" },
	} {
		y := x
		change(&y)
		if _, err := a.Do(t.Context(), y); !errors.Is(err, ErrConflict) {
			t.Errorf("%s: got %v, want a conflict", name, err)
		}
	}
	s.requests()
	does(t, a, x)
	if all := s.requests(); len(all) != 1 || all[0].body["gracePeriodSeconds"] != 0.0 {
		t.Errorf("sent %+v", all)
	}
	does(t, a, x) // gone already
}

func TestEventsGoToTheNodeItsFenceAndTheRoll(t *testing.T) {
	a, s, events := newAPI(t)
	events.IncludeObject = true
	seedNode(t, a, s)
	seedFence(t, a, s, nil)
	does(t, a, plan.Event{Node: "a", Warning: true, Rule: plan.C9, Reason: "NotFenced", Message: "why"})
	does(t, a, plan.Event{Rule: plan.C12, Reason: "PeerPathBroken", Message: "who"})
	var got []string
	for range 3 {
		got = append(got, <-events.Events)
	}
	want := []string{
		"Warning NotFenced C9: why involvedObject{kind=Node,apiVersion=v1}",
		"Warning NotFenced C9: why involvedObject{kind=NodeFence,apiVersion=picket.dev/v1alpha1}",
		"Normal PeerPathBroken C12: who involvedObject{kind=Roll,apiVersion=picket.dev/v1alpha1}",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestUnknownActionsAreRefused(t *testing.T) {
	a, _, _ := newAPI(t)
	if _, err := a.Do(t.Context(), nil); err == nil {
		t.Error("no error")
	}
}

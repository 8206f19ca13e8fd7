package kube

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/picket-dev/picket/controller/plan"
)

func running(node string, ready corev1.ConditionStatus) *corev1.Pod {
	return &corev1.Pod{
		Spec: corev1.PodSpec{NodeName: node, Tolerations: []corev1.Toleration{{Key: "mine", Operator: "Exists"}}},
		Status: corev1.PodStatus{Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, {Type: corev1.PodReady, Status: ready},
		}},
	}
}

func retain(p *corev1.Pod) *corev1.Pod {
	p.Annotations = map[string]string{AnnotationOnFence: "retain"}
	return p
}

// C4: endpoints drop, and pods that are to stay learn to live with our taints.
func TestC4_SilencePods(t *testing.T) {
	ours := []corev1.Toleration{
		{Key: "picket.dev/fenced", Operator: "Exists"}, {Key: "node.kubernetes.io/out-of-service", Operator: "Exists"},
	}
	own := []corev1.Toleration{{Key: "mine", Operator: "Exists"}}
	taints := slices.Concat(ours, own)
	tolerating := func(list ...corev1.Toleration) *corev1.Pod {
		p := retain(running("a", "False"))
		p.Spec.Tolerations = list
		return p
	}
	// Of those that match, Kubernetes goes by the first.
	awhile := corev1.Toleration{Operator: "Exists", TolerationSeconds: new(int64(60))}
	late := append([]corev1.Toleration{awhile}, ours...)
	mirror := retain(running("a", "False"))
	mirror.Annotations[corev1.MirrorPodAnnotationKey] = "x"
	for name, test := range map[string]struct {
		pod         *corev1.Pod
		keepReady   bool
		ready       corev1.ConditionStatus
		reason      string
		tolerations []corev1.Toleration
		requests    int // beside the list
	}{
		"ready":                    {running("a", "True"), false, "False", "NodeFenced", own, 1},
		"not ready anyway":         {running("a", "False"), false, "False", "", own, 0},
		"of another node":          {running("b", "True"), false, "True", "", own, 0},
		"policy says keep":         {running("a", "True"), true, "True", "", own, 0},
		"retained":                 {retain(running("a", "True")), false, "False", "NodeFenced", taints, 2},
		"retained, policy: keep":   {retain(running("a", "True")), true, "True", "", taints, 1},
		"retained, but a mirror's": {mirror, false, "False", "", own, 0},

		"retained, and tolerates all for a while":       {tolerating(awhile), false, "False", "", append(slices.Clone(ours), awhile), 1},
		"retained, and tolerates all for a while first": {tolerating(late...), false, "False", "", slices.Concat(ours, late), 1},
		"retained, and tolerates all":                   {tolerating(tolerateAll), false, "False", "", []corev1.Toleration{tolerateAll}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			a, s, _ := newAPI(t)
			s.put(podPath, test.pod)
			does(t, a, plan.SilencePods{Node: "a", Fence: "u.1", KeepReady: test.keepReady})
			for _, r := range s.requests()[1:] {
				test.requests--
				if metaOf(r.body)["resourceVersion"] == nil || metaOf(r.body)["uid"] != "uid-p" {
					t.Errorf("%s has no precondition: %v", r, r.body)
				}
			}
			if test.requests != 0 {
				t.Errorf("%d requests too few", test.requests)
			}
			var p corev1.Pod
			s.get(podPath, &p)
			if c := readyOf(&p); c.Status != test.ready || c.Reason != test.reason {
				t.Errorf("ready: %+v", c)
			}
			if p.Status.Conditions[0].Status != corev1.ConditionTrue {
				t.Error("another condition was changed")
			}
			if diff := cmp.Diff(test.tolerations, p.Spec.Tolerations); diff != "" {
				t.Error(diff)
			}
			does(t, a, plan.SilencePods{Node: "a", Fence: "u.1", KeepReady: test.keepReady})
			if again := s.requests(); len(again) != 1 {
				t.Errorf("asked again, it did %v", again)
			}
		})
	}
}

// A pod that changed is an error, and does not keep the others from silence.
func TestSilencePodsTriesEveryPod(t *testing.T) {
	a, s, _ := newAPI(t)
	for _, name := range []string{"p", "q", "r"} {
		s.put("/api/v1/namespaces/ns/pods/"+name, running("a", "True"))
	}
	s.fail = func(r request) int {
		if r.path == podPath+"/status" {
			return 409
		}
		return 0
	}
	if _, err := a.Do(t.Context(), plan.SilencePods{Node: "a"}); !errors.Is(err, ErrConflict) {
		t.Errorf("got %v, want a conflict", err)
	}
	for _, name := range []string{"q", "r"} {
		var p corev1.Pod
		if s.get("/api/v1/namespaces/ns/pods/"+name, &p); readyOf(&p).Status != corev1.ConditionFalse {
			t.Errorf("pod %s is still ready", name)
		}
	}
}

package kubelet

import (
	"log/slog"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/picket-dev/picket/test/cluster/machine"
)

// A pod whose deletion comes while it is being rejected is let go all the same.
func TestRejectedPodIsLetGo(t *testing.T) {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "node-1"},
		Spec:       corev1.NodeSpec{Taints: []corev1.Taint{{Key: "k", Effect: corev1.TaintEffectNoExecute}}},
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "db-0", UID: "1"}}
	client := fake.NewClientset(node, pod)
	s := newSession(&Kubelet{opts: Options{Node: node.Name}, client: client, log: slog.New(slog.DiscardHandler)}, machine.Boot{})
	s.posted = time.Now()

	s.syncPod(t.Context(), node, pod)
	rejected, err := client.CoreV1().Pods(pod.Namespace).Get(t.Context(), pod.Name, metav1.GetOptions{})
	if err != nil || rejected.Status.Phase != corev1.PodFailed {
		t.Fatalf("rejected: %v, %v", rejected, err)
	}
	node.Spec.Taints = nil
	s.syncPod(t.Context(), node, pod) // the watch has not shown the rejection yet
	if s.local[pod.UID] != nil {
		t.Error("a rejected pod was admitted")
	}
	rejected.DeletionTimestamp = new(metav1.Now())
	s.syncPod(t.Context(), node, rejected)
	_, err = client.CoreV1().Pods(pod.Namespace).Get(t.Context(), pod.Name, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("still there: %v", err)
	}
}

func TestUntolerated(t *testing.T) {
	fenced := corev1.Taint{Key: "picket.dev/fenced", Value: "boot", Effect: corev1.TaintEffectNoExecute}
	for _, test := range []struct {
		name        string
		taint       corev1.Taint
		tolerations []corev1.Toleration
		want        bool
	}{
		{"nothing tolerates", fenced, nil, true},
		{"NoSchedule is no business of a kubelet", corev1.Taint{Key: "k", Effect: corev1.TaintEffectNoSchedule}, nil, false},
		{"everything", fenced, []corev1.Toleration{{Operator: corev1.TolerationOpExists}}, false},
		{"the key", fenced, []corev1.Toleration{{Key: "picket.dev/fenced", Operator: corev1.TolerationOpExists}}, false},
		{"key and value", fenced, []corev1.Toleration{{Key: "picket.dev/fenced", Value: "boot"}}, false},
		{"another value", fenced, []corev1.Toleration{{Key: "picket.dev/fenced", Value: "other"}}, true},
		{"another effect", fenced, []corev1.Toleration{{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}}, true},
		{"an empty key needs Exists", fenced, []corev1.Toleration{{Value: "boot"}}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := untolerated([]corev1.Taint{test.taint}, test.tolerations) != nil
			if got != test.want {
				t.Errorf("untolerated: %t, want %t", got, test.want)
			}
		})
	}
}

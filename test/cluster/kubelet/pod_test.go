package kubelet

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

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

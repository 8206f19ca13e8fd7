package uninstall

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// A13: nothing goes on past a node that is armed, whatever else it says.
func TestA13_AnArmedNodeStopsTheUninstall(t *testing.T) {
	guard := func(boot string, armed bool, reason string) *v1alpha1.NodeGuard {
		return &v1alpha1.NodeGuard{Status: v1alpha1.NodeGuardStatus{
			BootID: boot, Promise: v1alpha1.Promise{Armed: armed}, Reason: reason, Message: "drain it", Version: "v0.2.0",
		}}
	}
	for name, tt := range map[string]struct {
		host host
		late state
		soon state
		says string // in time
	}{
		"never guarded":           {host{boot: "b"}, clean, clean, ""},
		"an agent that never ran": {host{boot: "b", guard: &v1alpha1.NodeGuard{}}, clean, clean, ""},
		"clean":                   {host{boot: "b", ready: true, guard: guard("b", false, "Uninstalled")}, clean, clean, ""},
		"nowayout":                {host{boot: "b", ready: true, guard: guard("b", false, "HolderStays")}, leftBehind, leftBehind, "drain it"},
		"at work":                 {host{boot: "b", ready: true, guard: guard("b", false, "Stopping")}, leftBehind, waiting, ""},
		"armed":                   {host{boot: "b", ready: true, guard: guard("b", true, "")}, stillArmed, stillArmed, "asked to leave"},
		"armed, and says it left": {host{boot: "b", ready: true, guard: guard("b", true, "Uninstalled")}, stillArmed, stillArmed, "asked"},
		"armed and cut off":       {host{boot: "b", guard: guard("b", true, "")}, stillArmed, stillArmed, "delete its Node"},
		"armed in another boot":   {host{boot: "b", ready: true, guard: guard("b2", true, "")}, stillArmed, stillArmed, "in boot b2"},
		"fenced to the end":       {host{boot: "b", guard: guard("b", true, ""), dead: "b"}, leftBehind, leftBehind, "was fenced"},
		"another boot was fenced": {host{boot: "b2", ready: true, guard: guard("b2", true, ""), dead: "b"}, stillArmed, stillArmed, "asked"},
	} {
		for late, want := range map[bool]state{true: tt.late, false: tt.soon} {
			got, note := tt.host.judge(late)
			if got != want || !strings.Contains(note, tt.says) && late == (tt.late == tt.soon) {
				t.Errorf("%s, late %v: %d %q, want %d with %q", name, late, got, note, want, tt.says)
			}
		}
	}
}

// Only Picket's taints and annotations go, on exactly the version that was read.
func TestOnlyPicketsTaintsAreLifted(t *testing.T) {
	ours := corev1.Taint{Key: "picket.dev/fenced", Value: "b", Effect: corev1.TaintEffectNoExecute}
	outOfService := corev1.Taint{Key: corev1.TaintNodeOutOfService, Value: "nodeshutdown", Effect: corev1.TaintEffectNoExecute}
	other := corev1.Taint{Key: "example.org/x", Effect: corev1.TaintEffectNoSchedule}
	for name, tt := range map[string]struct {
		annotations map[string]string
		taints      []corev1.Taint
		want        string
	}{
		"none":             {nil, []corev1.Taint{other}, ""},
		"somebody else's":  {nil, []corev1.Taint{outOfService}, ""},
		"quarantine":       {map[string]string{"picket.dev/fence": "f", "x": "y"}, []corev1.Taint{ours, other}, `{"picket.dev/fence":null} [{"effect":"NoSchedule","key":"example.org/x"}]`},
		"both":             {map[string]string{"picket.dev/fence": "f", "picket.dev/out-of-service": "f"}, []corev1.Taint{outOfService, ours}, `{"picket.dev/fence":null,"picket.dev/out-of-service":null} []`},
		"annotation alone": {map[string]string{"picket.dev/fence": "f"}, nil, `{"picket.dev/fence":null} null`},
	} {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "7", Annotations: tt.annotations}, Spec: corev1.NodeSpec{Taints: tt.taints}}
		patch, ok := untaint(n)
		if ok != (tt.want != "") {
			t.Errorf("%s: %v", name, ok)
		}
		if !ok {
			continue
		}
		var got struct {
			Metadata struct {
				ResourceVersion string
				Annotations     json.RawMessage
			}
			Spec struct{ Taints any }
		}
		if err := json.Unmarshal(patch, &got); err != nil {
			t.Fatal(err)
		}
		taints, err := json.Marshal(got.Spec.Taints)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(tt.want, string(got.Metadata.Annotations)+" "+string(taints)); d != "" || got.Metadata.ResourceVersion != "7" {
			t.Errorf("%s: version %q %s", name, got.Metadata.ResourceVersion, d)
		}
	}
}

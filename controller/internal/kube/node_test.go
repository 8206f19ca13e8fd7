package kube

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/controller/plan"
)

// byDefault are the labels of a Node where people name no others.
var byDefault = labels{domain: DefaultDomainLabel, rack: DefaultRackLabel}

func aNode(change func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: "a", UID: "uid-a", ResourceVersion: "7",
			Labels:      map[string]string{DefaultDomainLabel: "z1"},
			Annotations: map[string]string{"somebody/else": "x"},
		},
		Status: corev1.NodeStatus{
			NodeInfo: corev1.NodeSystemInfo{BootID: "boot", MachineID: "machine", SystemUUID: "system", KernelVersion: "6"},
			Conditions: []corev1.NodeCondition{
				{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse, LastHeartbeatTime: metav1.NewTime(wall.Add(time.Hour))},
				{
					Type: corev1.NodeReady, Status: corev1.ConditionTrue,
					LastHeartbeatTime: metav1.NewTime(wall), LastTransitionTime: metav1.NewTime(wall.Add(-time.Minute)),
				},
			},
			Images: []corev1.ContainerImage{{SizeBytes: 1}},
		},
	}
	if change != nil {
		change(n)
	}
	return n
}

func theNode(change func(*plan.Node)) plan.Node {
	n := plan.Node{
		Name: "a", UID: "uid-a", Version: "7", Boot: "boot", MachineID: "machine", SystemUUID: "system",
		Ready: true, Heartbeat: "2026-01-02T03:04:05Z", Domain: "z1", Place: plan.Place{Zone: "z1"},
	}
	if change != nil {
		change(&n)
	}
	return n
}

func TestNodeOf(t *testing.T) {
	since := wall.Add(-time.Minute)
	for name, test := range map[string]struct {
		change   func(*corev1.Node)
		want     func(*plan.Node)
		notReady time.Time
	}{
		"plain": {},
		"not ready": {
			func(n *corev1.Node) { n.Status.Conditions[1].Status = corev1.ConditionUnknown },
			func(n *plan.Node) { n.Ready = false }, since,
		},
		"no condition yet": {
			func(n *corev1.Node) { n.Status.Conditions = nil },
			func(n *plan.Node) { n.Ready, n.Heartbeat = false, "" }, time.Time{},
		},
		"control plane": {
			func(n *corev1.Node) { n.Labels["node-role.kubernetes.io/control-plane"] = "" },
			func(n *plan.Node) { n.ControlPlane = true }, time.Time{},
		},
		"excluded": {
			func(n *corev1.Node) { n.Labels["picket.dev/exclude"] = "true" },
			func(n *plan.Node) { n.Excluded = true }, time.Time{},
		},
		"excluded from every remediator": {
			func(n *corev1.Node) { n.Labels["remediation.medik8s.io/exclude-from-remediation"] = "true" },
			func(n *plan.Node) { n.Excluded = true }, time.Time{},
		},
		"in a rack": {
			func(n *corev1.Node) { n.Labels[DefaultRackLabel] = "r7" },
			func(n *plan.Node) { n.Place.Rack = "r7" }, time.Time{},
		},
		"in no zone": {
			func(n *corev1.Node) { n.Labels = nil },
			func(n *plan.Node) { n.Domain, n.Place = "", plan.Place{} }, time.Time{},
		},
		"not excluded": {
			func(n *corev1.Node) { n.Labels["picket.dev/exclude"] = "false" }, nil, time.Time{},
		},
		"our marks and everybody's taints": {
			func(n *corev1.Node) {
				n.Annotations["picket.dev/fence"], n.Annotations["picket.dev/out-of-service"] = "f.1", "f.2"
				n.Spec.Taints = []corev1.Taint{
					{Key: "k", Value: "v", Effect: corev1.TaintEffectNoExecute, TimeAdded: &metav1.Time{Time: wall}},
				}
			},
			func(n *plan.Node) {
				n.Fence, n.OutOfService = "f.1", "f.2"
				n.Taints = []plan.Taint{{Key: "k", Value: "v", Effect: "NoExecute"}}
			}, time.Time{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := aNode(test.change)
			got := nodeOf(n, byDefault)
			if diff := cmp.Diff(node{theNode(test.want), test.notReady}, got, cmp.AllowUnexported(node{})); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(got, nodeOf(stripNode(n), byDefault), cmp.AllowUnexported(node{})); diff != "" {
				t.Errorf("stripping loses something:\n%s", diff)
			}
			if s := stripNode(n); s.Status.Images != nil || s.Annotations["somebody/else"] != "" {
				t.Errorf("not stripped: %+v", s)
			}
		})
	}
}

func TestHeartbeatsDoNotUrge(t *testing.T) {
	a := nodeOf(aNode(nil), byDefault)
	beat := nodeOf(aNode(func(n *corev1.Node) {
		n.ResourceVersion = "8"
		n.Status.Conditions[1].LastHeartbeatTime = metav1.NewTime(wall.Add(10 * time.Second))
	}), byDefault)
	if !sameNode(a, beat) {
		t.Error("a heartbeat alone urges a plan")
	}
	rebooted := nodeOf(aNode(func(n *corev1.Node) { n.Status.NodeInfo.BootID = "next" }), byDefault)
	if sameNode(a, rebooted) {
		t.Error("a new boot urges no plan")
	}
}

func TestTaintsKeepTheirTime(t *testing.T) {
	added := &metav1.Time{Time: wall}
	present := []corev1.Taint{
		{Key: "foreign", Value: "v", Effect: corev1.TaintEffectNoExecute, TimeAdded: added},
		{Key: "other", Effect: corev1.TaintEffectNoSchedule, TimeAdded: added},
	}
	got := taintsOf([]plan.Taint{
		{Key: "foreign", Value: "v", Effect: "NoExecute"}, {Key: "other", Effect: "NoExecute"},
	}, present)
	want := []corev1.Taint{
		{Key: "foreign", Value: "v", Effect: corev1.TaintEffectNoExecute, TimeAdded: added},
		{Key: "other", Effect: corev1.TaintEffectNoExecute},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if taintsOf(nil, present) == nil {
		t.Error("no taints must be an empty list, not null: a merge patch would fail")
	}
}

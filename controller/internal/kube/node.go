package kube

import (
	"maps"
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/controller/plan"
)

// Annotations of a Node by which Picket knows its own taints again.
const (
	// AnnotationFence names the fence that the quarantine belongs to.
	AnnotationFence = "picket.dev/fence"
	// AnnotationOutOfService names the fence whose out-of-service taint is ours.
	AnnotationOutOfService = "picket.dev/out-of-service"
)

// Labels of a Node that the controller reads.
const (
	labelControlPlane   = "node-role.kubernetes.io/control-plane"
	labelExclude        = "picket.dev/exclude"
	labelExcludeMedik8s = "remediation.medik8s.io/exclude-from-remediation"
)

// A node is a plan.Node, and since when it is NotReady by the wall clock.
type node struct {
	plan.Node
	notReady time.Time // zero while Ready or not known
}

// stripNode returns what the controller uses of a Node, which in a large
// cluster is a hundredth of it.
func stripNode(n *corev1.Node) *corev1.Node {
	s := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: n.Name, UID: n.UID, ResourceVersion: n.ResourceVersion, Labels: maps.Clone(n.Labels),
	}}
	for _, key := range []string{AnnotationFence, AnnotationOutOfService} {
		if v, ok := n.Annotations[key]; ok {
			metav1.SetMetaDataAnnotation(&s.ObjectMeta, key, v)
		}
	}
	s.Spec.Taints = n.Spec.Taints
	s.Status.NodeInfo = corev1.NodeSystemInfo{
		BootID: n.Status.NodeInfo.BootID, MachineID: n.Status.NodeInfo.MachineID, SystemUUID: n.Status.NodeInfo.SystemUUID,
	}
	if c := readyCondition(n); c != nil {
		s.Status.Conditions = []corev1.NodeCondition{*c}
	}
	return s
}

// A labels says which labels of a Node name its failure domain and its rack.
type labels struct{ domain, rack string }

// nodeOf returns what the planner knows of a Node.
//
// Heartbeat is that of the Ready condition alone: only the kubelet writes it,
// while other conditions may come from controllers that run elsewhere. The node
// lifecycle controller changes the condition's status and leaves the heartbeat.
func nodeOf(n *corev1.Node, by labels) node {
	v := node{Node: plan.Node{
		Name:         n.Name,
		UID:          string(n.UID),
		Version:      n.ResourceVersion,
		Boot:         n.Status.NodeInfo.BootID,
		MachineID:    n.Status.NodeInfo.MachineID,
		SystemUUID:   n.Status.NodeInfo.SystemUUID,
		Fence:        n.Annotations[AnnotationFence],
		OutOfService: n.Annotations[AnnotationOutOfService],
		Domain:       n.Labels[by.domain],
		Place:        plan.Place{Zone: n.Labels[corev1.LabelTopologyZone], Rack: n.Labels[by.rack]},
		Excluded:     n.Labels[labelExclude] == "true" || n.Labels[labelExcludeMedik8s] == "true",
	}}
	_, v.ControlPlane = n.Labels[labelControlPlane]
	for _, t := range n.Spec.Taints {
		v.Taints = append(v.Taints, plan.Taint{Key: t.Key, Value: t.Value, Effect: string(t.Effect)})
	}
	if c := readyCondition(n); c != nil {
		v.Heartbeat = c.LastHeartbeatTime.UTC().Format(time.RFC3339)
		v.Ready = c.Status == corev1.ConditionTrue
		if !v.Ready {
			v.notReady = c.LastTransitionTime.Time
		}
	}
	return v
}

func readyCondition(n *corev1.Node) *corev1.NodeCondition {
	for i := range n.Status.Conditions {
		if c := &n.Status.Conditions[i]; c.Type == corev1.NodeReady {
			return c
		}
	}
	return nil
}

// sameNode reports whether a change of a node can wait for the next plan: only
// its version or heartbeat changed.
func sameNode(a, b node) bool {
	a.Version, a.Heartbeat = b.Version, b.Heartbeat
	return reflect.DeepEqual(a, b)
}

// taintsOf returns taints as the API has them. A taint that the node carries
// already keeps the time at which it was added.
func taintsOf(taints []plan.Taint, present []corev1.Taint) []corev1.Taint {
	list := make([]corev1.Taint, 0, len(taints))
	for _, t := range taints {
		c := corev1.Taint{Key: t.Key, Value: t.Value, Effect: corev1.TaintEffect(t.Effect)}
		for _, p := range present {
			if p.Key == c.Key && p.Value == c.Value && p.Effect == c.Effect {
				c.TimeAdded = p.TimeAdded
			}
		}
		list = append(list, c)
	}
	return list
}

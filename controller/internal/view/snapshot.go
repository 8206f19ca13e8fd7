package view

import (
	"cmp"
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// A Snapshot is what the API held at one time. What could not be read is missing
// in it, and named in Gaps.
type Snapshot struct {
	// Now is the API server's time, so that no clock but the cluster's own counts.
	Now     time.Time
	Nodes   []corev1.Node
	Guards  []v1alpha1.NodeGuard
	Fences  []v1alpha1.NodeFence
	Roll    *v1alpha1.Roll
	Policy  *v1alpha1.FencingPolicy
	Leader  *coordinationv1.Lease
	Events  []corev1.Event
	Domains string // label of a Node whose value is its failure domain
	Gaps    []Gap
}

// A Gap is a kind of object that could not be read. The answers do without it.
type Gap struct {
	Kind string `json:"kind"`
	Why  string `json:"why"`
}

// has reports whether objects of the kind were read.
func (s *Snapshot) has(kind string) bool {
	return !slices.ContainsFunc(s.Gaps, func(g Gap) bool { return g.Kind == kind })
}

// Kinds of objects that a Snapshot can do without.
const (
	KindNodes  = "nodes"
	KindEvents = "events"
	KindLeases = "leases"
)

// guard returns the node's NodeGuard, or nil.
func (s *Snapshot) guard(name string) *v1alpha1.NodeGuard {
	i := slices.IndexFunc(s.Guards, func(g v1alpha1.NodeGuard) bool { return g.Name == name })
	if i < 0 {
		return nil
	}
	return &s.Guards[i]
}

// node returns the Node, or nil.
func (s *Snapshot) node(name string) *corev1.Node {
	i := slices.IndexFunc(s.Nodes, func(n corev1.Node) bool { return n.Name == name })
	if i < 0 {
		return nil
	}
	return &s.Nodes[i]
}

// FencesOf returns the node's NodeFences, the newest first.
func (s *Snapshot) FencesOf(node string) []v1alpha1.NodeFence {
	var list []v1alpha1.NodeFence
	for _, f := range s.Fences {
		if FencedNode(&f) == node {
			list = append(list, f)
		}
	}
	slices.SortStableFunc(list, func(a, b v1alpha1.NodeFence) int {
		return cmp.Or(b.CreationTimestamp.Compare(a.CreationTimestamp.Time), cmp.Compare(b.Name, a.Name))
	})
	return list
}

// OpenFence returns the node's oldest open fence, the one that the controller
// pursues, or nil.
func (s *Snapshot) OpenFence(node string) *v1alpha1.NodeFence {
	for _, f := range slices.Backward(s.FencesOf(node)) {
		if Open(&f) {
			return &f
		}
	}
	return nil
}

// FencedNode returns the name of the node that a NodeFence is about.
func FencedNode(f *v1alpha1.NodeFence) string {
	return cmp.Or(f.Status.Node, f.Spec.Node, f.Annotations["remediation.medik8s.io/node-name"], f.Name)
}

// Open reports whether anything is still to happen to the fence.
func Open(f *v1alpha1.NodeFence) bool {
	return f.Status.Phase != v1alpha1.FenceRecovered && f.Status.Phase != v1alpha1.FenceRefuted
}

// WrittenAt returns when an object's status was last written, or zero.
func WrittenAt(o metav1.Object) time.Time {
	var last time.Time
	for _, m := range o.GetManagedFields() {
		if m.Subresource == "status" && m.Time != nil && m.Time.After(last) {
			last = m.Time.Time
		}
	}
	return last
}

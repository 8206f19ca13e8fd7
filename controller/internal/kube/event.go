package kube

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// event tells people: on the Node and on its fence, or on the Roll for what
// concerns the whole cluster.
func (a *API) event(x plan.Event) {
	kind := corev1.EventTypeNormal
	if x.Warning {
		kind = corev1.EventTypeWarning
	}
	for _, about := range a.about(x.Node) {
		a.cfg.Recorder.Event(about, kind, x.Reason, string(x.Rule)+": "+x.Message)
	}
}

func (a *API) about(node string) []*corev1.ObjectReference {
	if node == "" {
		return []*corev1.ObjectReference{ours("Roll", v1alpha1.RollName, "")}
	}
	n := &corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: node}
	if known, ok := a.nodes.get(node); ok {
		n.UID = known.UID
	}
	list := []*corev1.ObjectReference{n}
	a.fences.each(func(f *v1alpha1.NodeFence) {
		phase := plan.Phase(f.Status.Phase)
		if fencedNode(f) == node && phase != plan.Recovered && phase != plan.Refuted {
			list = append(list, ours("NodeFence", f.Name, f.UID))
		}
	})
	return list
}

// ours refers to an object of our own group.
func ours(kind, name string, uid types.UID) *corev1.ObjectReference {
	return &corev1.ObjectReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: kind, Name: name, UID: uid}
}

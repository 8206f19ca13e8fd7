package kube

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/klog/v2"

	"github.com/picket-dev/picket/controller/plan"
)

const (
	// AnnotationOnFence says what happens to a pod when its node is fenced.
	AnnotationOnFence = "picket.dev/on-fence"
	// onFenceRetain leaves the pod where it is.
	onFenceRetain = "retain"
)

// survey reads what is left on a fenced node: its pods, its VolumeAttachments
// and its status.volumesAttached, each consistently. Volumes of pods that stay
// are left out: nobody will detach them.
func (a *API) survey(ctx context.Context, x plan.Survey) (plan.Surveyed, error) {
	found := plan.Surveyed{Fence: x.Fence, Sent: a.cfg.Now()}
	pods, err := a.podsOn(ctx, x.Node)
	if err != nil {
		return found, err
	}
	kept := make(volumes)
	for i := range pods {
		p := podOf(&pods[i])
		found.Pods = append(found.Pods, p)
		if p.Tolerates || p.Retain {
			if err := a.addVolumes(ctx, &pods[i], kept); err != nil {
				return found, err
			}
		}
	}
	attached, err := a.attachments.of(ctx, x.Node)
	if err != nil {
		return found, fmt.Errorf("list volumeattachments of node %s: %w", x.Node, err)
	}
	for _, va := range attached {
		if !kept.hasPV(va.pv) {
			found.Attachments = append(found.Attachments, va.name)
		}
	}
	n, err := a.getNode(ctx, x.Node)
	switch {
	case gone(err):
		return found, nil
	case err != nil:
		return found, fmt.Errorf("read volumes attached to node %s: %w", x.Node, err)
	}
	for _, v := range n.Status.VolumesAttached {
		if !kept.hasHandle(string(v.Name)) {
			found.Volumes = append(found.Volumes, string(v.Name))
		}
	}
	return found, nil
}

// podsOn lists the pods that are bound to the node, consistently.
func (a *API) podsOn(ctx context.Context, node string) ([]corev1.Pod, error) {
	list, err := a.cfg.Kube.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("spec.nodeName", node).String(),
	})
	if err != nil {
		return nil, fmt.Errorf("list pods of node %s: %w", node, err)
	}
	return list.Items, nil
}

func podOf(p *corev1.Pod) plan.Pod {
	return plan.Pod{
		Namespace:  p.Namespace,
		Name:       p.Name,
		UID:        string(p.UID),
		Version:    p.ResourceVersion,
		Tolerates:  tolerates(p),
		Retain:     retained(p),
		Deleting:   p.DeletionTimestamp != nil,
		Finalizers: clone(p.Finalizers),
	}
}

func retained(p *corev1.Pod) bool { return p.Annotations[AnnotationOnFence] == onFenceRetain }

// tolerates reports whether the pod stays under the out-of-service taint for
// ever. One that only tolerates it for a while is to go, and its node is
// already dead.
func tolerates(p *corev1.Pod) bool { return endures(p, corev1.TaintNodeOutOfService) }

// endures reports whether the pod stays for ever under a NoExecute taint of that key.
// Of several tolerations that match, Kubernetes goes by the first.
func endures(p *corev1.Pod, key string) bool {
	taint := &corev1.Taint{Key: key, Value: "nodeshutdown", Effect: corev1.TaintEffectNoExecute}
	for _, t := range p.Spec.Tolerations {
		if t.ToleratesTaint(klog.Logger{}, taint, false) {
			return t.TolerationSeconds == nil
		}
	}
	return false
}

package uninstall

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A workload is what owns pods of Picket's.
type workload struct {
	kind, name string // the name is that of its pods' label, too
	del        func(context.Context, string, metav1.DeleteOptions) error
}

// stopAgents deletes the DaemonSet, and waits for its pods.
func (u *run) stopAgents(ctx context.Context) error {
	return u.gone(ctx, workload{"daemonset", "picket-agent", u.Kube.AppsV1().DaemonSets(u.Namespace).Delete})
}

// stopController deletes the Deployment, waits for its pods, and then until nobody
// leads: a leader outside of the cluster would make anew what is deleted below.
func (u *run) stopController(ctx context.Context) error {
	err := u.gone(ctx, workload{"deployment", "picket-controller", u.Kube.AppsV1().Deployments(u.Namespace).Delete})
	if err != nil {
		return err
	}
	var seen string
	var since time.Time
	return u.await(ctx, func(ctx context.Context) (string, error) {
		lease, err := u.Kube.CoordinationV1().Leases(u.Namespace).Get(ctx, u.Lease, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return "", nil
		case err != nil:
			return "", fmt.Errorf("read the leader lease: %w", err)
		case lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "":
			return "", nil
		case lease.ResourceVersion != seen:
			seen, since = lease.ResourceVersion, time.Now()
		case time.Since(since) >= u.Still:
			return "", nil
		}
		return fmt.Sprintf("%s may lead; no controller may run, not even outside of the cluster", *lease.Spec.HolderIdentity), nil
	})
}

// gone deletes something that owns pods, and waits until they are gone.
func (u *run) gone(ctx context.Context, w workload) error {
	foreground := metav1.DeletePropagationForeground
	return u.await(ctx, func(ctx context.Context) (string, error) {
		err := w.del(ctx, w.name, metav1.DeleteOptions{PropagationPolicy: &foreground})
		there := err == nil
		if err != nil && !apierrors.IsNotFound(err) {
			return "", fmt.Errorf("delete %s %s: %w", w.kind, w.name, err)
		}
		left, err := u.endPods(ctx, w.name)
		switch {
		case err != nil:
			return "", err
		case len(left) > 0:
			return fmt.Sprintf("the pods of %s %s end: %s", w.kind, w.name, some(left)), nil
		case there:
			return fmt.Sprintf("%s %s is being deleted", w.kind, w.name), nil
		}
		return "", nil
	})
}

// endPods names the pods of a workload that are left, each with its node, and
// deletes by force those that no kubelet is going to end.
func (u *run) endPods(ctx context.Context, workload string) (left []string, err error) {
	pods, err := u.Kube.CoreV1().Pods(u.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=" + workload})
	if err != nil {
		return nil, fmt.Errorf("list the pods of %s: %w", workload, err)
	}
	if len(pods.Items) == 0 {
		return nil, nil
	}
	all, err := u.look(ctx) // after the pods, so that a Node that is missing is gone
	if err != nil {
		return nil, err
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		left = append(left, p.Name+" on "+p.Spec.NodeName)
		if p.DeletionTimestamp != nil && all.host(p.Spec.NodeName).deserted(u.late()) {
			if err := u.dropPod(ctx, p); err != nil {
				return nil, err
			}
		}
	}
	return left, nil
}

// dropPod deletes exactly this pod without grace.
func (u *run) dropPod(ctx context.Context, p *corev1.Pod) error {
	u.say("  %s is deleted by force: its node %s is off or gone", p.Name, p.Spec.NodeName)
	err := settled(u.Kube.CoreV1().Pods(p.Namespace).Delete(ctx, p.Name, metav1.DeleteOptions{
		GracePeriodSeconds: new(int64), Preconditions: metav1.NewUIDPreconditions(string(p.UID)),
	}))
	if err != nil {
		return fmt.Errorf("delete pod %s on %s: %w", p.Name, p.Spec.NodeName, err)
	}
	return nil
}

// deserted reports whether nobody but Picket's pods' own objects is left on the
// host: no kubelet ends them, and no node resets for want of an agent.
func (h host) deserted(late bool) bool {
	state, _ := h.judge(late)
	return !h.ready && (state == clean || state == leftBehind)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"

	"github.com/picket-dev/picket/test/cluster/fleet"
	"github.com/picket-dev/picket/test/cluster/rawclock"
)

const daemonSet = "picket-agent"

// agentDeleted deletes the agent's pod of the workload's node: the holder pets
// until the next agent arms again.
func agentDeleted(ctx context.Context, r *run) error {
	n, err := r.writer(ctx, time.Minute)
	if err != nil {
		return err
	}
	old, err := r.agentPod(ctx, n)
	if err != nil {
		return err
	}
	if err := r.plane.Client().CoreV1().Pods(fleet.Namespace).Delete(ctx, old.Name, metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("delete the agent of %s: %w", n.Name(), err)
	}
	deleted := rawclock.Now()
	err = eventually(ctx, 3*time.Minute, "a new agent on "+n.Name(), func(ctx context.Context) error {
		if err := r.calm(ctx); err != nil {
			return err
		}
		return r.newAgent(ctx, n, old)
	})
	if err != nil {
		return err
	}
	if err := r.armed(ctx, time.Minute, n.Name()); err != nil {
		return err
	}
	r.say("armed again %.1f s after the agent's pod was deleted", (rawclock.Now() - deleted).Seconds())
	return r.stays(ctx, 2*r.profile.RealTimeout, "after the new agent", r.calm)
}

// newAgent fails until a node runs another agent's pod than the old one.
func (r *run) newAgent(ctx context.Context, n *node, old *corev1.Pod) error {
	pod, err := r.agentPod(ctx, n)
	switch {
	case err != nil:
		return err
	case pod.UID == old.UID:
		return errors.New("the old one is there")
	case pod.Status.Phase != corev1.PodRunning:
		return fmt.Errorf("the new one is %s", pod.Status.Phase)
	}
	return nil
}

// agentPod is the agent's newest pod on a node.
func (r *run) agentPod(ctx context.Context, n *node) (*corev1.Pod, error) {
	list, err := r.plane.Client().CoreV1().Pods(fleet.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: "app.kubernetes.io/name=" + daemonSet, FieldSelector: "spec.nodeName=" + n.Name(),
	})
	if err != nil {
		return nil, err
	}
	var newest *corev1.Pod
	for i := range list.Items {
		if p := &list.Items[i]; newest == nil || newest.CreationTimestamp.Before(&p.CreationTimestamp) {
			newest = p
		}
	}
	if newest == nil {
		return nil, fmt.Errorf("no agent's pod on %s", n.Name())
	}
	return newest, nil
}

// agentRolled restarts all agents one after the other, as an upgrade does.
func agentRolled(ctx context.Context, r *run) error {
	if err := r.changeAgents(ctx, func(d *appsv1.DaemonSet) {
		if d.Spec.Template.Annotations == nil {
			d.Spec.Template.Annotations = make(map[string]string)
		}
		d.Spec.Template.Annotations["lab.picket.dev/rolled"] = fmt.Sprint(rawclock.Now())
	}); err != nil {
		return err
	}
	if err := r.rolledOut(ctx, 8*time.Minute); err != nil {
		return err
	}
	if err := r.allArmed(ctx, 2*time.Minute); err != nil {
		return err
	}
	return r.stays(ctx, 2*r.profile.RealTimeout, "after the upgrade", r.calm)
}

// imageMissing rolls the agents to an image that nobody has: the first node
// stays without an agent, unarmed, and up.
func imageMissing(ctx context.Context, r *run) error {
	setImage := func(image string) error {
		return r.changeAgents(context.WithoutCancel(ctx), func(d *appsv1.DaemonSet) { d.Spec.Template.Spec.Containers[0].Image = image })
	}
	const missing = "picket.dev/picket:missing"
	if err := setImage(missing); err != nil {
		return err
	}
	bare := ""
	err := eventually(ctx, 3*time.Minute, "a node without an agent", func(ctx context.Context) error {
		for _, n := range r.nodes {
			p, err := r.agentPod(ctx, n)
			if err == nil && p.Spec.Containers[0].Image == missing && p.Status.Phase == corev1.PodPending {
				bare = n.Name()
				return nil
			}
		}
		return errors.New("all agents run")
	})
	if err == nil {
		r.say("%s has no agent", bare)
		err = r.stays(ctx, time.Minute, bare+" has no agent", func(ctx context.Context) error {
			return errors.Join(r.calm(ctx), r.unarmed(ctx, bare))
		})
	}
	if err := errors.Join(err, setImage(picketImage)); err != nil {
		return err
	}
	if err := r.rolledOut(ctx, 8*time.Minute); err != nil {
		return err
	}
	return r.allArmed(ctx, 2*time.Minute)
}

// unarmed fails if a node's guard shows it as armed.
func (r *run) unarmed(ctx context.Context, name string) error {
	g, err := r.client.NodeGuards.Get(ctx, name)
	if err == nil && g.Status.Promise.Armed {
		err = fmt.Errorf("%s is armed", name)
	}
	return err
}

// changeAgents changes the agents' DaemonSet.
func (r *run) changeAgents(ctx context.Context, change func(*appsv1.DaemonSet)) error {
	sets := r.plane.Client().AppsV1().DaemonSets(fleet.Namespace)
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		d, err := sets.Get(ctx, daemonSet, metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(d)
		_, err = sets.Update(ctx, d, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return fmt.Errorf("change the agents: %w", err)
	}
	return nil
}

// rolledOut waits until all agents are those of the newest DaemonSet.
func (r *run) rolledOut(ctx context.Context, within time.Duration) error {
	return eventually(ctx, within, "the agents to be rolled out", func(ctx context.Context) error {
		d, err := r.plane.Client().AppsV1().DaemonSets(fleet.Namespace).Get(ctx, daemonSet, metav1.GetOptions{})
		if err != nil {
			return err
		}
		s, all := d.Status, int32(len(r.nodes))
		if s.ObservedGeneration != d.Generation || s.UpdatedNumberScheduled != all || s.NumberAvailable != all {
			return fmt.Errorf("%d of %d are new, %d available", s.UpdatedNumberScheduled, all, s.NumberAvailable)
		}
		return nil
	})
}

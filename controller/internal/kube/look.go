package kube

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// look reads the node of a fence, its NodeGuard, its kubelet's Lease and, last,
// the Roll, each linearizably. Sent is from before the first read, so a sign of
// life that is older than Sent is in the answer. Objects that are gone are
// missing from it; any other failure leaves no answer at all.
func (a *API) look(ctx context.Context, x plan.Look) (plan.Saw, error) {
	saw := plan.Saw{Fence: x.Fence, Sent: a.cfg.Now()}
	n, err := a.getNode(ctx, x.Node)
	switch {
	case err == nil:
		saw.Node = new(nodeOf(n, a.cfg.labels()).Node)
		a.nodes.learn(n)
	case !gone(err):
		return saw, fmt.Errorf("look at node %s: %w", x.Node, err)
	}
	g, err := a.cfg.Picket.NodeGuards.Get(ctx, x.Node)
	switch {
	case err == nil:
		saw.Guard = new(guardOf(g))
		a.guards.learn(g)
	case !gone(err):
		return saw, fmt.Errorf("look at nodeguard %s: %w", x.Node, err)
	}
	if saw.Lease, err = a.lease(ctx, x.Node); err != nil {
		return saw, err
	}
	sent := a.cfg.Now()
	r, err := a.cfg.Picket.Rolls.Get(ctx, v1alpha1.RollName)
	switch {
	case err == nil:
		saw.Roll, err = rollOf(r, sent)
	case gone(err):
		err = nil
	}
	if err != nil {
		return saw, fmt.Errorf("look at roll: %w", err)
	}
	return saw, nil
}

// lease returns one word that changes whenever the kubelet renews its Lease.
func (a *API) lease(ctx context.Context, node string) (string, error) {
	l, err := a.cfg.Kube.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, node, metav1.GetOptions{})
	switch {
	case gone(err):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("look at lease of node %s: %w", node, err)
	case l.Spec.RenewTime == nil:
		return string(l.UID), nil
	}
	return l.Spec.RenewTime.UTC().Format(time.RFC3339Nano), nil
}

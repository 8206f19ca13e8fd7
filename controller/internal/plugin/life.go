package plugin

import (
	"context"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/controller/internal/view"
)

// look collects the node's signs of life: those by which the controller itself
// looks for it (PROTOCOL.md §6, step 7). One that may not be read is left out.
func (c *connection) look(ctx context.Context, node string, s *view.Snapshot) ([]sign, error) {
	lease, err := c.kube.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, node, metav1.GetOptions{})
	var signs []sign
	switch {
	case err == nil && lease.Spec.RenewTime != nil:
		signs = append(signs, sign{"the kubelet's Lease", lease.Spec.RenewTime.UTC().Format(time.RFC3339Nano), lease.Spec.RenewTime.Time})
	case err != nil && !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err):
		return nil, err
	}
	for _, n := range s.Nodes {
		if n.Name != node {
			continue
		}
		for _, cond := range n.Status.Conditions {
			if cond.Type == corev1.NodeReady {
				at := cond.LastHeartbeatTime
				signs = append(signs, sign{"the kubelet's Node status", at.UTC().Format(time.RFC3339), at.Time})
			}
		}
	}
	for i := range s.Guards {
		if g := &s.Guards[i]; g.Name == node {
			signs = append(signs, sign{"the agent's NodeGuard", strconv.FormatInt(g.Status.Writes, 10), view.WrittenAt(g)})
		}
	}
	return signs, nil
}

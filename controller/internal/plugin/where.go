package plugin

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/controller/internal/view"
)

func (o *options) whereCommand() *cobra.Command {
	claims := metav1.NamespaceDefault
	c := o.answering(&cobra.Command{
		Use:   "where NODE | PV | PVC",
		Short: "Show which node has a volume mapped, or which volumes a node has",
		Long: `Shows on which nodes a volume is mounted or mapped, in the words of the nodes' agents,
beside what Kubernetes holds for attached. The word of a node that is fenced or silent
is from before. Of several kinds that have the name, the first of node, volume and
claim is taken; node/, pv/ or pvc/ before the name says which.`,
		Example: `  kubectl picket where data-db-0 -n prod     # a claim
  kubectl picket where pvc-8f14e45f          # a volume
  kubectl picket where node/worker-3         # what is on a node`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return o.show(c, func(ctx context.Context, conn *connection) (view.Answer, error) {
				s, err := conn.read(ctx, o, fences)
				if err != nil {
					return nil, err
				}
				q, err := conn.resolve(ctx, s, claims, args[0])
				if err != nil {
					return nil, err
				}
				return s.Where(q), nil
			})
		},
	})
	c.Flags().StringVarP(&claims, "namespace", "n", metav1.NamespaceDefault, "namespace of the claim")
	return c
}

// resolve finds what the name is one of.
func (c *connection) resolve(ctx context.Context, s *view.Snapshot, namespace, arg string) (view.Question, error) {
	kind, name, typed := strings.Cut(arg, "/")
	if !typed {
		kind, name = "", arg
	}
	var q view.Question
	list, err := c.kube.StorageV1().VolumeAttachments().List(ctx, metav1.ListOptions{})
	switch {
	case err == nil:
		q.Attachments = list.Items
	case apierrors.IsForbidden(err):
		q.Unread = "you may not"
	default:
		return q, err
	}
	if kind == "" || kind == "node" {
		if _, err := s.Standing(name); err == nil {
			q.Node = name
			return q, nil
		}
	}
	if kind == "" || kind == "pv" {
		pv, err := c.kube.CoreV1().PersistentVolumes().Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			q.Volume, q.PV = name, pv
			return q, nil
		}
		if !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) {
			return q, err
		}
	}
	if kind == "" || kind == "pvc" {
		pvc, err := c.kube.CoreV1().PersistentVolumeClaims(namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case err == nil && pvc.Spec.VolumeName == "":
			return q, fmt.Errorf("claim %s/%s is not bound to a volume", namespace, name)
		case err == nil:
			q.Volume, q.Claim = pvc.Spec.VolumeName, namespace+"/"+name
			if pv, err := c.kube.CoreV1().PersistentVolumes().Get(ctx, q.Volume, metav1.GetOptions{}); err == nil {
				q.PV = pv
			}
			return q, nil
		case !apierrors.IsNotFound(err):
			return q, err
		}
	}
	return q, fmt.Errorf("there is no node, volume or claim in namespace %s called %q: give the claim's namespace with -n", namespace, arg)
}

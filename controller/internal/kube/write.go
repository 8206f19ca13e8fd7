package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// errPruned says that the API server kept less than it was sent.
var errPruned = errors.New("the API server dropped fields that it does not know: update the CRDs")

// conflictOr returns ErrConflict for errors that say that the object is not the
// one that was read, else err.
func conflictOr(err error) error {
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || gone(err) {
		return fmt.Errorf("%w: %w", ErrConflict, err)
	}
	return err
}

// took gives what a write of an object returned to the mirror. After a conflict
// it reads the object anew, so that the next plan is made on the newest one.
func took[T metav1.Object, V any](
	ctx context.Context, m *mirror[T, V], name, version string, got T, err error,
	get func(context.Context, string) (T, error),
) error {
	if err == nil {
		m.learn(got)
		return nil
	}
	if err = conflictOr(err); !errors.Is(err, ErrConflict) {
		return err
	}
	now, readErr := get(ctx, name)
	switch {
	case readErr == nil && before(now.GetResourceVersion(), version):
		m.relearn(now)
	case readErr == nil:
		m.learn(now)
	case gone(readErr):
		if known, ok := m.get(name); ok {
			m.lost(name, string(known.GetUID()))
		}
	default:
		return errors.Join(err, readErr)
	}
	return err
}

// based returns a copy of the object of that name if it is still at that
// version.
func based[T interface {
	metav1.Object
	DeepCopy() T
}, V any](m *mirror[T, V], name, version string) (T, error) {
	o, ok := m.get(name)
	if !ok || o.GetResourceVersion() != version {
		var none T
		return none, ErrConflict
	}
	return o.DeepCopy(), nil
}

func (a *API) putGuard(ctx context.Context, x plan.PutGuard) error {
	guards := a.cfg.Picket.NodeGuards
	want := &v1alpha1.NodeGuard{ObjectMeta: metav1.ObjectMeta{Name: x.Node}}
	write := guards.Create
	if x.Version != "" {
		var err error
		if want, err = based(a.guards, x.Node, x.Version); err != nil {
			return fmt.Errorf("write nodeguard %s: %w", x.Node, err)
		}
		write = guards.Update
	}
	want.Spec = apiGuardSpec(x.Spec)
	got, err := write(ctx, want)
	pruned := err == nil && !equality.Semantic.DeepEqual(got.Spec, want.Spec)
	if err := took(ctx, a.guards, x.Node, x.Version, got, err, guards.Get); err != nil {
		return fmt.Errorf("write nodeguard %s: %w", x.Node, err)
	}
	if pruned {
		return fmt.Errorf("write nodeguard %s: %w", x.Node, errPruned)
	}
	return nil
}

func (a *API) dropGuard(ctx context.Context, x plan.DropGuard) error {
	g, err := based(a.guards, x.Node, x.Version)
	if err != nil {
		return fmt.Errorf("delete nodeguard %s: %w", x.Node, err)
	}
	if err := a.cfg.Picket.NodeGuards.Delete(ctx, g); err != nil && !gone(err) {
		return fmt.Errorf("delete nodeguard %s: %w", x.Node,
			took(ctx, a.guards, x.Node, x.Version, g, err, a.cfg.Picket.NodeGuards.Get))
	}
	a.guards.lost(x.Node, string(g.UID))
	return nil
}

// maxNodeName leaves room for a dash and five characters in an object's name.
const maxNodeName = 253 - 6

func (a *API) makeFence(ctx context.Context, x plan.MakeFence) error {
	f := &v1alpha1.NodeFence{
		ObjectMeta: metav1.ObjectMeta{
			Name:       strings.TrimRight(x.Node[:min(len(x.Node), maxNodeName)], "-.") + "-" + rand.String(5),
			Finalizers: []string{FenceFinalizer},
		},
		Spec: v1alpha1.NodeFenceSpec{Node: x.Node, Reason: string(x.Reason), Requester: "picket"},
	}
	got, err := a.cfg.Picket.NodeFences.Create(ctx, f)
	if err != nil {
		return fmt.Errorf("make nodefence of node %s: %w", x.Node, conflictOr(err))
	}
	a.fences.learn(got)
	return nil
}

// putFence writes a fence's status. While a fence is open it holds our
// finalizer, which goes first on and last off.
func (a *API) putFence(ctx context.Context, x plan.PutFence) error {
	f, err := based(a.fences, x.Name, x.Version)
	if err != nil {
		return fmt.Errorf("write nodefence %s: %w", x.Name, err)
	}
	ended := x.Status.Phase == plan.Recovered || x.Status.Phase == plan.Refuted
	if !ended && f.DeletionTimestamp == nil && !slices.Contains(f.Finalizers, FenceFinalizer) {
		f.Finalizers = append(f.Finalizers, FenceFinalizer)
		if f, err = a.updateFence(ctx, f); err != nil {
			return err
		}
	}
	f.Status = apiFenceStatus(f, x.Status, a.cfg.Wall())
	got, err := a.cfg.Picket.NodeFences.UpdateStatus(ctx, f)
	if err = took(ctx, a.fences, x.Name, f.ResourceVersion, got, err, a.cfg.Picket.NodeFences.Get); err != nil {
		return fmt.Errorf("write status of nodefence %s: %w", x.Name, err)
	}
	if !ended {
		return nil
	}
	_, err = a.letGo(ctx, got)
	return err
}

// dropFence deletes a fence, or only lets go of one that somebody else deletes.
func (a *API) dropFence(ctx context.Context, x plan.DropFence) error {
	f, err := based(a.fences, x.Name, x.Version)
	if err != nil || string(f.UID) != x.UID {
		return fmt.Errorf("delete nodefence %s: %w", x.Name, ErrConflict)
	}
	if f, err = a.letGo(ctx, f); err != nil {
		return err
	}
	if f.DeletionTimestamp != nil {
		if len(f.Finalizers) == 0 {
			a.fences.lost(f.Name, x.UID)
		}
		return nil
	}
	if err := a.cfg.Picket.NodeFences.Delete(ctx, f); err != nil && !gone(err) {
		return fmt.Errorf("delete nodefence %s: %w", x.Name,
			took(ctx, a.fences, x.Name, f.ResourceVersion, f, err, a.cfg.Picket.NodeFences.Get))
	}
	if len(f.Finalizers) == 0 {
		a.fences.lost(f.Name, x.UID)
	}
	return nil
}

// letGo removes our finalizer, if it is there.
func (a *API) letGo(ctx context.Context, f *v1alpha1.NodeFence) (*v1alpha1.NodeFence, error) {
	if !slices.Contains(f.Finalizers, FenceFinalizer) {
		return f, nil
	}
	f = f.DeepCopy()
	f.Finalizers = without(f.Finalizers, FenceFinalizer)
	return a.updateFence(ctx, f)
}

// updateFence writes all of a fence but its status, and returns a copy of what
// the API has now.
func (a *API) updateFence(ctx context.Context, f *v1alpha1.NodeFence) (*v1alpha1.NodeFence, error) {
	got, err := a.cfg.Picket.NodeFences.Update(ctx, f)
	if err = took(ctx, a.fences, f.Name, f.ResourceVersion, got, err, a.cfg.Picket.NodeFences.Get); err != nil {
		return nil, fmt.Errorf("write finalizers of nodefence %s: %w", f.Name, err)
	}
	return got.DeepCopy(), nil
}

// putTaints replaces a node's taints and our annotations in one write. The list
// of taints is atomic: the version in the patch keeps another controller's
// taint from being lost, and a node that came back from being tainted.
func (a *API) putTaints(ctx context.Context, x plan.PutTaints) error {
	if x.Version == "" {
		return fmt.Errorf("taint node %s: the action names no version", x.Node)
	}
	var present []corev1.Taint
	if n, ok := a.nodes.get(x.Node); ok {
		present = n.Spec.Taints
	}
	got, err := a.patchNode(ctx, x.Node, map[string]any{
		"metadata": map[string]any{
			"resourceVersion": x.Version,
			"annotations": map[string]any{
				AnnotationFence:        orNull(x.Fence),
				AnnotationOutOfService: orNull(x.OutOfService),
			},
		},
		"spec": map[string]any{"taints": taintsOf(x.Taints, present)},
	})
	if err := took(ctx, a.nodes, x.Node, x.Version, got, err, a.getNode); err != nil {
		return fmt.Errorf("taint node %s: %w", x.Node, err)
	}
	return nil
}

func (a *API) patchNode(ctx context.Context, name string, patch map[string]any) (*corev1.Node, error) {
	body, err := json.Marshal(patch)
	if err != nil {
		return nil, err
	}
	return a.cfg.Kube.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, body, metav1.PatchOptions{})
}

func (a *API) getNode(ctx context.Context, name string) (*corev1.Node, error) {
	return a.cfg.Kube.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
}

// orNull returns what a merge patch needs to set s, or to remove it if empty.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// deletePod deletes a pod without grace. One that is gone already is a success,
// and so is one of that name that is another pod.
func (a *API) deletePod(ctx context.Context, x plan.DeletePod) error {
	uid := types.UID(x.UID)
	err := a.cfg.Kube.CoreV1().Pods(x.Namespace).Delete(ctx, x.Name, metav1.DeleteOptions{
		GracePeriodSeconds: new(int64),
		Preconditions:      &metav1.Preconditions{UID: &uid, ResourceVersion: &x.Version},
	})
	if err != nil && !gone(err) {
		return fmt.Errorf("delete pod %s/%s: %w", x.Namespace, x.Name, conflictOr(err))
	}
	return nil
}

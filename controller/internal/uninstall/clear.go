package uninstall

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/picket-dev/picket/controller/internal/kube"
	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// atOnce is how many requests are under way at a time.
const atOnce = 16

// awaitFences waits for the fences that withhold something: none begins any more.
func (u *run) awaitFences(ctx context.Context) error {
	return u.await(ctx, func(ctx context.Context) (string, error) {
		fences, err := u.Picket.NodeFences.List(ctx, metav1.ListOptions{})
		if err != nil {
			return "", fmt.Errorf("list nodefences: %w", err)
		}
		var running []string
		for _, f := range fences.Items {
			switch f.Status.Phase {
			case v1alpha1.FenceSuspected, v1alpha1.FenceWithheld, v1alpha1.FenceFenced:
				running = append(running, fmt.Sprintf("%s (%s: %s)", f.Name, f.Status.Phase, f.Status.WaitsFor))
			case v1alpha1.FencePending, v1alpha1.FenceBlocked, v1alpha1.FenceRefuted, v1alpha1.FenceRecovered, v1alpha1.FenceDetached:
			}
		}
		if len(running) == 0 {
			return "", nil
		}
		return "fences that run: " + some(running), nil
	})
}

// liftTaints takes Picket's taints and annotations off every Node, each on exactly
// the version that was read.
func (u *run) liftTaints(ctx context.Context) error {
	return u.await(ctx, func(ctx context.Context) (string, error) {
		nodes, err := u.Kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return "", fmt.Errorf("list nodes: %w", err)
		}
		left := 0
		for i := range nodes.Items {
			n := &nodes.Items[i]
			patch, ok := untaint(n)
			if !ok {
				continue
			}
			if _, err := u.Kube.CoreV1().Nodes().Patch(ctx, n.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
				left++ // a conflict: the next look sees the new version
				u.say("  lift the taints of %s: %v", n.Name, err)
				continue
			}
			u.say("  %s is tainted no more: if it was fenced, see that nothing of the volumes that moved is mapped there", n.Name)
		}
		if left == 0 {
			return "", nil
		}
		return fmt.Sprintf("%d nodes are tainted", left), nil
	})
}

// untaint returns the patch that takes off a Node what is Picket's; false if there
// is nothing.
func untaint(n *corev1.Node) (patch []byte, ok bool) {
	taints := slices.DeleteFunc(slices.Clone(n.Spec.Taints), func(t corev1.Taint) bool {
		return t.Key == plan.QuarantineKey || t.Key == corev1.TaintNodeOutOfService && n.Annotations[kube.AnnotationOutOfService] != ""
	})
	ours := len(taints) != len(n.Spec.Taints)
	annotations := map[string]any{}
	for _, key := range []string{kube.AnnotationFence, kube.AnnotationOutOfService} {
		if _, ok := n.Annotations[key]; ok {
			annotations[key], ours = nil, true
		}
	}
	if !ours {
		return nil, false
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": n.ResourceVersion, "annotations": annotations},
		"spec":     map[string]any{"taints": taints},
	})
	return patch, err == nil
}

// clear deletes the objects: the Roll last, since as long as it is there nothing
// that an agent needs can be deleted.
func (u *run) clear(ctx context.Context) error {
	err := u.await(ctx, func(ctx context.Context) (string, error) {
		left, err := u.clearOnce(ctx)
		if err != nil || left == 0 {
			return "", err
		}
		return fmt.Sprintf("%d objects are being deleted", left), nil
	})
	if err != nil {
		return err
	}
	if err := u.unmark(ctx); err != nil {
		return err
	}
	if err := u.await(ctx, u.dropRoll); err != nil {
		return err
	}
	select {
	case <-time.After(u.Settle):
	case <-ctx.Done():
	}
	return nil
}

// clearOnce deletes the fences and guards that it finds, and returns how many they
// were.
func (u *run) clearOnce(ctx context.Context) (int, error) {
	fences, err := u.Picket.NodeFences.List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, fmt.Errorf("list nodefences: %w", err)
	}
	guards, err := u.Picket.NodeGuards.List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, fmt.Errorf("list nodeguards: %w", err)
	}
	var all errgroup.Group
	all.SetLimit(atOnce)
	for i := range fences.Items {
		f := &fences.Items[i]
		all.Go(func() error { return u.dropFence(ctx, f) })
	}
	for i := range guards.Items {
		g := &guards.Items[i]
		all.Go(func() error {
			if err := settled(u.Picket.NodeGuards.Delete(ctx, g)); err != nil {
				return fmt.Errorf("delete nodeguard %s: %w", g.Name, err)
			}
			return nil
		})
	}
	return len(fences.Items) + len(guards.Items), all.Wait()
}

// dropFence lets go of a fence, and deletes it.
func (u *run) dropFence(ctx context.Context, f *v1alpha1.NodeFence) error {
	var err error
	if slices.Contains(f.Finalizers, kube.FenceFinalizer) {
		f.Finalizers = slices.DeleteFunc(f.Finalizers, func(s string) bool { return s == kube.FenceFinalizer })
		f, err = u.Picket.NodeFences.Update(ctx, f)
	}
	if err == nil && f.DeletionTimestamp == nil {
		err = u.Picket.NodeFences.Delete(ctx, f)
	}
	if err = settled(err); err != nil {
		return fmt.Errorf("delete a nodefence: %w", err)
	}
	return nil
}

// dropRoll deletes the Roll.
func (u *run) dropRoll(ctx context.Context) (string, error) {
	r, err := u.Picket.Rolls.Get(ctx, v1alpha1.RollName)
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if err == nil && r.DeletionTimestamp == nil {
		err = u.Picket.Rolls.Delete(ctx, r)
	} else if err == nil {
		r.Finalizers = slices.DeleteFunc(r.Finalizers, func(s string) bool { return s == v1alpha1.RollFinalizer })
		_, err = u.Picket.Rolls.Update(ctx, r)
	}
	if err = settled(err); err != nil {
		return "", fmt.Errorf("delete the roll: %w", err)
	}
	return "the roll is being deleted", nil
}

// settled drops errors that the next look settles: the object is gone, or another
// version of it is there.
func settled(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/test/cluster/proxy"
)

var (
	getOptions    = metav1.GetOptions{}
	updateOptions = metav1.UpdateOptions{}
	deleteOptions = metav1.DeleteOptions{}
)

// newHistory waits until the Roll goes on under another history, which says
// that the old one broke.
func (r *run) newHistory(ctx context.Context, old string) (history string, err error) {
	err = r.eventually(ctx, 30*time.Second, "a new history", func(ctx context.Context) error {
		roll, err := r.Client.Rolls.Get(ctx, v1alpha1.RollName)
		if err != nil {
			return err
		}
		if roll.Spec.History == old || roll.Spec.Broken == "" {
			return fmt.Errorf("history %s, broken: %q", roll.Spec.History, roll.Spec.Broken)
		}
		history = roll.Spec.History
		return nil
	})
	return history, err
}

// paused checks that a dead node is not fenced while the history is broken, and
// is fenced after a human has resumed it.
func (r *run) paused(ctx context.Context, w *workload, history string) error {
	r.cut(w)
	blocked := func(ctx context.Context) error {
		f, err := r.fenceOf(ctx, w.node.Name)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(f.Status.Blockers, func(b string) bool { return strings.HasPrefix(b, "HistoryBroken") }) {
			return fmt.Errorf("phase %s, blockers %v", f.Status.Phase, f.Status.Blockers)
		}
		return nil
	}
	if err := r.eventually(ctx, 30*time.Second, "a fence that waits for a human", blocked); err != nil {
		return err
	}
	if err := r.stays(ctx, timingOf(r), "fencing is paused", r.calm); err != nil {
		return err
	}
	r.say("a human resumes fencing under history %s", history)
	err := r.eventually(ctx, 10*time.Second, "resume", func(ctx context.Context) error {
		policy, err := r.Client.FencingPolicies.Get(ctx, v1alpha1.PolicyName)
		if err != nil {
			return err
		}
		policy.Spec.ResumeHistory = history
		_, err = r.Client.FencingPolicies.Update(ctx, policy)
		return err
	})
	if err != nil {
		return err
	}
	if err := r.failsOver(ctx, w, r.start); err != nil {
		return err
	}
	r.failover, r.bound = 0, 0 // it waited for the human
	return nil
}

func rollDeleted(ctx context.Context, r *run) error {
	w, err := r.armedWriter(ctx)
	if err != nil {
		return err
	}
	roll, err := r.Client.Rolls.Get(ctx, v1alpha1.RollName)
	if err != nil {
		return err
	}
	r.say("somebody deletes the Roll")
	if err := r.deleteNow(ctx, "rolls", v1alpha1.RollName); err != nil {
		return err
	}
	history, err := r.newHistory(ctx, roll.Spec.History)
	if err != nil {
		return err
	}
	if err := r.stays(ctx, 3*r.profile.RollLife, "a new history", r.calm); err != nil {
		return err
	}
	if err := r.allArmed(ctx); err != nil {
		return err
	}
	return r.paused(ctx, w, history)
}

func guardsDeleted(ctx context.Context, r *run) error {
	if _, err := r.armedWriter(ctx); err != nil {
		return err
	}
	r.say("somebody deletes all NodeGuards")
	for _, n := range r.names() {
		if err := r.deleteNow(ctx, "nodeguards", n); err != nil {
			return err
		}
	}
	if err := r.stays(ctx, 3*r.profile.RollLife, "NodeGuards are gone", r.calm); err != nil {
		return err
	}
	return r.phase(ctx, 30*time.Second, "Armed", r.names()...)
}

func fenceDeleted(ctx context.Context, r *run) error {
	w, err := r.armedWriter(ctx)
	if err != nil {
		return err
	}
	r.cut(w)
	if err := r.fencePhase(ctx, 30*time.Second, w.node.Name, v1alpha1.FenceWithheld); err != nil {
		return err
	}
	f, err := r.fenceOf(ctx, w.node.Name)
	if err != nil {
		return err
	}
	r.say("somebody deletes the NodeFence")
	if err := r.deleteNow(ctx, "nodefences", f.Name); err != nil {
		return err
	}
	if err := r.failsOver(ctx, w, r.start); err != nil {
		return err
	}
	r.failover, r.bound = 0, 0 // it began twice
	return nil
}

func crdsDeleted(ctx context.Context, r *run) error {
	if _, err := r.armedWriter(ctx); err != nil {
		return err
	}
	if err := r.refusesToDelete(ctx, "customresourcedefinitions", "rolls.picket.dev"); err != nil {
		return err
	}
	r.say("somebody deletes the policy that keeps Picket's CRDs, and then the CRDs")
	if err := r.letDelete(ctx); err != nil {
		return err
	}
	crds := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	for _, plural := range []string{"nodefences", "nodefencetemplates", "fencingpolicies", "nodeguards", "rolls"} {
		err := r.eventually(ctx, 10*time.Second, "delete the CRD of "+plural, func(ctx context.Context) error {
			return r.Plane.Dynamic().Resource(crds).Delete(ctx, plural+".picket.dev", deleteOptions)
		})
		if err != nil {
			return err
		}
	}
	if err := r.stays(ctx, 6*r.profile.RollLife, "CRDs are gone", r.calm); err != nil {
		return err
	}
	r.say("they are applied again")
	if err := r.eventually(ctx, time.Minute, "apply the CRDs", r.Install); err != nil {
		return err
	}
	policy := &v1alpha1.FencingPolicy{Spec: r.Policy}
	policy.Name = v1alpha1.PolicyName
	create := func(ctx context.Context) error {
		_, err := r.Client.FencingPolicies.Create(ctx, policy)
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err
	}
	if err := r.eventually(ctx, 30*time.Second, "create the policy", create); err != nil {
		return err
	}
	if err := r.phase(ctx, time.Minute, "Armed", r.names()...); err != nil {
		return err
	}
	return r.calm(ctx)
}

func etcdRestored(ctx context.Context, r *run) error {
	w, err := r.armedWriter(ctx)
	if err != nil {
		return err
	}
	roll, err := r.Client.Rolls.Get(ctx, v1alpha1.RollName)
	if err != nil {
		return err
	}
	snapshot := r.Path("snapshot")
	if err := r.Plane.Snapshot(snapshot); err != nil {
		return err
	}
	// A suspicion that is refuted makes the Roll move on after the snapshot.
	other := r.others(w.node.Name)[0]
	r.Mesh.Isolate(other, proxy.Cut())
	if err := r.fencePhase(ctx, 20*time.Second, other, v1alpha1.FenceRefuted); err != nil {
		return err
	}
	r.Mesh.Isolate(other, proxy.Pass())
	r.say("etcd goes back to the snapshot")
	if err := r.Plane.Restore(ctx, snapshot); err != nil {
		return err
	}
	history, err := r.newHistory(ctx, roll.Spec.History)
	if err != nil {
		return err
	}
	if err := r.stays(ctx, 3*r.profile.RollLife, "after the restore", r.calm); err != nil {
		return err
	}
	if err := r.phase(ctx, time.Minute, "Armed", r.names()...); err != nil {
		return err
	}
	return r.paused(ctx, w, history)
}

// deleteNow deletes an object of Picket's, as kubectl delete would.
func (r *run) deleteNow(ctx context.Context, plural, name string) error {
	kind := schema.GroupVersionResource{Group: "picket.dev", Version: "v1alpha1", Resource: plural}
	if err := r.Plane.Dynamic().Resource(kind).Delete(ctx, name, deleteOptions); err != nil {
		return fmt.Errorf("delete %s/%s: %w", plural, name, err)
	}
	return nil
}

// testFinalizer stands for any controller that is slow to let go.
const testFinalizer = "example.com/slow"

// cutWriter deploys a changed StatefulSet on an armed cluster, cuts the power of
// its node, and waits for the taint.
func (r *run) cutWriter(ctx context.Context, change func(*appsv1.StatefulSet)) (*workload, error) {
	if err := r.allArmed(ctx); err != nil {
		return nil, err
	}
	w, err := r.deployAs(ctx, "db", change)
	if err != nil {
		return nil, err
	}
	promise, err := r.promise(ctx, w.node.Name)
	if err != nil {
		return nil, err
	}
	return w, r.tainted(ctx, w.node.Name, r.cut(w), promise)
}

func podWithFinalizer(ctx context.Context, r *run) error {
	w, err := r.cutWriter(ctx, func(s *appsv1.StatefulSet) { s.Spec.Template.Finalizers = []string{testFinalizer} })
	if err != nil {
		return err
	}
	blocks := func(ctx context.Context) error {
		f, err := r.fenceOf(ctx, w.node.Name)
		if err != nil {
			return err
		}
		if f.Status.Phase != v1alpha1.FenceFenced || !slices.ContainsFunc(f.Status.Blockers, func(b string) bool { return strings.Contains(b, testFinalizer) }) {
			return fmt.Errorf("phase %s, blockers %v", f.Status.Phase, f.Status.Blockers)
		}
		return nil
	}
	if err := r.eventually(ctx, 30*time.Second, "the finalizer as a blocker", blocks); err != nil {
		return err
	}
	if err := r.stays(ctx, 5*time.Second, "the finalizer blocks", blocks); err != nil {
		return err
	}
	r.say("the finalizer goes")
	patch := []byte(`{"metadata":{"finalizers":null}}`)
	_, err = r.Plane.Client().CoreV1().Pods(metav1.NamespaceDefault).Patch(ctx, w.pod.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return err
	}
	return r.fencePhase(ctx, time.Minute, w.node.Name, v1alpha1.FenceDetached)
}

func toleratingPod(ctx context.Context, r *run) error {
	w, err := r.cutWriter(ctx, func(s *appsv1.StatefulSet) {
		s.Spec.Template.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	})
	if err != nil {
		return err
	}
	if err := r.fencePhase(ctx, time.Minute, w.node.Name, v1alpha1.FenceDetached); err != nil {
		return err
	}
	pod, err := r.Plane.Client().CoreV1().Pods(metav1.NamespaceDefault).Get(ctx, w.pod.Name, getOptions)
	if err != nil {
		return err
	}
	if pod.UID != w.pod.UID || pod.DeletionTimestamp != nil {
		return errors.New("a pod that tolerates the taint was deleted")
	}
	return nil
}

package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// attendAgain is how long after a failure the next try is made.
const attendAgain = 5 * time.Second

// Attend sees to what is no part of any plan, until ctx ends: it answers each
// change of the FencingPolicy, and lets go of fences that NHC gave up. Only a
// leader does that.
func (a *API) Attend(ctx context.Context) {
	signal(a.chores)
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.chores:
		case <-again:
		}
		again = nil
		if err := errors.Join(a.review(ctx), a.letGoOfTimedOut(ctx)); err != nil && ctx.Err() == nil {
			a.cfg.Log.Warn("the policy's answer or a finalizer must wait", "error", err)
			again = time.After(attendAgain)
		}
	}
}

// nhcTimedOut is NHC's word that it waits for a fence no longer.
const nhcTimedOut = "remediation.medik8s.io/nhc-timed-out"

// letGoOfTimedOut removes our finalizer from fences that NHC gave up and
// deletes. The planner goes on with what the Roll still lists, under a fence of
// its own.
func (a *API) letGoOfTimedOut(ctx context.Context) error {
	var given []*v1alpha1.NodeFence
	a.fences.each(func(f *v1alpha1.NodeFence) {
		if _, timedOut := f.Annotations[nhcTimedOut]; timedOut && f.DeletionTimestamp != nil {
			given = append(given, f)
		}
	})
	var errs []error
	for _, f := range given {
		left, err := a.letGo(ctx, f)
		if err == nil && len(left.Finalizers) == 0 {
			a.fences.lost(f.Name, string(f.UID))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// review answers the policy that is there now, if it has no answer yet: by its
// condition Accepted, and by a warning that names the inequality where the times
// of the last good policy stay in force.
func (a *API) review(ctx context.Context) error {
	p, ok := a.policies.get(v1alpha1.PolicyName)
	if !ok {
		return nil
	}
	c := metav1.Condition{
		Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionTrue, Reason: "Valid",
		Message: "in force", ObservedGeneration: p.Generation, LastTransitionTime: metav1.NewTime(a.cfg.Wall()),
	}
	_, bad := resolve(p)
	if bad != nil {
		c.Status, c.Reason = metav1.ConditionFalse, "Invalid"
		c.Message = "the times of the last good policy stay in force: " + bad.Error()
	}
	p = p.DeepCopy()
	if !meta.SetStatusCondition(&p.Status.Conditions, c) {
		return nil
	}
	got, err := a.cfg.Picket.FencingPolicies.UpdateStatus(ctx, p)
	if err := took(ctx, a.policies, p.Name, p.ResourceVersion, got, err, a.cfg.Picket.FencingPolicies.Get); err != nil {
		return fmt.Errorf("write status of fencingpolicy %s: %w", p.Name, err)
	}
	if bad != nil {
		a.cfg.Recorder.Event(ours("FencingPolicy", p.Name, p.UID), corev1.EventTypeWarning, "InvalidPolicy", c.Message)
	}
	return nil
}

package kube

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// reviewAgain is how long after a failed answer to a policy the next one is
// tried.
const reviewAgain = 5 * time.Second

// ReviewPolicy answers each change of the FencingPolicy until ctx ends: by its
// condition Accepted, and by a warning that names the inequality where the
// times of the last good policy stay in force. Only a leader does that.
func (a *API) ReviewPolicy(ctx context.Context) {
	signal(a.policy)
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.policy:
		case <-again:
		}
		again = nil
		if err := a.review(ctx); err != nil {
			a.cfg.Log.Warn("the answer to the policy is delayed", "error", err)
			again = time.After(reviewAgain)
		}
	}
}

// review answers the policy that is in force now, if it has no answer yet.
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

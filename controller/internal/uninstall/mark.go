package uninstall

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

const (
	// annotationBefore of the policy keeps the mode that it had before, for whoever
	// installs Picket again: the mark must not outlive the uninstall.
	annotationBefore = "picket.dev/mode-before-uninstall"
	// noneBefore says that there was no policy.
	noneBefore = "none"
)

// mark sets the policy's mode to Uninstall. The controller tells each agent.
func (u *run) mark(ctx context.Context) error {
	return u.await(ctx, func(ctx context.Context) (string, error) {
		p, err := u.Picket.FencingPolicies.Get(ctx, v1alpha1.PolicyName)
		switch {
		case apierrors.IsNotFound(err):
			p = &v1alpha1.FencingPolicy{Spec: v1alpha1.FencingPolicySpec{Mode: v1alpha1.Uninstall}}
			p.Name = v1alpha1.PolicyName
			metav1.SetMetaDataAnnotation(&p.ObjectMeta, annotationBefore, noneBefore)
			_, err = u.Picket.FencingPolicies.Create(ctx, p)
		case err == nil && (p.Spec.Mode != v1alpha1.Uninstall || p.Annotations[annotationBefore] == ""):
			before := p.Spec.Mode
			if before == v1alpha1.Uninstall || before == "" {
				before = v1alpha1.Enforce // somebody has set it by hand
			}
			metav1.SetMetaDataAnnotation(&p.ObjectMeta, annotationBefore, string(before))
			p.Spec.Mode = v1alpha1.Uninstall
			_, err = u.Picket.FencingPolicies.Update(ctx, p)
		}
		if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
			return "the policy changes meanwhile", nil
		}
		if err != nil {
			return "", fmt.Errorf("set the policy's mode: %w", err)
		}
		return "", nil
	})
}

// errTakenBack ends an uninstall whose mark somebody has taken off.
var errTakenBack = errors.New("somebody has set the FencingPolicy's mode back, so nothing more is taken off: " +
	"install Picket again if agents or controller are gone already, or run this again to take it off after all")

// marked fails unless the policy still says that Picket leaves: people may have set
// it back since, and then what comes next must not happen.
func (u *run) marked(ctx context.Context) error {
	there := false
	err := u.await(ctx, func(ctx context.Context) (string, error) {
		p, err := u.Picket.FencingPolicies.Get(ctx, v1alpha1.PolicyName)
		if err != nil && !apierrors.IsNotFound(err) {
			return "", fmt.Errorf("read the policy's mode: %w", err)
		}
		there = err == nil && p.Spec.Mode == v1alpha1.Uninstall && p.Annotations[annotationBefore] != ""
		return "", nil
	})
	if err == nil && !there {
		return errTakenBack
	}
	return err
}

// unmark gives the policy back its mode, or deletes one that was made for the
// uninstall alone.
func (u *run) unmark(ctx context.Context) error {
	return u.await(ctx, func(ctx context.Context) (string, error) {
		p, err := u.Picket.FencingPolicies.Get(ctx, v1alpha1.PolicyName)
		if err != nil {
			return "", settled(err)
		}
		before := p.Annotations[annotationBefore]
		switch before {
		case "":
			return "", nil
		case noneBefore:
			err = u.Picket.FencingPolicies.Delete(ctx, p)
		default:
			delete(p.Annotations, annotationBefore)
			p.Spec.Mode = v1alpha1.Mode(before)
			_, err = u.Picket.FencingPolicies.Update(ctx, p)
		}
		if err = settled(err); err != nil {
			return "", fmt.Errorf("give the policy back its mode: %w", err)
		}
		return "the policy gets back its mode", nil
	})
}

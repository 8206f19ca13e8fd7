package kube

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/timing"
)

// rolls holds the newest Roll of all own reads and writes, in the order of the
// one goroutine that makes them. There is no watch of the Roll: a late one
// could not tell a planner what is withheld now.
type rolls struct {
	object *v1alpha1.Roll // nil: there is none
	view   *plan.Roll
}

// copy returns the Roll for one plan.
func (r *rolls) copy() *plan.Roll {
	if r.view == nil {
		return nil
	}
	v := *r.view
	v.Roll = v.Roll.Clone()
	return &v
}

func (r *rolls) take(object *v1alpha1.Roll, sent timing.Instant) error {
	view, err := rollOf(object, sent)
	if err != nil {
		return err
	}
	r.object, r.view = object, view
	return nil
}

// ReadRoll reads the Roll linearizably. That there is none is a success, too;
// after an error nothing is known of the Roll, and no plan may be made on it.
func (a *API) ReadRoll(ctx context.Context) error {
	sent := a.cfg.Now()
	r, err := a.cfg.Picket.Rolls.Get(ctx, v1alpha1.RollName)
	switch {
	case gone(err):
		a.roll = rolls{}
		return nil
	case err != nil:
		return fmt.Errorf("read roll: %w", err)
	}
	return a.roll.take(r, sent)
}

// rollOf returns what the planner knows of a Roll that a request sent at that
// instant brought. It returns an error for a Roll that no controller writes,
// unless somebody deletes it already.
func rollOf(r *v1alpha1.Roll, sent timing.Instant) (*plan.Roll, error) {
	v := &plan.Roll{
		Version:  r.ResourceVersion,
		Broken:   r.Spec.Broken,
		Deleting: r.DeletionTimestamp != nil,
		Sent:     sent,
	}
	pure, err := r.Spec.Roll()
	if err != nil && !v.Deleting {
		return nil, fmt.Errorf("the Roll is none that a controller writes (to start a new history, delete it): %w", err)
	}
	v.Roll = pure
	return v, nil
}

// putRoll writes the Roll, or makes it. Roll.Sent of what it returned is when
// the write was sent.
func (a *API) putRoll(ctx context.Context, x plan.PutRoll) error {
	want := &v1alpha1.Roll{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.RollName}}
	write := a.cfg.Picket.Rolls.Create
	if x.Roll.Version != "" {
		if a.roll.object == nil || a.roll.object.ResourceVersion != x.Roll.Version {
			return fmt.Errorf("write roll: %w", ErrConflict)
		}
		want = a.roll.object.DeepCopy()
		write = a.cfg.Picket.Rolls.Update
	}
	want.Spec = v1alpha1.RollSpecOf(x.Roll.Roll)
	want.Spec.Broken = x.Roll.Broken
	if want.DeletionTimestamp == nil && !slices.Contains(want.Finalizers, v1alpha1.RollFinalizer) {
		want.Finalizers = append(want.Finalizers, v1alpha1.RollFinalizer)
	}
	sent := a.cfg.Now()
	got, err := write(ctx, want)
	if err != nil {
		return fmt.Errorf("write roll: %w", conflictOr(err))
	}
	if err := a.roll.take(got, sent); err != nil {
		return err
	}
	if !equality.Semantic.DeepEqual(got.Spec, want.Spec) {
		return fmt.Errorf("write roll: %w", errPruned)
	}
	return nil
}

// releaseRoll removes our finalizer from a Roll that somebody deleted. What is
// left then, only a read can tell.
func (a *API) releaseRoll(ctx context.Context, x plan.ReleaseRoll) error {
	if a.roll.object == nil || a.roll.object.ResourceVersion != x.Version {
		return fmt.Errorf("release roll: %w", ErrConflict)
	}
	want := a.roll.object.DeepCopy()
	want.Finalizers = without(want.Finalizers, v1alpha1.RollFinalizer)
	if _, err := a.cfg.Picket.Rolls.Update(ctx, want); err != nil {
		return fmt.Errorf("release roll: %w", conflictOr(err))
	}
	return a.ReadRoll(ctx)
}

// gone reports whether err says that there is no such object. A server that
// does not know the kind, or something in front of it, says nothing of the sort.
func gone(err error) bool {
	return apierrors.IsNotFound(err) && !apierrors.IsUnexpectedServerError(err)
}

func without(list []string, s string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(x string) bool { return x == s })
}

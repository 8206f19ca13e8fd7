package plugin

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/controller/internal/view"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// A need is what an answer is made of, beside nodes and NodeGuards.
type need int

const (
	fences need = 1 << iota // NodeFences
	policy                  // Roll and FencingPolicy
	leader                  // the controller's Lease
	events                  // the controller's events
)

// controllerName is the controller's Lease, and how it signs events.
const controllerName = "picket-controller"

// read reads what is needed, everything at the same time.
func (c *connection) read(ctx context.Context, o *options, what need) (*view.Snapshot, error) {
	s := &view.Snapshot{Domains: o.domains}
	r := reader{connection: c, all: &errgroup.Group{}, snapshot: s}
	r.required(func() error {
		list, err := c.picket.NodeGuards.List(ctx, metav1.ListOptions{})
		if err == nil {
			s.Guards = list.Items
		}
		return installed(err)
	})
	nodesGap := r.optional(view.KindNodes, func() error {
		list, err := c.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err == nil {
			s.Nodes = list.Items
		}
		return err
	})
	if what&fences != 0 {
		r.required(func() error {
			list, err := c.picket.NodeFences.List(ctx, metav1.ListOptions{})
			if err == nil {
				s.Fences = list.Items
			}
			return installed(err)
		})
	}
	if what&policy != 0 {
		r.required(func() error { return c.readPolicy(ctx, s) })
	}
	leaseGap, eventGap := new(view.Gap), new(view.Gap)
	if what&leader != 0 {
		leaseGap = r.optional(view.KindLeases, func() error {
			lease, err := c.kube.CoordinationV1().Leases(o.namespace).Get(ctx, controllerName, metav1.GetOptions{})
			if err == nil {
				s.Leader = lease
			}
			return ignoreNotFound(err)
		})
	}
	if what&events != 0 {
		eventGap = r.optional(view.KindEvents, func() error {
			list, err := c.kube.CoreV1().Events(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{FieldSelector: "source=" + controllerName})
			if err == nil {
				s.Events = list.Items
			}
			return err
		})
	}
	if err := r.all.Wait(); err != nil {
		return nil, err
	}
	for _, g := range []*view.Gap{nodesGap, leaseGap, eventGap} {
		if g.Kind != "" {
			s.Gaps = append(s.Gaps, *g)
		}
	}
	s.Now = c.clock.now()
	return s, nil
}

// A reader runs the reads of one Snapshot. Each writes its own fields.
type reader struct {
	*connection
	all      *errgroup.Group
	snapshot *view.Snapshot
}

// required runs a read without which there is no answer.
func (r reader) required(read func() error) { r.all.Go(read) }

// optional runs a read that a person may not be allowed to make. It returns the
// gap that is left then, filled in once all reads are done.
func (r reader) optional(kind string, read func() error) *view.Gap {
	gap := &view.Gap{}
	r.all.Go(func() error {
		err := read()
		if apierrors.IsForbidden(err) {
			*gap = view.Gap{Kind: kind, Why: "you may not read them, and the answer does without"}
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", kind, err)
		}
		return nil
	})
	return gap
}

// readPolicy reads the two objects of which there is at most one.
func (c *connection) readPolicy(ctx context.Context, s *view.Snapshot) error {
	roll, err := c.picket.Rolls.Get(ctx, v1alpha1.RollName)
	switch {
	case err == nil:
		s.Roll = roll
	case !apierrors.IsNotFound(err):
		return err
	}
	p, err := c.picket.FencingPolicies.Get(ctx, v1alpha1.PolicyName)
	if err == nil {
		s.Policy = p
	}
	return ignoreNotFound(err)
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

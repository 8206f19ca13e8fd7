package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/timing"
	"github.com/picket-dev/picket/test/cluster/fleet"
	"github.com/picket-dev/picket/test/cluster/stage"
	"github.com/picket-dev/picket/test/lab/vm"
)

// A run is one scenario that is being played.
type run struct {
	*lab
	began  time.Duration   // raw time
	doomed map[string]bool // machines whose reset the scenario asked for

	tenants []*tenant         // workloads of the scenario's own, which end with it
	rejoin  rejoin            // what became of a node that came back
	own     map[uint16]string // nodes by the LUN that is their own

	failover, bound, endpoints, petDelay, installed time.Duration
}

// victim is a node that goes under, with the promise and the times that were in
// force and the boot that ran.
type victim struct {
	*node
	promise timing.Promise
	site    timing.Profile
	boot    string
	cut     time.Duration // raw time
}

// victim takes a node as the one that may reset from now on.
func (r *run) victim(ctx context.Context, name string) (*victim, error) {
	n, err := r.node(name)
	if err != nil {
		return nil, err
	}
	g, err := r.client.NodeGuards.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	v := &victim{node: n, site: g.Spec.Timing.Resolve(r.profile)}
	v.boot, _ = n.On()
	if v.promise, err = g.Status.Promise.Pure(); err != nil {
		return nil, fmt.Errorf("promise of %s: %w", name, err)
	}
	r.doomed[name] = true
	return v, nil
}

// first chooses the node with the workload as the scenario's victim, once services
// lead there.
func (r *run) first(ctx context.Context) (*victim, error) {
	n, err := r.writer(ctx, time.Minute)
	if err != nil {
		return nil, err
	}
	err = eventually(ctx, time.Minute, "an endpoint on "+n.Name(), func(context.Context) error {
		if !r.lab.endpoints.has(n.Name()) {
			return errors.New("none is ready")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return r.victim(ctx, n.Name())
}

// cutNow starts the timeline anew at the moment of the cut.
func (r *run) cutNow(v *victim) { v.cut = r.restart() }

// tainted waits for the victim's out-of-service taint, measures the failover
// against the promise's own bound, and waits until the workload runs elsewhere.
func (r *run) tainted(ctx context.Context, v *victim) error {
	at, err := r.taintOf(ctx, v)
	if err != nil {
		return err
	}
	r.failover, r.bound = at-v.cut, timing.Failover(v.promise, v.site)
	if left := r.lab.endpoints.leftAt(v.Name()); left > v.cut {
		r.endpoints = left - v.cut
	}
	r.say("%s is out of service after %.2f s, bound %.2f s", v.Name(), r.failover.Seconds(), r.bound.Seconds())
	return r.moved(ctx, 3*time.Minute, v)
}

// taintOf waits for the victim's out-of-service taint after the cut.
func (r *run) taintOf(ctx context.Context, v *victim) (time.Duration, error) {
	within := 3 * timing.Failover(v.promise, v.site)
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	e, err := r.taints.Wait(ctx, func(e stage.TaintEvent) bool {
		return e.Node == v.Name() && e.Added && e.Taint.Key == corev1.TaintNodeOutOfService && e.At > v.cut
	})
	if err != nil {
		return 0, fmt.Errorf("out-of-service taint of %s within %v: %w", v.Name(), within, err)
	}
	return e.At, nil
}

// resetBeforeTaint fails unless the victim was reset after the cut and before
// its taint.
func (r *run) resetBeforeTaint(ctx context.Context, v *victim) error {
	tainted, err := r.taintOf(ctx, v)
	if err != nil {
		return err
	}
	for _, e := range v.Events() {
		if e.Cause == vm.Reset && e.At > v.cut {
			if e.At > tainted {
				return fmt.Errorf("%s was tainted %v before its reset", v.Name(), e.At-tainted)
			}
			r.say("%s was reset %.2f s after the cut, %.2f s before the taint", v.Name(), (e.At - v.cut).Seconds(), (tainted - e.At).Seconds())
			return nil
		}
	}
	return fmt.Errorf("%s was not reset", v.Name())
}

// recovered waits until the victim runs a new boot, its newest fence is closed,
// its taints are gone, and it is armed.
func (r *run) recovered(ctx context.Context, v *victim) error {
	if _, err := v.WaitBoot(ctx, v.boot); err != nil {
		return err
	}
	if err := r.ready(ctx, 4*time.Minute, v.Name()); err != nil {
		return err
	}
	if err := r.fencePhase(ctx, 2*time.Minute, v.Name(), v1alpha1.FenceRecovered); err != nil {
		return err
	}
	return r.armed(ctx, 2*time.Minute, v.Name())
}

// fencePhase waits until a node's newest fence of this scenario is in one of the
// phases.
func (r *run) fencePhase(ctx context.Context, within time.Duration, node string, phases ...v1alpha1.NodeFencePhase) error {
	return eventually(ctx, within, fmt.Sprintf("fence of %s to be %v", node, phases), func(ctx context.Context) error {
		f, err := r.fenceOf(ctx, node)
		if err != nil {
			return err
		}
		if !slices.Contains(phases, f.Status.Phase) {
			return fmt.Errorf("phase %s, waits for %s, blockers %v", f.Status.Phase, f.Status.WaitsFor, f.Status.Blockers)
		}
		return nil
	})
}

// fenceOf returns the newest NodeFence of a node.
func (r *run) fenceOf(ctx context.Context, node string) (*v1alpha1.NodeFence, error) {
	return fleet.NewestFence(ctx, r.client, node)
}

// calm fails if anything was tainted out-of-service, or any machine reset, since
// the scenario began.
func (r *run) calm(context.Context) error {
	for _, e := range r.taints.Events() {
		if e.Added && e.Taint.Key == corev1.TaintNodeOutOfService && e.At > r.began {
			return fmt.Errorf("%s was tainted out-of-service", e.Node)
		}
	}
	for _, n := range r.nodes {
		for _, e := range n.Events() {
			if e.At > r.began && isReset(e) {
				return fmt.Errorf("%s: %v", n.Name(), e.Cause)
			}
		}
	}
	return nil
}

// isReset holds for the ends of a boot that no scenario makes by itself.
func isReset(e vm.Event) bool {
	return e.Cause == vm.Reset || e.Cause == vm.Died || e.Cause == vm.PowerOff
}

// stays asks again and again for a while, and fails with the first answer that
// is not nil.
func (r *run) stays(ctx context.Context, d time.Duration, what string, ask func(context.Context) error) error {
	end := time.After(d)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := ask(ctx); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		select {
		case <-tick.C:
		case <-end:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sh runs a script on a node.
func (r *run) sh(ctx context.Context, n *node, script string) error {
	_, err := n.Exec(ctx, script)
	return err
}

// background starts a script on a node that may not come back.
func (r *run) background(ctx context.Context, n *node, script string) error {
	_, err := n.Do(ctx, 10*time.Second, "setsid sh -c '"+script+"' >/dev/null 2>&1 </dev/null &", nil)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

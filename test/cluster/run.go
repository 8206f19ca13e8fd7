package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/timing"
	"github.com/picket-dev/picket/test/cluster/fleet"
	"github.com/picket-dev/picket/test/cluster/machine"
	"github.com/picket-dev/picket/test/cluster/rawclock"
	"github.com/picket-dev/picket/test/cluster/stage"
)

// A run is one scenario that is being played.
type run struct {
	*fleet.Fleet
	previous previous
	profile  timing.Profile
	start    time.Duration // raw time from which the timeline counts
	out      io.Writer

	failover, bound time.Duration

	closed  atomic.Bool // the scenario is over
	writers int         // workloads that were deployed to write

	mu     sync.Mutex
	doomed map[string]bool // machines whose reset the scenario asked for
	resets []machine.Event // resets that no power cut made
}

// A workload is a StatefulSet's pod and the volume that it writes to.
type workload struct {
	name   string
	pod    *corev1.Pod
	volume string
	node   *stage.Node
}

// say prints a line of the timeline.
func (r *run) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := rawclock.Now() - r.start
	fmt.Fprintf(r.out, "%+8.2f s  %s\n", at.Seconds(), fmt.Sprintf(format, args...))
}

// machineEvent takes what happens to the machines.
func (r *run) machineEvent(e machine.Event) {
	r.say("%s: %v (boot %.8s)", e.Machine, e.Cause, e.Boot)
	if e.Cause == machine.Watchdog || e.Cause == machine.Sysrq {
		r.mu.Lock()
		r.resets = append(r.resets, e)
		r.mu.Unlock()
	}
}

// doom says that a machine may reset from now on without being a healthy node
// that was reset.
func (r *run) doom(nodes ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range nodes {
		r.doomed[n] = true
	}
}

// healthyResets counts the resets of machines that nothing was wrong with.
func (r *run) healthyResets() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, e := range r.resets {
		if !r.doomed[e.Machine] {
			n++
		}
	}
	return n
}

// resetOf returns the node's last reset by dog or sysrq, if any.
func (r *run) resetOf(node string) (machine.Event, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range slices.Backward(r.resets) {
		if e.Machine == node {
			return e, true
		}
	}
	return machine.Event{}, false
}

// eventually asks until the answer is nil, or returns the last answer after the
// time.
func (r *run) eventually(ctx context.Context, within time.Duration, what string, ask func(context.Context) error) error {
	return fleet.Eventually(ctx, within, 50*time.Millisecond, what, ask)
}

// stays asks again and again for a while, and fails with the first answer that
// is not nil.
func (r *run) stays(ctx context.Context, d time.Duration, what string, ask func(context.Context) error) error {
	end := time.After(d)
	tick := time.NewTicker(100 * time.Millisecond)
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

// guard reads a NodeGuard, past all proxies.
func (r *run) guard(ctx context.Context, node string) (*v1alpha1.NodeGuard, error) {
	return r.Client.NodeGuards.Get(ctx, node)
}

// phase waits until a node's guard shows the phase for the boot that runs.
func (r *run) phase(ctx context.Context, within time.Duration, phase string, nodes ...string) error {
	for _, n := range nodes {
		err := r.eventually(ctx, within, n+" to be "+phase, func(ctx context.Context) error {
			g, err := r.guard(ctx, n)
			if err != nil {
				return err
			}
			boot, on := r.Node(n).Machine.Boot()
			if !on || g.Status.BootID != boot.ID || g.Status.Phase != phase || g.Status.Promise.Armed != (phase == "Armed") {
				return fmt.Errorf("phase %s, armed %t, reason %s: %s", g.Status.Phase, g.Status.Promise.Armed, g.Status.Reason, g.Status.Message)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// names are all nodes' names.
func (r *run) names() []string {
	var all []string
	for _, n := range r.Nodes {
		all = append(all, n.Name)
	}
	return all
}

// others are all nodes' names but these.
func (r *run) others(not ...string) []string {
	return slices.DeleteFunc(r.names(), func(n string) bool { return slices.Contains(not, n) })
}

// allArmed waits until every node is armed and the witnesses are as many as
// they will be.
func (r *run) allArmed(ctx context.Context) error {
	if err := r.phase(ctx, time.Minute, "Armed", r.names()...); err != nil {
		return err
	}
	want := len(r.Nodes) - (len(r.Nodes)+1)%2
	err := r.eventually(ctx, time.Minute, fmt.Sprintf("one epoch of %d witnesses", want), func(ctx context.Context) error {
		roll, err := r.Client.Rolls.Get(ctx, v1alpha1.RollName)
		if err != nil {
			return err
		}
		if e := roll.Spec.Epochs; len(e) != 1 || len(e[0].Witnesses) != want {
			return fmt.Errorf("epochs: %v", e)
		}
		return nil
	})
	if err == nil {
		r.say("all %d nodes are armed", len(r.Nodes))
	}
	return err
}

// deploy starts a StatefulSet and waits until its pod writes.
func (r *run) deploy(ctx context.Context, name string) (*workload, error) {
	return r.deployAs(ctx, name, nil)
}

// deployAs is deploy of a changed StatefulSet.
func (r *run) deployAs(ctx context.Context, name string, change func(*appsv1.StatefulSet)) (*workload, error) {
	r.writers++
	if err := r.StatefulSet(ctx, name, change); err != nil {
		return nil, err
	}
	return r.writing(ctx, name)
}

// writing waits until a StatefulSet's pod writes, and returns it. A pod that it
// must not be may be given. After an API outage Kubernetes' own controllers
// take up to a minute to look again, hence the patience.
func (r *run) writing(ctx context.Context, name string, not ...*corev1.Pod) (*workload, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	w := &workload{name: name}
	var err error
	if w.pod, err = r.WaitPod(ctx, name+"-0", not...); err != nil {
		return nil, err
	}
	if w.volume, err = r.VolumeOf(ctx, w.pod); err != nil {
		return nil, err
	}
	if _, err := r.WaitWriter(ctx, w.volume, w.pod); err != nil {
		return nil, err
	}
	w.node = r.Node(w.pod.Spec.NodeName)
	r.say("%s writes to %s on %s", w.pod.Name, w.volume, w.node.Name)
	return w, nil
}

// moved waits until the workload's next pod writes on another node.
func (r *run) moved(ctx context.Context, w *workload) error {
	next, err := r.writing(ctx, w.name, w.pod)
	if err == nil && next.node == w.node {
		err = fmt.Errorf("%s is back on %s", w.name, w.node.Name)
	}
	return err
}

// outOfService matches the out-of-service taint of a node.
func outOfService(node string, added bool) func(stage.TaintEvent) bool {
	return func(e stage.TaintEvent) bool {
		return e.Node == node && e.Added == added && e.Taint.Key == corev1.TaintNodeOutOfService
	}
}

// tainted waits for the out-of-service taint on a node, and measures the
// failover from the cut on, against the bound of the promise in force.
func (r *run) tainted(ctx context.Context, node string, cut time.Duration, promise timing.Promise) error {
	bound := timing.Failover(promise, r.profile)
	ctx, cancel := context.WithTimeout(ctx, 3*bound)
	defer cancel()
	e, err := r.Taints.Wait(ctx, outOfService(node, true))
	if err != nil {
		return fmt.Errorf("out-of-service taint of %s within %v: %w", node, 3*bound, err)
	}
	r.failover, r.bound = e.At-cut, bound
	return nil
}

// promise reads what a node has published.
func (r *run) promise(ctx context.Context, node string) (timing.Promise, error) {
	g, err := r.guard(ctx, node)
	if err != nil {
		return timing.Promise{}, err
	}
	p, err := g.Status.Promise.Pure()
	if err == nil && !p.Armed {
		err = errors.New("it is not armed")
	}
	if err != nil {
		return p, fmt.Errorf("promise of %s: %w", node, err)
	}
	return p, nil
}

// noTaints fails if any of the nodes, or any at all, was ever tainted
// out-of-service.
func (r *run) noTaints(nodes ...string) error {
	for _, f := range r.fences() {
		if len(nodes) == 0 || slices.Contains(nodes, f.Node) {
			return fmt.Errorf("%s was tainted out-of-service", f.Node)
		}
	}
	return nil
}

// noResets fails if any machine was reset by its dog or by sysrq.
func (r *run) noResets() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.resets) > 0 {
		return fmt.Errorf("%s was reset: %v", r.resets[0].Machine, r.resets[0].Cause)
	}
	return nil
}

// calm fails if anything was reset or tainted.
func (r *run) calm(context.Context) error { return errors.Join(r.noResets(), r.noTaints()) }

// fenceOf returns the newest NodeFence of a node.
func (r *run) fenceOf(ctx context.Context, node string) (*v1alpha1.NodeFence, error) {
	return fleet.NewestFence(ctx, r.Client, node)
}

// fencePhase waits until a node's newest fence is in the phase.
func (r *run) fencePhase(ctx context.Context, within time.Duration, node string, phases ...v1alpha1.NodeFencePhase) error {
	return r.eventually(ctx, within, fmt.Sprintf("fence of %s to be %v", node, phases), func(ctx context.Context) error {
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

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/test/cluster/fleet"
)

// leader returns the controller that holds the lease, and runs.
func (r *run) leader(ctx context.Context) (*fleet.Controller, error) {
	leases, err := r.Plane.Client().CoordinationV1().Leases(fleet.Namespace).List(ctx, listAll)
	if err != nil {
		return nil, err
	}
	for _, l := range leases.Items {
		for _, c := range r.Controllers {
			if l.Spec.HolderIdentity != nil && c.Runs(*l.Spec.HolderIdentity) {
				return c, nil
			}
		}
	}
	return nil, errors.New("no controller that runs holds the lease")
}

func controllerKilled(ctx context.Context, r *run) error {
	w, err := r.armedWriter(ctx)
	if err != nil {
		return err
	}
	if _, err := r.StartController(ctx); err != nil {
		return err
	}
	r.cut(w)
	for _, phase := range []v1alpha1.NodeFencePhase{
		v1alpha1.FenceSuspected, v1alpha1.FenceWithheld, v1alpha1.FenceFenced,
	} {
		if err := r.killLeaderAt(ctx, w.node.Name, phase); err != nil {
			return err
		}
	}
	if err := r.failsOver(ctx, w, r.start); err != nil {
		return err
	}
	r.failover, r.bound = 0, 0 // each new leader waited again
	return r.fencePhase(ctx, time.Minute, w.node.Name, v1alpha1.FenceDetached)
}

// killLeaderAt kills the leader while the node's fence is in the phase. A fence that
// is past it by then has shown nothing.
func (r *run) killLeaderAt(ctx context.Context, node string, phase v1alpha1.NodeFencePhase) error {
	order := []v1alpha1.NodeFencePhase{v1alpha1.FencePending, v1alpha1.FenceSuspected, v1alpha1.FenceWithheld, v1alpha1.FenceFenced, v1alpha1.FenceDetached}
	var past error
	err := r.eventually(ctx, 2*time.Minute, fmt.Sprintf("a leader to kill while the fence of %s is %s", node, phase), func(ctx context.Context) error {
		f, err := r.fenceOf(ctx, node)
		if err != nil {
			return err
		}
		switch at := f.Status.Phase; {
		case slices.Index(order, at) > slices.Index(order, phase):
			past = fmt.Errorf("nobody was killed while the fence of %s was %s: it is %s", node, phase, at)
			return nil
		case at != phase:
			return fmt.Errorf("phase %s, blockers %v", at, f.Status.Blockers)
		}
		c, err := r.leader(ctx)
		if err != nil {
			return err
		}
		r.say("the fence is %s: killing %s", phase, c.Name)
		c.Kill()
		return nil
	})
	return errors.Join(err, past)
}

// controllerPaused stops the leader when its taint is on the way, lets the node
// recover under another leader, and then lets the taint arrive.
func controllerPaused(ctx context.Context, r *run) error {
	w, err := r.armedWriter(ctx)
	if err != nil {
		return err
	}
	old := r.Controllers[0]
	if _, err := r.StartController(ctx); err != nil {
		return err
	}
	release := make(chan struct{})
	caught := make(chan struct{})
	var once sync.Once
	old.API.Intercept(func(req *http.Request) <-chan struct{} {
		if !taints(req) {
			return nil
		}
		once.Do(func() { close(caught) })
		return release
	})
	r.cut(w)
	select {
	case <-caught:
	case <-time.After(3 * timingOf(r)):
		return errors.New("no taint was on the way")
	}
	if err := old.Pause(); err != nil {
		return err
	}
	r.say("%s is paused, its taint on the way; the power of %s is back", old.Name, w.node.Name)
	if err := w.node.Machine.PowerOn(); err != nil {
		return err
	}
	if err := r.fencePhase(ctx, time.Minute, w.node.Name, v1alpha1.FenceRecovered); err != nil {
		return err
	}
	r.say("the taint arrives")
	old.API.Intercept(nil)
	close(release)
	if err := r.stays(ctx, 3*time.Second, "the late taint", r.calm); err != nil {
		return err
	}
	if err := old.Resume(); err != nil {
		return err
	}
	if err := r.stays(ctx, 10*time.Second, "the old leader goes on", r.calm); err != nil {
		return err
	}
	return r.phase(ctx, 30*time.Second, "Armed", r.names()...)
}

// taints reports whether a request adds the out-of-service taint to a Node.
func taints(req *http.Request) bool {
	if req.Method != http.MethodPatch && req.Method != http.MethodPut || !strings.Contains(req.URL.Path, "/api/v1/nodes/") {
		return false
	}
	body, err := io.ReadAll(req.Body)
	return err == nil && bytes.Contains(body, []byte(corev1.TaintNodeOutOfService))
}

func twoFences(ctx context.Context, r *run) error {
	w, err := r.armedWriter(ctx)
	if err != nil {
		return err
	}
	other := r.Node(r.others(w.node.Name)[0])
	promise, err := r.promise(ctx, other.Name)
	if err != nil {
		return err
	}
	other.Machine.SetStayOff(true)
	cut := r.cut(w)
	other.Machine.PowerCut()
	if err := r.tainted(ctx, other.Name, cut, promise); err != nil {
		return err
	}
	return r.failsOver(ctx, w, cut)
}

func oneAtATime(s *setup) {
	percent := int32(20)
	s.policy.Storm.MaxWithheldPercent = &percent
}

func stormGuard(ctx context.Context, r *run) error {
	w, err := r.armedWriter(ctx)
	if err != nil {
		return err
	}
	dead := []string{w.node.Name, r.others(w.node.Name)[0]}
	r.Node(dead[1]).Machine.SetStayOff(true)
	r.cut(w)
	r.Node(dead[1]).Machine.PowerCut()
	said := func(ctx context.Context) error {
		for _, n := range dead {
			f, err := r.fenceOf(ctx, n)
			if err == nil && slices.ContainsFunc(f.Status.Blockers, func(b string) bool { return strings.HasPrefix(b, "StormGuard") }) {
				return nil
			}
		}
		return errors.New("neither fence says StormGuard")
	}
	if err := r.eventually(ctx, time.Minute, "the storm guard", said); err != nil {
		return err
	}
	r.say("the storm guard holds one fence back")
	var tainted []time.Duration
	for _, n := range dead {
		ctx, cancel := context.WithTimeout(ctx, 6*timingOf(r))
		e, err := r.Taints.Wait(ctx, outOfService(n, true))
		cancel()
		if err != nil {
			return fmt.Errorf("taint of %s: %w", n, err)
		}
		tainted = append(tainted, e.At)
	}
	if apart := (tainted[1] - tainted[0]).Abs(); apart < timingOf(r)/2 {
		return fmt.Errorf("two nodes were withheld at once: their taints came %v apart", apart)
	}
	return r.moved(ctx, w)
}

func foreignTaints(ctx context.Context, r *run) error {
	w, err := r.armedWriter(ctx)
	if err != nil {
		return err
	}
	bystander := r.others(w.node.Name)[0]
	if err := r.editTaints(ctx, bystander, func(t []corev1.Taint) []corev1.Taint {
		return append(t, corev1.Taint{Key: corev1.TaintNodeOutOfService, Value: "manual", Effect: corev1.TaintEffectNoExecute})
	}); err != nil {
		return err
	}
	r.cut(w)
	if err := r.fencePhase(ctx, 30*time.Second, w.node.Name, v1alpha1.FenceWithheld); err != nil {
		return err
	}
	quarantined := func(ctx context.Context) error {
		taints, err := r.taintsOf(ctx, w.node.Name)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(taints, func(t corev1.Taint) bool { return t.Key == "picket.dev/fenced" }) {
			return errors.New("no quarantine")
		}
		return nil
	}
	if err := r.eventually(ctx, 10*time.Second, "quarantine", quarantined); err != nil {
		return err
	}
	r.say("somebody removes the quarantine of %s", w.node.Name)
	if err := r.editTaints(ctx, w.node.Name, func(t []corev1.Taint) []corev1.Taint {
		return slices.DeleteFunc(t, func(t corev1.Taint) bool { return t.Key == "picket.dev/fenced" })
	}); err != nil {
		return err
	}
	if err := r.eventually(ctx, 10*time.Second, "quarantine again", quarantined); err != nil {
		return err
	}
	if err := r.failsOver(ctx, w, r.start); err != nil {
		return err
	}
	taints, err := r.taintsOf(ctx, bystander)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(taints, func(t corev1.Taint) bool { return t.Value == "manual" }) {
		return errors.New("a taint that somebody else had set was removed")
	}
	if _, err := r.fenceOf(ctx, bystander); err == nil {
		return errors.New("a taint that somebody else had set was adopted")
	}
	return nil
}

// taintsOf reads a Node's taints, past all proxies.
func (r *run) taintsOf(ctx context.Context, node string) ([]corev1.Taint, error) {
	n, err := r.Plane.Client().CoreV1().Nodes().Get(ctx, node, getOptions)
	if err != nil {
		return nil, err
	}
	return n.Spec.Taints, nil
}

// editTaints changes a Node's taints, as a human with kubectl would.
func (r *run) editTaints(ctx context.Context, node string, change func([]corev1.Taint) []corev1.Taint) error {
	return r.editNode(ctx, node, func(n *corev1.Node) { n.Spec.Taints = change(n.Spec.Taints) })
}

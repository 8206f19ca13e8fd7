package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/timing"
	"github.com/picket-dev/picket/test/cluster/proc"
	"github.com/picket-dev/picket/test/cluster/proxy"
	"github.com/picket-dev/picket/test/cluster/rawclock"
	"github.com/picket-dev/picket/test/cluster/stage"
)

type processes = func(string) (*proc.Process, error)

// timingOf is the bound of a failover under the profile in force.
func timingOf(r *run) time.Duration {
	return timing.Failover(timing.Promise{
		Armed: true, RollLife: r.profile.RollLife, PetDelay: r.profile.PetDelay,
		Timeout: r.profile.RealTimeout, Kappa: 1000,
	}, r.profile)
}

// onAPI puts a fault between all nodes and the API.
func (r *run) onAPI(f proxy.Fault) {
	for _, n := range r.Nodes {
		n.API.Set(f)
	}
}

func apiLostOnOneNode(ctx context.Context, r *run) error {
	w, err := r.armedWriter(ctx)
	if err != nil {
		return err
	}
	r.say("%s loses the API", w.node.Name)
	w.node.API.Set(proxy.Cut())
	if err := r.stays(ctx, 8*r.profile.RollLife, "without the API", r.calm); err != nil {
		return err
	}
	if _, err := r.fenceOf(ctx, w.node.Name); err == nil {
		return errors.New("a node that only lost the API was accused")
	}
	w.node.API.Set(proxy.Pass())
	return r.phase(ctx, 30*time.Second, "Armed", r.names()...)
}

func apiServerDown(ctx context.Context, r *run) error {
	w, err := r.armedWriter(ctx)
	if err != nil {
		return err
	}
	r.say("the API server stops")
	r.Plane.StopAPI()
	if err := r.stays(ctx, 10*time.Second, "without an API server", r.calm); err != nil {
		return err
	}
	w.node.Machine.SetStayOff(true)
	w.node.Machine.PowerCut()
	if err := r.stays(ctx, 50*time.Second, "without an API server", r.calm); err != nil {
		return err
	}
	if err := r.Plane.StartAPI(ctx); err != nil {
		return err
	}
	r.say("the API server is back")
	back := rawclock.Now()
	if err := r.failsOver(ctx, w, back); err != nil {
		return err
	}
	if r.failover <= 0 {
		return errors.New("tainted before the API server was back")
	}
	r.failover, r.bound = 0, 0 // leader election and relists come on top
	return r.phase(ctx, 30*time.Second, "Armed", r.others(w.node.Name)...)
}

// apiAnswers lets the API answer everything with a status for 30 s.
func apiAnswers(status int) func(context.Context, *run) error {
	return func(ctx context.Context, r *run) error { return apiFault(ctx, r, proxy.Answer(status)) }
}

func apiStalls(ctx context.Context, r *run) error { return apiFault(ctx, r, proxy.Stall()) }

func apiFault(ctx context.Context, r *run, f proxy.Fault) error {
	if err := r.allArmed(ctx); err != nil {
		return err
	}
	r.say("the API: %v", f)
	r.onAPI(f)
	if err := r.stays(ctx, 30*time.Second, f.String(), r.calm); err != nil {
		return err
	}
	for _, n := range r.Nodes {
		met := n.API.Met("get", "rolls")
		r.say("%d reads of the Roll by %s met it", met, n.Name)
		if met == 0 {
			return fmt.Errorf("the agent of %s never met the fault: %v", n.Name, f)
		}
	}
	if err := r.answers(ctx, r.Nodes[0]); err != nil {
		return err
	}
	r.onAPI(proxy.Pass())
	if err := r.stays(ctx, 5*time.Second, "afterwards", r.calm); err != nil {
		return err
	}
	return r.phase(ctx, 30*time.Second, "Armed", r.names()...)
}

// answers has each command of a node's CLI look at the node, and prints how long it
// took.
func (r *run) answers(ctx context.Context, n *stage.Node) error {
	root := n.Machine.Identity().Root
	for _, line := range []string{
		"status", "peers", "matrix", "why", "devices", "watchdog --root " + root, "doctor --root " + root, "support-bundle -f - --root " + root,
	} {
		args := append(strings.Fields(line), "--run", filepath.Join(root, "run/picket"))
		within, cancel := context.WithTimeout(ctx, 10*time.Second)
		began := time.Now()
		out, err := exec.CommandContext(within, r.Bin.Agent, args...).Output()
		took := time.Since(began)
		cancel()
		exit, answered := errors.AsType[*exec.ExitError](err)
		if err != nil && (!answered || exit.ExitCode() < 1 || exit.ExitCode() > 2) || len(out) == 0 { // 1 and 2 say how the node stands
			return fmt.Errorf("picket-agent %s: %w", args[0], err)
		}
		fmt.Printf("RESULT command=%s seconds=%.3f\n", args[0], took.Seconds())
	}
	return nil
}

func minorityPartition(ctx context.Context, r *run) error {
	w, err := r.armedWriter(ctx)
	if err != nil {
		return err
	}
	side := []string{w.node.Name, r.others(w.node.Name)[0]}
	r.doom(side...)
	for _, n := range side {
		r.Node(n).Machine.SetStayOff(true)
		r.Node(n).API.Set(proxy.Cut())
	}
	r.Mesh.Partition(side, proxy.Cut())
	r.start = rawclock.Now()
	r.say("%v are cut off from the rest", side)
	for _, n := range side {
		promise, err := r.promise(ctx, n)
		if err != nil {
			return err
		}
		if err := r.tainted(ctx, n, r.start, promise); err != nil {
			return err
		}
	}
	if err := r.resetBefore(side...); err != nil {
		return err
	}
	if err := r.moved(ctx, w); err != nil {
		return err
	}
	return r.phase(ctx, 10*time.Second, "Armed", r.others(side...)...)
}

func majorityWithoutAPI(ctx context.Context, r *run) error {
	w, err := r.armedWriter(ctx)
	if err != nil {
		return err
	}
	cut := r.others(w.node.Name)[:3]
	r.cut(w)
	if err := r.fencePhase(ctx, 30*time.Second, w.node.Name, v1alpha1.FenceSuspected); err != nil {
		return err
	}
	r.say("%v lose the API", cut)
	for _, n := range cut {
		r.Node(n).API.Set(proxy.Cut())
	}
	blocked := func(ctx context.Context) error {
		f, err := r.fenceOf(ctx, w.node.Name)
		if err != nil {
			return err
		}
		for _, c := range f.Status.Conditions {
			if c.Type == v1alpha1.ConditionQuorumBlocked && c.Status == "True" {
				return r.calm(ctx)
			}
		}
		return fmt.Errorf("phase %s, conditions %v", f.Status.Phase, f.Status.Conditions)
	}
	if err := r.eventually(ctx, time.Minute, "QuorumBlocked", blocked); err != nil {
		return err
	}
	r.say("the controller says QuorumBlocked")
	if err := r.stays(ctx, 2*timingOf(r), "a majority without the API", r.calm); err != nil {
		return err
	}
	r.onAPI(proxy.Pass())
	if err := r.failsOver(ctx, w, r.start); err != nil {
		return err
	}
	r.failover, r.bound = 0, 0 // it waited for the quorum
	return nil
}

func outageDuringSuspicion(ctx context.Context, r *run) error {
	w, err := r.armedWriter(ctx)
	if err != nil {
		return err
	}
	r.Mesh.Isolate(w.node.Name, proxy.Cut())
	suspected := func(ctx context.Context) error {
		roll, err := r.Client.Rolls.Get(ctx, v1alpha1.RollName)
		if err != nil {
			return err
		}
		for _, e := range roll.Spec.Entries {
			if e.Node == w.node.Name {
				return nil
			}
		}
		return errors.New("nothing is held against it")
	}
	if err := r.eventually(ctx, 20*time.Second, "suspicion of "+w.node.Name, suspected); err != nil {
		return err
	}
	r.say("%s is suspected: the API server stops, the peers are back", w.node.Name)
	r.Plane.StopAPI()
	r.Mesh.Isolate(w.node.Name, proxy.Pass())
	if err := r.stays(ctx, 30*time.Second, "an outage with a suspicion open", r.calm); err != nil {
		return err
	}
	if err := r.Plane.StartAPI(ctx); err != nil {
		return err
	}
	if err := r.fencePhase(ctx, time.Minute, w.node.Name, v1alpha1.FenceRefuted); err != nil {
		return err
	}
	if err := r.stays(ctx, 10*time.Second, "afterwards", r.calm); err != nil {
		return err
	}
	return r.phase(ctx, 30*time.Second, "Armed", r.names()...)
}

func agentPortBlocked(ctx context.Context, r *run) error {
	if err := r.allArmed(ctx); err != nil {
		return err
	}
	r.say("the agents' port is blocked everywhere")
	since := time.Now()
	for _, n := range r.names() {
		r.Mesh.Isolate(n, proxy.Cut())
	}
	if err := r.phase(ctx, 90*time.Second, "Unarmed", r.names()...); err != nil {
		return err
	}
	if err := r.calm(ctx); err != nil {
		return err
	}
	if err := r.alerted(ctx, since); err != nil {
		return err
	}
	r.say("all are unarmed: the API goes, too")
	r.onAPI(proxy.Cut())
	if err := r.stays(ctx, 20*time.Second, "no API and no peers", r.calm); err != nil {
		return err
	}
	r.onAPI(proxy.Pass())
	for _, n := range r.names() {
		r.Mesh.Isolate(n, proxy.Pass())
	}
	return r.phase(ctx, time.Minute, "Armed", r.names()...)
}

// alerted waits for C12's word that the network between agents is broken, said
// since then: a cluster that starts may say it, too.
func (r *run) alerted(ctx context.Context, since time.Time) error {
	since = since.Truncate(time.Second) // as events have it
	return r.eventually(ctx, 30*time.Second, "C12's event PeerPathBroken", func(ctx context.Context) error {
		list, err := r.Plane.Client().CoreV1().Events(metav1.NamespaceDefault).List(ctx, listAll)
		if err != nil {
			return err
		}
		for _, e := range list.Items {
			if e.Reason == "PeerPathBroken" && e.InvolvedObject.Kind == "Roll" && strings.Contains(e.Message, "C12: ") && !e.LastTimestamp.Time.Before(since) {
				r.say("%s", e.Message)
				return nil
			}
		}
		return fmt.Errorf("not among %d events", len(list.Items))
	})
}

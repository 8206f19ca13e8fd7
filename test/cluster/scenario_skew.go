package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/test/cluster/fleet"
)

// versionSkew upgrades a cluster of the previous version: the CRDs, the controller,
// the agents one by one; and then takes the controller back. In each mixture nobody
// resets, all arm, and a dead node is fenced.
func versionSkew(ctx context.Context, r *run) error {
	if err := r.allArmed(ctx); err != nil {
		return err
	}
	old := r.previous.bin
	fmt.Printf("RESULT skew=version-skew previous=%s\n", r.previous.commit)
	if err := r.goBack(ctx, old); err != nil {
		return err
	}
	if err := r.exchangeController(ctx, r.Bin); err != nil {
		return err
	}
	last := r.Nodes[len(r.Nodes)-1].Name
	if err := r.mixed(ctx, "old agents, new controller", func() error { return r.exchangeAgent(ctx, last, r.Bin.Agent) }); err != nil {
		return err
	}
	for n, node := range r.Nodes {
		if err := r.exchangeAgent(ctx, node.Name, r.Bin.Agent); err != nil {
			return err
		}
		if n == len(r.Nodes)/2 {
			if err := r.settled(ctx, "half of the agents are new"); err != nil {
				return err
			}
		}
	}
	if err := r.exchangeController(ctx, old); err != nil {
		return err
	}
	return r.mixed(ctx, "new agents, old controller", nil)
}

// goBack makes the cluster one of the old version.
func (r *run) goBack(ctx context.Context, old fleet.Binaries) error {
	r.Agents = make(map[string]string)
	if err := r.exchangeController(ctx, old); err != nil {
		return err
	}
	for _, n := range r.Nodes {
		if err := r.exchangeAgent(ctx, n.Name, old.Agent); err != nil {
			return err
		}
	}
	return nil
}

// exchangeController ends the controllers, and starts one of those programs.
func (r *run) exchangeController(ctx context.Context, bin fleet.Binaries) error {
	for _, c := range r.Controllers {
		c.End()
	}
	mine := r.Bin
	r.Bin = bin
	_, err := r.StartController(ctx)
	r.Bin = mine
	return err
}

// exchangeAgent upgrades a node's agent as a DaemonSet does: the old one becomes
// unarmed and ends, the new one arms.
func (r *run) exchangeAgent(ctx context.Context, node, program string) error {
	m := r.Node(node).Machine
	agent, err := m.Process("agent")
	if err != nil {
		return err
	}
	if err := agent.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-agent.Done():
	case <-time.After(20 * time.Second):
		return fmt.Errorf("the agent of %s does not end", node)
	}
	r.Agents[node] = program
	if err := m.Start("agent"); err != nil {
		return err
	}
	return r.phase(ctx, 30*time.Second, "Armed", node)
}

// settled waits until all are armed, and a little longer.
func (r *run) settled(ctx context.Context, what string) error {
	r.say("%s", what)
	if err := r.phase(ctx, 30*time.Second, "Armed", r.names()...); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return r.stays(ctx, 2*r.profile.RollLife, what, func(context.Context) error { return r.noResets() })
}

// mixed shows that a cluster is well as it is: it stays so, and a node that dies is
// fenced and comes back. An agent may be too old to say what the controller must
// hear before it lifts the quarantine (C8): then its upgrade is what helps, and must.
func (r *run) mixed(ctx context.Context, what string, upgrade func() error) error {
	if err := r.settled(ctx, what); err != nil {
		return err
	}
	victim := r.Nodes[len(r.Nodes)-1]
	promise, err := r.promise(ctx, victim.Name)
	if err != nil {
		return err
	}
	seen := len(r.Taints.Events())
	victim.Machine.PowerCut()
	bound := timingOf(r)
	err = r.eventually(ctx, 3*bound, "the out-of-service taint", func(context.Context) error {
		for _, e := range r.Taints.Events()[seen:] {
			if outOfService(victim.Name, true)(e) {
				return nil
			}
		}
		return fmt.Errorf("none of %s, whose promise was %+v", victim.Name, promise)
	})
	if err == nil {
		err = r.fencePhase(ctx, time.Minute, victim.Name, v1alpha1.FenceDetached)
	}
	if err == nil {
		err = victim.Machine.PowerOn()
	}
	if err == nil {
		err = r.recovers(ctx, what, victim.Name, upgrade)
	}
	if err == nil {
		err = r.phase(ctx, time.Minute, "Armed", r.names()...)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return r.noResets()
}

// recovers waits until the node's quarantine is lifted, and says whether that took
// an upgrade of its agent.
func (r *run) recovers(ctx context.Context, what, node string, upgrade func() error) error {
	err := r.fencePhase(ctx, 20*time.Second, node, v1alpha1.FenceRecovered)
	alone := 1
	if err != nil && upgrade != nil {
		alone = 0
		if err = upgrade(); err == nil {
			err = r.fencePhase(ctx, time.Minute, node, v1alpha1.FenceRecovered)
		}
	}
	fmt.Printf("RESULT skew=%q recovers_without_upgrade=%d\n", what, alone)
	return err
}

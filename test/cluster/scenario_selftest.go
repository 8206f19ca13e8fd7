package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/picket-dev/picket/test/cluster/machine"
)

// selfTest tests the watchdog of a node as a human would: refused while the node
// takes pods, then on a drained one, and the result is asked for after the
// reboot.
func selfTest(ctx context.Context, r *run) error {
	if err := r.allArmed(ctx); err != nil {
		return err
	}
	node := r.names()[0]
	if out, err := r.agentCommand(ctx, node, "watchdog", "self-test", "--yes"); err == nil {
		return fmt.Errorf("a node that takes pods is tested:\n%s", out)
	}
	if err := r.calm(ctx); err != nil {
		return err
	}
	if err := r.cordon(ctx, node, true); err != nil {
		return err
	}
	// The neighbours of an armed node refute nothing: the test must be over
	// before anybody could take it for a fault.
	r.doom(node)
	out, err := r.agentCommand(ctx, node, "watchdog", "self-test", "--yes")
	if err != nil {
		return fmt.Errorf("begin the self-test: %w\n%s", err, out)
	}
	r.say("self-test of %s:\n%s", node, out)
	g, err := r.guard(ctx, node)
	if err != nil {
		return fmt.Errorf("A13: read the guard of %s, whose test has begun: %w", node, err)
	}
	if g.Status.Promise.Armed || g.Status.Reason != "SelfTest" {
		return fmt.Errorf("A13: the test has begun, and the guard says armed %t, %s", g.Status.Promise.Armed, g.Status.Reason)
	}
	if err := r.resetByDog(ctx, node); err != nil {
		return err
	}
	if err := r.phase(ctx, time.Minute, "Armed", node); err != nil {
		return err
	}
	if err := r.verified(ctx, node); err != nil {
		return err
	}
	if err := r.cordon(ctx, node, false); err != nil {
		return err
	}
	return r.stays(ctx, 5*time.Second, "after the test", func(context.Context) error { return r.noTaints() })
}

// resetByDog waits until the node's watchdog has reset it, and nothing else.
func (r *run) resetByDog(ctx context.Context, node string) error {
	return r.eventually(ctx, 30*time.Second, "the watchdog to reset "+node, func(context.Context) error {
		e, ok := r.resetOf(node)
		switch {
		case !ok:
			return errors.New("not reset yet")
		case e.Cause != machine.Watchdog:
			return fmt.Errorf("reset by %v", e.Cause)
		}
		return nil
	})
}

// verified waits until the guard shows the watchdog as verified, with a κ in the
// promise that is not smaller than the truth and not much larger.
func (r *run) verified(ctx context.Context, node string) error {
	dog, err := r.Node(node).Machine.Dog()
	if err != nil {
		return err
	}
	truth := int32(dog.Kappa*1000 + 0.5)
	return r.eventually(ctx, time.Minute, node+" to be verified", func(ctx context.Context) error {
		g, err := r.guard(ctx, node)
		if err != nil {
			return err
		}
		switch p := g.Status.Promise; {
		case !g.Status.Watchdog.Verified || !p.Armed:
			return fmt.Errorf("verified %t, armed %t: %s", g.Status.Watchdog.Verified, p.Armed, g.Status.Message)
		case p.Kappa <= truth || p.Kappa > truth*13/10:
			return fmt.Errorf("κ is %d, and the truth %d", p.Kappa, truth)
		default:
			r.say("%s is verified: κ = %d, and the truth is %d", node, p.Kappa, truth)
			return nil
		}
	})
}

// cordon keeps new pods from the node, as kubectl does, or lets them come.
func (r *run) cordon(ctx context.Context, node string, on bool) error {
	r.say("cordon of %s: %t", node, on)
	return r.editNode(ctx, node, func(n *corev1.Node) { n.Spec.Unschedulable = on })
}

// editNode changes a Node, as a human with kubectl would.
func (r *run) editNode(ctx context.Context, node string, change func(*corev1.Node)) error {
	return r.eventually(ctx, 10*time.Second, "edit "+node, func(ctx context.Context) error {
		nodes := r.Plane.Client().CoreV1().Nodes()
		n, err := nodes.Get(ctx, node, getOptions)
		if err != nil {
			return err
		}
		change(n)
		_, err = nodes.Update(ctx, n, updateOptions)
		return err
	})
}

// agentCommand runs the CLI on a node.
func (r *run) agentCommand(ctx context.Context, node string, args ...string) (string, error) {
	run := filepath.Join(r.Node(node).Machine.Identity().Root, "run/picket")
	out, err := exec.CommandContext(ctx, r.Bin.Agent, append(args, "--run", run)...).CombinedOutput()
	return string(out), err
}

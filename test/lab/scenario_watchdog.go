package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// The drivers of the lab's machines.
const (
	hardwareDog = "i6300esb"
	softDog     = "softdog"
)

// softdogFires moves a node to softdog, and then stops everything that pets it:
// the kernel's own timer must reset the node in time. All of it stops at once: an
// agent that saw its holder stopped would become unarmed (A11).
func softdogFires(ctx context.Context, r *run) error {
	v, err := r.first(ctx)
	if err != nil {
		return err
	}
	restore, err := r.changePolicy(ctx, func(p *v1alpha1.FencingPolicySpec) { p.Watchdog.Prefer = v1alpha1.PreferSoftdog })
	if err != nil {
		return err
	}
	err = r.guardedBy(ctx, v.node, softDog)
	if err == nil {
		v, err = r.victim(ctx, v.Name()) // with the promise of this dog
	}
	if err == nil {
		r.cutNow(v)
		err = r.sh(ctx, v.node, "pkill -STOP -x 'picket-(agent|holder)'")
	}
	if err == nil {
		err = errors.Join(r.tainted(ctx, v), r.resetBeforeTaint(ctx, v))
		// Its kubelet lived until the reset, as when the agent alone stops.
		r.failover, r.bound = 0, 0
	}
	if err := errors.Join(err, restore()); err != nil {
		return err
	}
	if err := r.recovered(ctx, v); err != nil {
		return err
	}
	return r.guardedBy(ctx, v.node, hardwareDog)
}

// systemdHolds reboots a node into a systemd that pets the hardware's watchdog.
// Under Cooperate Picket takes softdog, and systemd goes on; under TakeOver it
// must give the hardware's up.
func systemdHolds(ctx context.Context, r *run) error {
	n, err := r.writer(ctx, time.Minute)
	if err != nil {
		return err
	}
	n = r.other(n) // the workload has nothing to do with it
	if err := r.sh(ctx, n, "mkdir -p /etc/systemd/system.conf.d && printf '[Manager]\\nRuntimeWatchdogSec=10s\\n' >"+runtimeDog); err != nil {
		return err
	}
	err = r.bothStances(ctx, n)
	undo := context.WithoutCancel(ctx)
	if err := errors.Join(err, r.sh(undo, n, "rm -f "+runtimeDog+"; systemctl daemon-reload")); err != nil {
		return err
	}
	return errors.Join(r.guardedBy(ctx, n, hardwareDog), r.held(ctx, n, hardwareDog, "0"))
}

// runtimeDog makes systemd pet the hardware's watchdog.
const runtimeDog = "/etc/systemd/system.conf.d/lab-dog.conf"

func (r *run) bothStances(ctx context.Context, n *node) error {
	if err := r.reboot(ctx, n); err != nil {
		return err
	}
	if err := r.held(ctx, n, softDog, "10s"); err != nil {
		return err
	}
	if err := r.stays(ctx, 30*time.Second, "two watchdogs", r.calmBut(n)); err != nil {
		return err
	}
	restore, err := r.changePolicy(ctx, func(p *v1alpha1.FencingPolicySpec) { p.Watchdog.Systemd = v1alpha1.TakeOver })
	if err != nil {
		return err
	}
	err = r.guardedBy(ctx, n, hardwareDog)
	if err == nil {
		err = r.held(ctx, n, hardwareDog, "0")
	}
	return errors.Join(err, restore())
}

// held checks which driver guards a node, and for how long systemd would wait.
func (r *run) held(ctx context.Context, n *node, driver, runtime string) error {
	return eventually(ctx, time.Minute, "who holds which watchdog on "+n.Name(), func(ctx context.Context) error {
		g, err := r.client.NodeGuards.Get(ctx, n.Name())
		if err != nil {
			return err
		}
		if got := g.Status.Watchdog.Driver; !g.Status.Promise.Armed || got != driver {
			return fmt.Errorf("guarded by %q, armed: %v, want %q", got, g.Status.Promise.Armed, driver)
		}
		text, err := n.Exec(ctx, "systemctl show --property=RuntimeWatchdogUSec --value")
		if err == nil && strings.TrimSpace(text) != runtime {
			err = fmt.Errorf("systemd's RuntimeWatchdogUSec is %q, want %q", strings.TrimSpace(text), runtime)
		}
		if err == nil {
			r.say("%s is guarded by %s; systemd's RuntimeWatchdogUSec is %s", n.Name(), driver, runtime)
		}
		return err
	})
}

// reboot reboots a node in order; it is armed when reboot returns.
func (r *run) reboot(ctx context.Context, n *node) error {
	r.doomed[n.Name()] = true
	boot, _ := n.On()
	if err := r.background(ctx, n, "sleep 0.2; systemctl reboot"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 8*time.Minute)
	defer cancel()
	if _, err := n.WaitBoot(ctx, boot); err != nil {
		return err
	}
	if err := r.ready(ctx, 4*time.Minute, n.Name()); err != nil {
		return err
	}
	return r.armed(ctx, 2*time.Minute, n.Name())
}

// calmBut is calm for all but one node, whose resets were asked for.
func (r *run) calmBut(n *node) func(context.Context) error {
	boot, _ := n.On()
	return func(context.Context) error {
		for _, other := range r.nodes {
			for _, e := range other.Events() {
				if e.At > r.began && isReset(e) && other != n {
					return fmt.Errorf("%s: %v", other.Name(), e.Cause)
				}
			}
		}
		if now, _ := n.On(); now != boot {
			return fmt.Errorf("%s left boot %.8s", n.Name(), boot)
		}
		return nil
	}
}

// other is a node that is not the given one.
func (r *run) other(n *node) *node {
	for _, o := range r.nodes {
		if o != n {
			return o
		}
	}
	return n
}

// machinesRefused holds a policy that does not accept virtual machines, the
// default: nobody is armed, and a dead node is left to people.
func machinesRefused(ctx context.Context, r *run) error {
	restore, err := r.changePolicy(ctx, func(p *v1alpha1.FencingPolicySpec) { p.Watchdog.AcceptVirtualMachines = false })
	if err != nil {
		return err
	}
	err = r.leftAlone(ctx)
	if err := errors.Join(err, restore()); err != nil {
		return err
	}
	return nil // mend waits until all is armed
}

// leftAlone cuts the power of a node that must not be fenced for it.
func (r *run) leftAlone(ctx context.Context) error {
	err := eventually(ctx, 2*time.Minute, "all nodes to be unarmed", func(ctx context.Context) error {
		for _, n := range r.nodes {
			g, err := r.client.NodeGuards.Get(ctx, n.Name())
			if err != nil {
				return err
			}
			if g.Status.Promise.Armed || g.Status.Reason != "VirtualMachine" {
				return fmt.Errorf("%s: phase %s, reason %s", n.Name(), g.Status.Phase, g.Status.Reason)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	v, err := r.first(ctx)
	if err != nil {
		return err
	}
	r.cutPower(v)
	err = r.stays(ctx, time.Minute, "a dead node that was not armed", func(context.Context) error {
		return r.untainted(v)
	})
	if err != nil {
		return err
	}
	r.say("%s is dead and not tainted", v.Name())
	return v.PowerOn(ctx)
}

// untainted fails once the victim is out of service.
func (r *run) untainted(v *victim) error {
	for _, f := range r.taints.Fences() {
		if f.Node == v.Name() && f.Tainted > v.cut {
			return fmt.Errorf("%s is out of service", v.Name())
		}
	}
	return nil
}

// guardedBy restarts a node's agent, which takes the device that the policy
// asks for once the node is unarmed, and waits until that one is armed.
func (r *run) guardedBy(ctx context.Context, n *node, driver string) error {
	return r.freshAgent(ctx, n, n.Name()+" to be guarded by "+driver, func(s v1alpha1.NodeGuardStatus) error {
		if s.Watchdog.Driver != driver || !s.Promise.Armed {
			return fmt.Errorf("driver %q, phase %s, reason %s: %s", s.Watchdog.Driver, s.Phase, s.Reason, s.Message)
		}
		return nil
	})
}

// changePolicy changes the policy and returns how to put it back.
func (r *run) changePolicy(ctx context.Context, change func(*v1alpha1.FencingPolicySpec)) (restore func() error, err error) {
	set := func(ctx context.Context, change func(*v1alpha1.FencingPolicySpec)) (old v1alpha1.FencingPolicySpec, err error) {
		policy, err := r.client.FencingPolicies.Get(ctx, v1alpha1.PolicyName)
		if err != nil {
			return old, err
		}
		policy.Spec.DeepCopyInto(&old)
		change(&policy.Spec)
		_, err = r.client.FencingPolicies.Update(ctx, policy)
		return old, err
	}
	old, err := set(ctx, change)
	if err != nil {
		return nil, fmt.Errorf("change the policy: %w", err)
	}
	return func() error {
		_, err := set(context.WithoutCancel(ctx), func(p *v1alpha1.FencingPolicySpec) { *p = old })
		return err
	}, nil
}

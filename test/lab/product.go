package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/picket-dev/picket/deploy"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/timing"
	"github.com/picket-dev/picket/test/cluster/fleet"
)

// install puts Picket on the cluster, with a policy that accepts virtual machines
// and, as people are told to begin, only looks.
func (l *lab) install(ctx context.Context) error {
	if err := l.apply(ctx); err != nil {
		return err
	}
	spec, _, err := policy(l.opts.Profile)
	if err != nil {
		return err
	}
	spec.Mode = v1alpha1.Observe
	return fleet.SetPolicy(ctx, l.client, spec)
}

// apply applies the manifests that people apply, with the image that the nodes
// have, and starts the controller as a process on the control plane's host.
func (l *lab) apply(ctx context.Context) error {
	definitions, err := deploy.CRDs()
	if err != nil {
		return err
	}
	base, err := deploy.Base()
	if err != nil {
		return err
	}
	workloads, err := deploy.Workloads(picketImage)
	if err != nil {
		return err
	}
	for _, object := range slices.Concat(definitions, base, workloads) {
		if bytes.Contains(object, []byte(`"kind":"Deployment"`)) {
			continue // the controller is a process of the lab's
		}
		object = bytes.ReplaceAll(object, []byte(agentShare), []byte(labShare))
		if err := l.plane.Apply(ctx, object); err != nil {
			return err
		}
	}
	return l.startController(ctx)
}

// enforce lets Picket arm the nodes and fence them, by a profile's times.
func (l *lab) enforce(ctx context.Context, profile string) error {
	spec, times, err := policy(profile)
	if err != nil {
		return err
	}
	object, err := l.client.FencingPolicies.Get(ctx, v1alpha1.PolicyName)
	if err != nil {
		return err
	}
	object.Spec = spec
	if _, err := l.client.FencingPolicies.Update(ctx, object); err != nil {
		return fmt.Errorf("enforce profile %s: %w", profile, err)
	}
	l.profile = times
	return nil
}

// setProfile changes the times of a lab that is up, between two scenarios.
func (l *lab) setProfile(ctx context.Context, profile string) error {
	l.playing.Lock()
	defer l.playing.Unlock()
	if err := l.enforce(ctx, profile); err != nil {
		return err
	}
	return eventually(ctx, 2*time.Minute, "all nodes to be armed by profile "+profile, func(ctx context.Context) error {
		for _, name := range l.names() {
			g, err := l.client.NodeGuards.Get(ctx, name)
			if err != nil {
				return err
			}
			if p := g.Status.Promise; !p.Armed || p.RollLife.Duration != l.profile.RollLife {
				return fmt.Errorf("%s is in phase %s with L = %v", name, g.Status.Phase, p.RollLife.Duration)
			}
		}
		return nil
	})
}

// agentShare is the processor that the agent's pod asks for, and labShare what
// it gets: an emulated processor is some twenty times slower than a real one.
const agentShare, labShare = `"cpu":"100m"`, `"cpu":"400m"`

// busy is the lab's own profile. Emulated processors share two real ones with the
// control plane and with what else the machine does: what stops a virtual machine
// for seconds is not Picket's to judge.
const busy = "busy"

// policy is what puts a profile in force on virtual machines.
func policy(name string) (v1alpha1.FencingPolicySpec, timing.Profile, error) {
	spec := v1alpha1.FencingPolicySpec{
		Mode: v1alpha1.Enforce, Profile: name,
		Watchdog: v1alpha1.WatchdogPolicy{AcceptVirtualMachines: true},
	}
	if name != busy {
		p, err := timing.Named(name)
		return spec, p, err
	}
	p := timing.Standard()
	p.RollLife, p.PetDelay = 15*time.Second, 4*time.Second
	p.Heartbeat, p.RollInterval = time.Second, 2*time.Second
	spec.Profile, spec.Overrides = "standard", v1alpha1.TimingOf(p)
	return spec, p, p.Validate()
}

// armed waits until nodes' guards show that the boot which runs is armed.
func (l *lab) armed(ctx context.Context, within time.Duration, nodes ...string) error {
	for _, name := range nodes {
		n, err := l.node(name)
		if err != nil {
			return err
		}
		err = eventually(ctx, within, name+" to be Armed", func(ctx context.Context) error {
			g, err := l.client.NodeGuards.Get(ctx, name)
			if err != nil {
				return err
			}
			boot, on := n.On()
			if s := g.Status; !on || boot == "" || s.BootID != boot || s.Phase != "Armed" || !s.Promise.Armed {
				return fmt.Errorf("boot %.8s of %.8s, phase %q, reason %s: %s", s.BootID, boot, s.Phase, s.Reason, s.Message)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// allArmed waits until every node is Armed and the witnesses are as many as
// they will be.
func (l *lab) allArmed(ctx context.Context, within time.Duration) error {
	if err := l.armed(ctx, within, l.names()...); err != nil {
		return err
	}
	want := len(l.nodes) - (len(l.nodes)+1)%2
	err := eventually(ctx, time.Minute, fmt.Sprintf("one epoch of %d witnesses", want), func(ctx context.Context) error {
		roll, err := l.client.Rolls.Get(ctx, v1alpha1.RollName)
		if err != nil {
			return err
		}
		if e := roll.Spec.Epochs; len(e) != 1 || len(e[0].Witnesses) != want {
			return fmt.Errorf("epochs: %v", e)
		}
		if len(roll.Spec.Entries) > 0 {
			return errors.New("the Roll still lists boots")
		}
		return nil
	})
	if err == nil {
		l.say("all %d nodes are armed", len(l.nodes))
	}
	return err
}

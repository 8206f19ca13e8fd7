package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/test/cluster/rawclock"
	"github.com/picket-dev/picket/test/cluster/stage"
	"github.com/picket-dev/picket/test/lab/network"
)

// A comeback is how a node comes back that was fenced by a person's word and runs
// on in the same boot: nobody armed it, so nothing has reset it.
type comeback struct {
	// volume is what the fenced workload lies on.
	volume recipe
	// prepare makes more on the node before it is cut off.
	prepare func(context.Context, *run, *returnee) error
	// away happens between the taint and the node's return.
	away func(context.Context, *run, *returnee) error
	// meanwhile happens as soon as the agent has cut the volume off.
	meanwhile func(context.Context, *run, *returnee) error
	// resets says that a reset must come of it, and not a node that is clean; hangs,
	// that it does since a step does not end.
	resets, hangs bool
	// check looks at what is left, with all networks healed.
	check func(context.Context, *run, *returnee) error
}

// A returnee is the node that comes back.
type returnee struct {
	*victim
	tenant *tenant
	client string   // krbd's, as the storage knows it
	disks  []string // the kernel's names of what the tenant's volume lies on
	host   string   // what of the host's own must stay as it is
}

// comesBack plays a comeback: a workload keeps its volume dirty on a node that is
// then cut off from cluster and storage; a person says that it is off; the volume
// moves, and is written elsewhere; the cluster's network heals; and when the agent
// has done what it must, the storage's does.
func (r *run) comesBack(ctx context.Context, c comeback) error {
	restore, err := r.changePolicy(ctx, func(p *v1alpha1.FencingPolicySpec) { p.Rejoin = v1alpha1.RejoinClean })
	if err != nil {
		return err
	}
	database, err := r.writer(ctx, time.Minute)
	if err != nil {
		return errors.Join(err, restore())
	}
	n := r.other(database)
	boot, _ := n.On()
	err = r.sentOff(ctx, c, n)
	undo := context.WithoutCancel(ctx)
	switch {
	case err != nil:
		err = errors.Join(err, r.startAnew(undo, n, boot))
	case c.resets:
		err = r.rearm(undo, n)
	}
	return errors.Join(err, restore())
}

// sentOff is comesBack on a node.
func (r *run) sentOff(ctx context.Context, c comeback, n *node) error {
	b, err := r.boards(ctx, c, n)
	if err != nil {
		return err
	}
	r.cutNow(b.victim)
	for _, side := range []network.Side{network.Cluster, network.Storage} {
		if err := network.Cut(ctx, side, n.number, network.Both); err != nil {
			return err
		}
	}
	if err := r.prove(ctx, b.victim); err != nil {
		return err
	}
	if err := r.movedOff(ctx, 3*time.Minute, b.victim, b.tenant.name, &b.tenant.collector); err != nil {
		return err
	}
	if c.away != nil {
		if err := c.away(ctx, r, b); err != nil {
			return err
		}
	}
	if err := network.Heal(ctx, network.Cluster, n.number); err != nil {
		return err
	}
	r.say("%s hears the cluster again", n.Name())
	if c.meanwhile != nil {
		if err := errors.Join(r.cutOff(ctx, b), c.meanwhile(ctx, r, b)); err != nil {
			return err
		}
	}
	if err := r.settled(ctx, c, b); err != nil {
		return err
	}
	if err := network.Heal(ctx, network.Storage, n.number); err != nil {
		return err
	}
	return r.inTheEnd(ctx, c, b)
}

// boards brings a workload and things of the host's own to a node that is not
// armed, and dirties the volume.
func (r *run) boards(ctx context.Context, c comeback, n *node) (b *returnee, err error) {
	b = &returnee{}
	if b.tenant, err = r.settle(ctx, n, "moved", c.volume); err != nil {
		return b, err
	}
	if err := r.disarm(ctx, n); err != nil {
		return b, err
	}
	if b.victim, err = r.victim(ctx, n.Name()); err != nil {
		return b, err
	}
	r.doomed[n.Name()] = c.resets
	if err := r.furnish(ctx, b); err != nil {
		return b, err
	}
	if c.prepare != nil {
		if err := c.prepare(ctx, r, b); err != nil {
			return b, err
		}
	}
	b.disks, err = b.disksOf(ctx, b.tenant)
	if err != nil {
		return b, err
	}
	dirty, err := n.Exec(ctx, "grep -E '^(Dirty|Writeback):' /proc/meminfo | tr -s ' \\n' ' '")
	r.say("%s has %s on %s; %s", n.Name(), b.tenant.name, strings.Join(b.disks, " and "), dirty)
	return b, err
}

// disksOf are the names of the disks that a tenant's volume lies on.
func (n *node) disksOf(ctx context.Context, t *tenant) ([]string, error) {
	script := fmt.Sprintf("for l in /dev/disk/by-path/*-iscsi-%s-lun-%d; do basename $(readlink -e $l); done", t.iqn, t.lun)
	if t.image {
		script = "ls /sys/class/block | grep ^rbd"
	}
	text, err := n.Exec(ctx, script)
	if names := strings.Fields(text); err == nil && len(names) > 0 {
		return names, nil
	}
	return nil, errors.Join(err, fmt.Errorf("%s has no disk of %s", n.Name(), t.name))
}

// prove is a person who says that a node is off, and is wrong.
func (r *run) prove(ctx context.Context, v *victim) error {
	_, err := r.client.NodeFences.Create(ctx, &v1alpha1.NodeFence{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("lab-%.8s", v.boot)},
		Spec: v1alpha1.NodeFenceSpec{
			Node: v.Name(), Reason: v1alpha1.ReasonRequested, Requester: "lab",
			Proof: &v1alpha1.Proof{BootID: v.boot, Kind: "Confirmed", By: "lab"},
		},
	})
	if err != nil {
		return fmt.Errorf("prove %s dead: %w", v.Name(), err)
	}
	within, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	e, err := r.taints.Wait(within, func(e stage.TaintEvent) bool {
		return e.Node == v.Name() && e.Added && e.Taint.Key == corev1.TaintNodeOutOfService && e.At > v.cut
	})
	if err != nil {
		return fmt.Errorf("out-of-service taint of %s: %w", v.Name(), err)
	}
	r.say("%s is out of service after %.2f s, by a person's word", v.Name(), (e.At - v.cut).Seconds())
	return nil
}

// cutOff waits until nothing reaches the volume through its disks any more.
func (r *run) cutOff(ctx context.Context, b *returnee) error {
	return eventually(ctx, 2*time.Minute, "the agent to cut the volume off", func(ctx context.Context) error {
		return r.sh(ctx, b.node, fmt.Sprintf(`for d in %s; do
			[ ! -e /sys/class/block/$d ] || [ "$(cat /sys/class/block/$d/device/state)" = offline ] || exit 1
		done`, strings.Join(b.disks, " ")))
	})
}

// settled waits until the node says that nothing is left of what has moved, or has
// reset itself.
func (r *run) settled(ctx context.Context, c comeback, b *returnee) error {
	if c.resets {
		err := r.resetItself(ctx, b.victim)
		if err == nil && c.hangs != (r.rejoin.hung > 0) {
			err = fmt.Errorf("%d steps hung on %s", r.rejoin.hung, b.Name())
		}
		return err
	}
	var said v1alpha1.Storage
	err := eventually(ctx, 3*time.Minute, b.Name()+" to be clean", func(ctx context.Context) error {
		if boot, _ := b.On(); boot != b.boot {
			return nil // it has reset itself
		}
		g, err := r.client.NodeGuards.Get(ctx, b.Name())
		if err != nil {
			return err
		}
		said = g.Status.Storage
		if s := said; g.Status.BootID != b.boot || s.State != v1alpha1.StorageClean || s.FencedBoot != b.boot {
			return fmt.Errorf("its storage is %s of the fence of boot %.8s: %s", s.State, s.FencedBoot, s.Message)
		}
		return nil
	})
	if reset := r.sameBoot(b); reset != nil {
		return fmt.Errorf("%w; it has said: %s", reset, said.Message)
	}
	if err != nil {
		return err
	}
	r.say("%s is clean %.1f s after the cut", b.Name(), (rawclock.Now() - b.cut).Seconds())
	return nil
}

// sameBoot fails once the node has left the boot that was fenced.
func (r *run) sameBoot(b *returnee) error {
	if boot, _ := b.On(); boot != b.boot {
		return fmt.Errorf("%s was reset: it should have been cleaned", b.Name())
	}
	return nil
}

// welcome boots a clean node anew, which its quarantine waits for (C8), and takes
// back what kept it unarmed.
func (r *run) welcome(ctx context.Context, b *returnee) error {
	if err := errors.Join(r.sameBoot(b), r.quarantined(ctx, b.node)); err != nil {
		return err
	}
	if err := r.sh(ctx, b.node, "rm -f "+breakGlass+" && sync"); err != nil {
		return err
	}
	r.doomed[b.Name()] = true // from here on
	if err := b.Press(); err != nil {
		return err
	}
	if _, err := b.WaitBoot(ctx, b.boot); err != nil {
		return err
	}
	if err := r.ready(ctx, 4*time.Minute, b.Name()); err != nil {
		return err
	}
	return r.fencePhase(ctx, 2*time.Minute, b.Name(), v1alpha1.FenceRecovered)
}

// quarantined fails unless the node is kept from pods that do not tolerate it.
func (r *run) quarantined(ctx context.Context, n *node) error {
	object, err := r.plane.Client().CoreV1().Nodes().Get(ctx, n.Name(), metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, t := range object.Spec.Taints {
		if t.Key == quarantine && t.Effect == corev1.TaintEffectNoExecute {
			return nil
		}
	}
	return fmt.Errorf("%s is not clean, and has no quarantine: %v", n.Name(), object.Spec.Taints)
}

// quarantine is the key of Picket's taint.
const quarantine = "picket.dev/fenced"

// resetItself waits for a reset of the victim and for what follows it.
func (r *run) resetItself(ctx context.Context, v *victim) error {
	said := ""
	err := eventually(ctx, 3*time.Minute, v.Name()+" to reset itself", func(ctx context.Context) error {
		if g, err := r.client.NodeGuards.Get(ctx, v.Name()); err == nil && g.Status.BootID == v.boot && g.Status.Storage.Message != "" {
			said = g.Status.Storage.Message
		}
		for _, e := range v.Events() {
			if e.At > v.cut && isReset(e) {
				r.say("%s: %v, %.1f s after the cut", v.Name(), e.Cause, (e.At - v.cut).Seconds())
				return nil
			}
		}
		return fmt.Errorf("it runs on: %s", said)
	})
	if err != nil {
		return err
	}
	r.say("its last word was: %s", said)
	if !strings.HasPrefix(said, "resetting: ") {
		return fmt.Errorf("%s has not said why it resets: %q", v.Name(), said)
	}
	r.rejoin.resets = true
	r.rejoin.hung = strings.Count(said, stuck)
	if _, err := v.WaitBoot(ctx, v.boot); err != nil {
		return err
	}
	if err := r.ready(ctx, 4*time.Minute, v.Name()); err != nil {
		return err
	}
	return r.fencePhase(ctx, 2*time.Minute, v.Name(), v1alpha1.FenceRecovered)
}

// inTheEnd looks at what is left once everything is reached again: a write that
// comes late comes now.
func (r *run) inTheEnd(ctx context.Context, c comeback, b *returnee) error {
	if err := r.stays(ctx, 15*time.Second, "the node is back", func(context.Context) error { return nil }); err != nil {
		return err
	}
	if c.check != nil {
		if err := c.check(ctx, r, b); err != nil {
			return err
		}
	}
	if b.tenant.luks {
		if err := r.opensAgain(ctx, b.tenant); err != nil {
			return err
		}
	}
	if c.resets {
		return nil
	}
	return errors.Join(r.hungSteps(ctx, b.node), r.untouched(ctx, b), r.welcome(ctx, b))
}

// opensAgain has the workload start once more, which reads all that is on its
// volume: the only look behind LUKS.
func (r *run) opensAgain(ctx context.Context, t *tenant) error {
	before, err := newestTenure(&t.collector)
	if err != nil {
		return err
	}
	if err := r.plane.Client().CoreV1().Pods(metav1.NamespaceDefault).Delete(ctx, t.name+"-0", metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("start %s again: %w", t.name, err)
	}
	return eventually(ctx, 3*time.Minute, t.name+" to open its volume again", func(context.Context) error {
		newest, err := newestTenure(&t.collector)
		if err == nil && newest.Run == before.Run {
			err = errors.New("it has not started yet")
		}
		return err
	})
}

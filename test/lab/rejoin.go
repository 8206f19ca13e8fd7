package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/test/cluster/fleet"
	"github.com/picket-dev/picket/test/lab/iscsi"
)

// breakGlass is the file by which a person keeps a node unarmed.
const breakGlass = "/etc/picket/unarmed"

// disarm has a node not armed any more, as a person would in need.
func (r *run) disarm(ctx context.Context, n *node) error {
	if err := r.sh(ctx, n, "mkdir -p $(dirname "+breakGlass+") && touch "+breakGlass); err != nil {
		return err
	}
	return r.freshAgent(ctx, n, n.Name()+" to be unarmed", func(s v1alpha1.NodeGuardStatus) error {
		if s.Promise.Armed || s.Phase != "Unarmed" {
			return fmt.Errorf("phase %s, reason %s: %s", s.Phase, s.Reason, s.Message)
		}
		return nil
	})
}

// rearm ends what disarm began.
func (r *run) rearm(ctx context.Context, n *node) error {
	if err := r.sh(ctx, n, "rm -f "+breakGlass); err != nil {
		return err
	}
	return r.freshAgent(ctx, n, n.Name()+" to be armed again", func(s v1alpha1.NodeGuardStatus) error {
		if !s.Promise.Armed {
			return fmt.Errorf("phase %s, reason %s: %s", s.Phase, s.Reason, s.Message)
		}
		return nil
	})
}

// startAnew ends the boot in which a scenario has failed, since the node may be in
// any state, and what disarm began, before the next boot's agent looks.
func (r *run) startAnew(ctx context.Context, n *node, failed string) error {
	r.doomed[n.Name()] = true
	if boot, _ := n.On(); boot == failed {
		r.plans(ctx, n)
		n.PowerCut()
		if err := n.PowerOn(ctx); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	if _, err := n.WaitBoot(ctx, failed); err != nil {
		return err
	}
	return r.sh(ctx, n, "rm -f "+breakGlass)
}

// freshAgent restarts a node's agent, and waits until the new one stands as it
// should.
func (r *run) freshAgent(ctx context.Context, n *node, what string, stands func(v1alpha1.NodeGuardStatus) error) error {
	old, err := r.agentPod(ctx, n)
	if err != nil {
		return err
	}
	if err := r.plane.Client().CoreV1().Pods(fleet.Namespace).Delete(ctx, old.Name, metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("restart the agent of %s: %w", n.Name(), err)
	}
	return eventually(ctx, 3*time.Minute, what, func(ctx context.Context) error {
		if err := r.newAgent(ctx, n, old); err != nil {
			return err
		}
		g, err := r.client.NodeGuards.Get(ctx, n.Name())
		if err != nil {
			return err
		}
		return stands(g.Status)
	})
}

// furnish gives a node what is the host's own: a file system on a map over a loop
// device, and one on iSCSI, over a session of its own.
func (r *run) furnish(ctx context.Context, b *returnee) error {
	s := r.storage
	s.volumes++
	lun := volumeLUN + s.volumes
	iqn, file := fmt.Sprintf("%s-%d", targetIQN, lun), r.path(fmt.Sprintf("volume-%d", lun))
	err := iscsi.CreateVolume(ctx, file, tenantSize)
	if err == nil {
		err = s.target.Add(ctx, lun, iqn, map[int]string{lun: file})
	}
	if err != nil {
		return err
	}
	r.hosts(b.node, lun)
	err = r.sh(ctx, b.node, fmt.Sprintf(`set -e
		mkdir -p /mnt/lab-map /mnt/lab-disk
		truncate -s 16M /var/lib/lab/own && mkfs.ext4 -q -F /var/lib/lab/own
		loop=$(losetup -f --show /var/lib/lab/own)
		dmsetup create lab-own --table "0 $(blockdev --getsz $loop) linear $loop 0"
		mount /dev/mapper/lab-own /mnt/lab-map
		iscsiadm -m node -T %[1]s -p %[2]s -o new
		iscsiadm -m node -T %[1]s -p %[2]s --login
		disk=/dev/disk/by-path/ip-%[2]s-iscsi-%[1]s-lun-%[3]d
		for i in $(seq 100); do [ -e $disk ] && break; sleep 0.1; done
		mount $disk /mnt/lab-disk`, iqn, portal(), lun))
	if err != nil {
		return fmt.Errorf("furnish %s: %w", b.Name(), err)
	}
	b.host, err = b.furniture(ctx)
	return err
}

// lend gives the host a disk of its own over the session of the tenant's volume.
func (r *run) lend(ctx context.Context, b *returnee) error {
	s := r.storage
	s.volumes++
	lun := volumeLUN + s.volumes
	file := r.path(fmt.Sprintf("volume-%d", lun))
	if err := iscsi.CreateVolume(ctx, file, tenantSize); err != nil {
		return err
	}
	if err := s.target.AddUnit(ctx, b.tenant.tid, lun, file); err != nil {
		return err
	}
	r.permits.allow(b.Name(), uint16(lun))
	return r.sh(ctx, b.node, fmt.Sprintf(`mkdir -p /mnt/lab-lent && iscsiadm -m node -T %[1]s -p %[2]s --rescan
		disk=/dev/disk/by-path/ip-%[2]s-iscsi-%[1]s-lun-%[3]d
		for i in $(seq 100); do [ -e $disk ] && break; sleep 0.1; done
		mount $disk /mnt/lab-lent`, b.tenant.iqn, portal(), lun))
}

// hosts lets the node itself use a volume, whatever becomes of its pods.
func (r *run) hosts(n *node, lun int) {
	r.own[uint16(lun)] = n.Name()
	r.permits.allow(n.Name(), uint16(lun))
}

// furniture says of each thing of the host's own how it stands, one line each.
func (n *node) furniture(ctx context.Context) (string, error) {
	return n.Exec(ctx, `losetup -n -O NAME -j /var/lib/lab/own
		echo "$(dmsetup table lab-own) $(findmnt -n -o SOURCE,OPTIONS /mnt/lab-map)"
		disk=$(findmnt -n -o SOURCE /mnt/lab-disk)
		echo "$disk $(cat /sys/class/block/$(basename $disk)/device/state) $(findmnt -n -o OPTIONS /mnt/lab-disk)"
		readlink -f /sys/class/block/$(basename $disk) | grep -o 'session[0-9]*'`)
}

// untouched counts what of the host's own is as it was, and can be written to.
func (r *run) untouched(ctx context.Context, b *returnee) error {
	now, err := b.furniture(ctx)
	if err != nil {
		return err
	}
	was, is := strings.Split(strings.TrimSpace(b.host), "\n"), strings.Split(strings.TrimSpace(now), "\n")
	r.rejoin.measured = true
	for i := range was {
		if i < len(is) && was[i] == is[i] {
			r.rejoin.untouched++
		}
	}
	err = nil
	if r.rejoin.untouched != len(was) {
		err = fmt.Errorf("what is the host's own was touched:\n%snow:\n%s", b.host, now)
	}
	written := r.sh(ctx, b.node, `for d in /mnt/lab-map /mnt/lab-disk; do
		timeout 20 sh -c "date >$d/date && sync $d/date" || exit 1
	done`)
	if written != nil {
		written = fmt.Errorf("what is the host's own cannot be written: %w", written)
	}
	return errors.Join(err, written)
}

// stuck is what an agent says of a step that exceeded its bound.
const stuck = "the step is stuck"

// loopLate is how the agent's log tells of the core's loop during a rejoin.
var loopLate = regexp.MustCompile(`the core's loop at most (\S+) late`)

// hungSteps counts the steps of the teardown that did not end, of which there must
// be none, and finds out how late the core's loop was at worst meanwhile, and elsewhere.
func (r *run) hungSteps(ctx context.Context, n *node) error {
	text, err := n.Exec(ctx, "cat /var/log/pods/picket_*/*/*.log")
	if err != nil {
		return err
	}
	r.rejoin.hung = strings.Count(text, stuck)
	for _, found := range loopLate.FindAllStringSubmatch(text, -1) {
		late, err := time.ParseDuration(found[1])
		if err != nil {
			return fmt.Errorf("how late the loop was on %s: %w", n.Name(), err)
		}
		r.rejoin.loop = max(r.rejoin.loop, late)
	}
	if r.rejoin.hung > 0 || r.rejoin.loop == 0 {
		return fmt.Errorf("on %s hung %d steps, and the core's loop was %v late", n.Name(), r.rejoin.hung, r.rejoin.loop)
	}
	return r.idle(ctx, n)
}

// idle finds out how late the loop was at worst on the nodes that had nothing to tear
// down: all but n.
func (r *run) idle(ctx context.Context, n *node) error {
	for _, other := range r.nodes {
		if other == n {
			continue
		}
		text, err := other.agent(ctx, "devices -o json")
		if err != nil {
			return err
		}
		var said struct{ WorstLoopDelay string }
		err = json.Unmarshal([]byte(text), &said)
		late, bad := time.ParseDuration(said.WorstLoopDelay)
		if err := errors.Join(err, bad); err != nil {
			return fmt.Errorf("how late the loop was on %s: %w", other.Name(), err)
		}
		r.rejoin.idle = max(r.rejoin.idle, late)
	}
	return nil
}

// plans writes down what a node's agent finds and would do.
func (r *run) plans(ctx context.Context, n *node) {
	if text, err := n.agent(ctx, "devices --plan"); err == nil {
		r.say("the devices of %s:\n%s", n.Name(), text)
	} else {
		r.say("the devices of %s: %v", n.Name(), err)
	}
}

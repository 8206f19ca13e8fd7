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
	"github.com/picket-dev/picket/test/lab/network"
)

// The rows of the table of scenarios in which a node comes back.

func rejoinExt4(ctx context.Context, r *run) error { // 26
	return r.comesBack(ctx, comeback{volume: recipe{tree: true}})
}

func rejoinBlock(ctx context.Context, r *run) error { // 27
	return r.comesBack(ctx, comeback{volume: recipe{block: true}})
}

func rejoinMultipath(ctx context.Context, r *run) error { // 33
	return r.comesBack(ctx, comeback{volume: recipe{multipath: true}, check: noMaps})
}

func rejoinLUKS(ctx context.Context, r *run) error { // 36
	return r.comesBack(ctx, comeback{volume: recipe{multipath: true, luks: true}, check: noMaps})
}

// noMaps fails if a node has a map left that is not the host's own.
func noMaps(ctx context.Context, r *run, b *returnee) error {
	text, err := b.Exec(ctx, "dmsetup ls | grep -v ^lab-own || true")
	if err == nil && text != "" && text != "No devices found\n" {
		err = fmt.Errorf("%s has maps left: %s", b.Name(), text)
	}
	return err
}

// rejoinShared has a pod that stays use another unit of the volume's session, which
// must go on: nothing but that session's end would end what is in flight on the
// unit that has moved, so that only a reset is safe.
func rejoinShared(ctx context.Context, r *run) error { // 34, in the same boot
	return r.comesBack(ctx, comeback{
		prepare: func(ctx context.Context, r *run, b *returnee) error {
			_, err := r.settle(ctx, b.node, "stays", recipe{retain: true, beside: b.tenant})
			return err
		},
		resets: true,
	})
}

// storageBack heals the storage's network before the agent is done.
func storageBack(ctx context.Context, r *run, b *returnee) error {
	r.say("%s reaches its storage again", b.Name())
	return network.Heal(ctx, network.Storage, b.number)
}

// rejoinSharedWithHost has a disk of the host's own come over the volume's session,
// which must not be touched then: only a reset is safe.
func rejoinSharedWithHost(ctx context.Context, r *run) error { // 32
	return r.comesBack(ctx, comeback{
		prepare: func(ctx context.Context, r *run, b *returnee) error {
			return r.lend(ctx, b)
		},
		resets: true,
	})
}

// rejoinPinned has a pod that stays hold copies of all mounts of the kubelet's, as
// pods that look after nodes do.
func rejoinPinned(ctx context.Context, r *run) error { // 37
	return r.comesBack(ctx, comeback{prepare: pin, check: unpinned})
}

// pin runs such a pod on the node.
func pin(ctx context.Context, r *run, b *returnee) error {
	token, none := false, corev1.MountPropagationNone
	pods := r.plane.Client().CoreV1().Pods(metav1.NamespaceDefault)
	_, err := pods.Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "pin", Annotations: map[string]string{"picket.dev/on-fence": "retain"}},
		Spec: corev1.PodSpec{
			NodeName: b.Name(), AutomountServiceAccountToken: &token,
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Containers: []corev1.Container{{
				Name: "pin", Image: pauseImage, ImagePullPolicy: corev1.PullNever,
				VolumeMounts: []corev1.VolumeMount{{Name: "kubelet", MountPath: "/kubelet", MountPropagation: &none}},
			}},
			Volumes: []corev1.Volume{{Name: "kubelet", VolumeSource: corev1.VolumeSource{
				HostPath: &corev1.HostPathVolumeSource{Path: "/var/lib/kubelet"}}}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("pin the mounts: %w", err)
	}
	return eventually(ctx, time.Minute, "a pod to pin the mounts of "+b.tenant.name, func(ctx context.Context) error {
		text, err := b.Exec(ctx, pinned)
		if err == nil && text == "" {
			err = errors.New("none does")
		}
		return err
	})
}

// pinned succeeds where a container holds a copy of a mount of the tenant's, and
// says so; a container that is gone holds none, and is an error.
const pinned = `all=$(pgrep -x pause) && for p in $all; do grep -q ' /kubelet/plugins/kubernetes.io/csi/lab.picket.dev/.*globalmount ' /proc/$p/mountinfo && echo pinned && exit 0; done; [ -n "$all" ]`

func unpinned(ctx context.Context, r *run, b *returnee) error {
	text, err := b.Exec(ctx, pinned)
	if err == nil && text != "" {
		err = errors.New("a container still holds a mount of the volume")
	}
	grace := int64(0)
	gone := r.plane.Client().CoreV1().Pods(metav1.NamespaceDefault).Delete(ctx, "pin", metav1.DeleteOptions{GracePeriodSeconds: &grace})
	return errors.Join(err, gone)
}

// rejoinAgentKilled kills the agent in the midst of its work: the next one goes on.
func rejoinAgentKilled(ctx context.Context, r *run) error { // 39
	return r.comesBack(ctx, comeback{volume: recipe{multipath: true}, check: noMaps,
		meanwhile: func(ctx context.Context, r *run, b *returnee) error {
			return r.sh(ctx, b.node, "pkill -KILL -x picket-agent")
		}})
}

// rejoinKubeletRestarted restarts the kubelet in the midst of the agent's work.
func rejoinKubeletRestarted(ctx context.Context, r *run) error { // 40
	return r.comesBack(ctx, comeback{
		meanwhile: func(ctx context.Context, r *run, b *returnee) error {
			return r.sh(ctx, b.node, "systemctl restart kubelet.service")
		}})
}

// rejoinDeaf has a session that cannot notice that its target is gone: its logout
// ends when open-iscsi gives it up, within the step's bound.
func rejoinDeaf(ctx context.Context, r *run) error { // 26
	return r.comesBack(ctx, comeback{volume: recipe{deaf: true}})
}

// rejoinHung stops the daemon that ends sessions: the logout does not end within its
// bound, nor would an unmount, and so the node resets.
func rejoinHung(ctx context.Context, r *run) error { // 29, of iSCSI
	return r.comesBack(ctx, comeback{resets: true, hangs: true,
		prepare: func(ctx context.Context, r *run, b *returnee) error {
			return r.sh(ctx, b.node, "pkill -STOP -x iscsid")
		}})
}

// rejoinBlocklisted has the cluster shut the node's client out before the node is
// back: what is in flight fails, and the image can be unmapped.
func rejoinBlocklisted(ctx context.Context, r *run) error { // 28
	return r.comesBack(ctx, comeback{volume: recipe{image: true}, prepare: knowClient, away: shutOut, check: unmapped})
}

// knowClient notes by what name the storage knows the node.
func knowClient(ctx context.Context, _ *run, b *returnee) (err error) {
	b.client, err = b.Exec(ctx, "cat /sys/bus/rbd/devices/*/client_addr")
	b.client = strings.TrimSpace(b.client)
	return err
}

// shutOut blocklists the node's client, and lets it hear so.
func shutOut(ctx context.Context, r *run, b *returnee) error {
	if err := r.ceph.Blocklist(ctx, b.client); err != nil {
		return err
	}
	if err := storageBack(ctx, r, b); err != nil {
		return err
	}
	return eventually(ctx, time.Minute, "the requests in flight to fail", func(ctx context.Context) error {
		return r.sh(ctx, b.node, "grep -qE '^ *0 +0$' /sys/class/block/rbd*/inflight")
	})
}

// rejoinWanted has the image wanted on the node again, and nowhere else, before the
// node is back: a pod that found it mapped there would write through that mapping,
// and has to wait for the next boot.
func rejoinWanted(ctx context.Context, r *run) error { // 31
	var b *returnee
	open := func() error { return nil }
	err := r.comesBack(ctx, comeback{volume: recipe{image: true}, prepare: knowClient,
		away: func(ctx context.Context, r *run, back *returnee) (err error) {
			b = back
			if err := shutOut(ctx, r, b); err != nil {
				return err
			}
			if open, err = r.closeOthers(ctx, b.node); err != nil {
				return err
			}
			return r.plane.Client().CoreV1().Pods(metav1.NamespaceDefault).Delete(ctx, b.tenant.name+"-0", metav1.DeleteOptions{})
		},
		check: func(ctx context.Context, r *run, b *returnee) error {
			pod, err := r.plane.Client().CoreV1().Pods(metav1.NamespaceDefault).Get(ctx, b.tenant.name+"-0", metav1.GetOptions{})
			if err == nil && pod.Spec.NodeName != "" {
				err = fmt.Errorf("%s is on %s, whose quarantine stands", pod.Name, pod.Spec.NodeName)
			}
			return errors.Join(err, unmapped(ctx, r, b))
		},
	})
	if err == nil {
		err = b.tenant.writesOn(ctx, b.node)
	}
	return errors.Join(err, open())
}

// unmapped fails while krbd has anything mapped on a node.
func unmapped(ctx context.Context, _ *run, b *returnee) error {
	text, err := b.Exec(ctx, "ls /sys/bus/rbd/devices; ls /sys/kernel/debug/ceph 2>/dev/null || true")
	if err == nil && strings.TrimSpace(text) != "" {
		err = fmt.Errorf("%s still has %s", b.Name(), strings.Fields(text))
	}
	return err
}

// rejoinCephGone leaves the cluster out of reach, with requests in flight that
// nothing turns away: only a reset is safe.
func rejoinCephGone(ctx context.Context, r *run) error { // 29
	return r.comesBack(ctx, comeback{volume: recipe{image: true}, resets: true})
}

// autoLogin resets a node whose node record logs in again by itself: the session
// is ended, and the next boot makes none.
func autoLogin(ctx context.Context, r *run) error {
	v, t, err := r.loginAgain(ctx, func(*node, *tenant) error { return nil })
	if err != nil {
		return err
	}
	return r.loggedOut(ctx, v, t)
}

// loggedOut waits until a node is clean that has logged in again, and fails unless
// the session was its agent's to end.
func (r *run) loggedOut(ctx context.Context, v *victim, t *tenant) error {
	if err := r.fencePhase(ctx, 6*time.Minute, v.Name(), v1alpha1.FenceRecovered); err != nil {
		return err
	}
	if err := r.stepped(ctx, v.node, "SetManual", "Logout"); err != nil {
		return err
	}
	return r.sh(ctx, v.node, fmt.Sprintf(`! iscsiadm -m session | grep -w %[1]s && ! grep -r 'startup = automatic' /etc/iscsi/nodes/%[1]s`, t.iqn))
}

// autoLoginReused has a file of the volume's name another unit than the one that
// comes back under its number: nobody knows whose that is, so that it stays, and
// the quarantine does, until a person has looked.
func autoLoginReused(ctx context.Context, r *run) error { // 35
	const serial, wwid = "800B3$M4Nu7k", "3600a098038303042332" // as Trident writes it, and how the WWID of that unit begins
	file := ""
	v, t, err := r.loginAgain(ctx, func(n *node, t *tenant) error {
		file = "/var/lib/trident/tracking/" + t.name + ".json"
		return r.sh(ctx, n, fmt.Sprintf(`mkdir -p $(dirname %[1]s) && echo '{"iscsiTargetIqn":"%[2]s","iscsiLunNumber":%[3]d,"iscsiLunSerial":"%[4]s"}' >%[1]s && sync`, file, t.iqn, t.lun, serial))
	})
	if err != nil {
		return err
	}
	err = eventually(ctx, 6*time.Minute, v.Name()+" to say what blocks", func(ctx context.Context) error {
		g, err := r.client.NodeGuards.Get(ctx, v.Name())
		if err != nil {
			return err
		}
		s := g.Status.Storage
		if g.Status.BootID == v.boot || s.State != v1alpha1.StorageDirty || !strings.Contains(s.Message, "as unit "+wwid) {
			return fmt.Errorf("its storage is %s: %s", s.State, s.Message)
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = r.stays(ctx, 20*time.Second, "the unit is left alone", func(ctx context.Context) error {
		_, err := v.disksOf(ctx, t)
		return errors.Join(err, r.quarantined(ctx, v.node))
	})
	if err != nil {
		return err
	}
	if err := r.sh(ctx, v.node, "rm "+file); err != nil {
		return err
	}
	return r.loggedOut(ctx, v, t)
}

// stepped fails unless the node's agent has carried these steps out: a device that
// never came back proves nothing.
func (r *run) stepped(ctx context.Context, n *node, steps ...string) error {
	for _, step := range steps {
		if err := r.sh(ctx, n, "cat /var/log/pods/picket_*/*/*.log | grep -q 'msg=rejoin .*step="+step+" '"); err != nil {
			return fmt.Errorf("the agent of %s had no need to %s: %w", n.Name(), step, err)
		}
	}
	return nil
}

// autoLoginShared has a pod that stays need the session which comes back: only the
// unit goes whose volume has moved.
func autoLoginShared(ctx context.Context, r *run) error { // 34
	var stays *tenant
	v, t, err := r.loginAgain(ctx, func(n *node, t *tenant) (err error) {
		stays, err = r.settle(ctx, n, "stays", recipe{automatic: true, retain: true, beside: t})
		return err
	})
	if err == nil {
		err = r.fencePhase(ctx, 6*time.Minute, v.Name(), v1alpha1.FenceRecovered)
	}
	if err != nil {
		return err
	}
	if err := r.stepped(ctx, v.node, "DeleteSCSI"); err != nil {
		return err
	}
	if disks, err := v.disksOf(ctx, t); err == nil {
		return fmt.Errorf("%s still has %v of %s", v.Name(), disks, t.name)
	}
	if _, err := v.disksOf(ctx, stays); err != nil {
		return err
	}
	return stays.writesOn(ctx, v.node)
}

// loginAgain cuts an armed node off from the cluster, with a volume whose node record
// logs in by itself. The node resets itself, and its next boot has the device of a
// volume that has moved.
func (r *run) loginAgain(ctx context.Context, more func(*node, *tenant) error) (*victim, *tenant, error) {
	database, err := r.writer(ctx, time.Minute)
	if err != nil {
		return nil, nil, err
	}
	n := r.other(database)
	t, err := r.settle(ctx, n, "moved", recipe{automatic: true})
	if err == nil {
		err = more(n, t)
	}
	if err != nil {
		return nil, t, err
	}
	// A kubelet that boots has its driver log out what it finds staged, if the driver
	// remembers it: one that does not leaves the device behind.
	if err := r.sh(ctx, n, "rm -f /var/lib/kubelet/plugins/"+csiDriver+"/*.json && sync"); err != nil {
		return nil, t, err
	}
	v, err := r.victim(ctx, n.Name())
	if err != nil {
		return nil, t, err
	}
	r.cutNow(v)
	// Its storage stays: the next boot logs in before it hears the cluster.
	if err := network.Cut(ctx, network.Cluster, n.number, network.Both); err != nil {
		return v, t, err
	}
	if err := errors.Join(r.resetBeforeTaint(ctx, v), r.movedOff(ctx, 3*time.Minute, v, t.name, &t.collector)); err != nil {
		return v, t, err
	}
	if err := network.Heal(ctx, network.Cluster, n.number); err != nil {
		return v, t, err
	}
	_, err = v.WaitBoot(ctx, v.boot)
	return v, t, err
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/deploy"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/test/cluster/fleet"
	"github.com/picket-dev/picket/test/cluster/rawclock"
)

// stubborn makes the hardware's watchdog one that nobody can stop.
const stubborn = "/etc/modprobe.d/lab-dog.conf"

// uninstalled takes Picket off by the Job that `helm uninstall` runs, and installs
// it again. The watchdog of one node cannot be stopped: what pets it stays there until
// a reboot, and its files after that.
func uninstalled(ctx context.Context, r *run) error {
	n, err := r.writer(ctx, time.Minute)
	if err != nil {
		return err
	}
	n = r.other(n)
	if err := r.sh(ctx, n, "mkdir -p $(dirname "+stubborn+") && echo options "+hardwareDog+" nowayout=1 >"+stubborn); err != nil {
		return err
	}
	err = r.reboot(ctx, n)
	if err == nil {
		err = r.takenOff(ctx, n)
	}
	undo := context.WithoutCancel(ctx)
	if err := errors.Join(err, r.sh(undo, n, "rm -f "+stubborn)); err != nil {
		return err
	}
	// It boots without Picket, before Picket comes back.
	boot, _ := n.On()
	if err := r.background(ctx, n, "sleep 0.2; systemctl reboot"); err != nil {
		return err
	}
	if _, err := n.WaitBoot(ctx, boot); err != nil {
		return err
	}
	if err := r.ready(ctx, 4*time.Minute, n.Name()); err != nil {
		return err
	}
	left, err := n.remains(ctx)
	if err != nil {
		return err
	}
	for file := range strings.Lines(left) { // nobody is there any more to delete the holder's
		if !strings.HasPrefix(file, "/var/lib/picket/") {
			return fmt.Errorf("after its reboot, on %s is left: %q", n.Name(), left)
		}
	}
	return r.reinstalled(ctx)
}

// takenOff runs the Job, and fails unless hosts and Nodes are then as if Picket had
// never been there, but for the node with a watchdog that nobody can stop.
func (r *run) takenOff(ctx context.Context, stays *node) error {
	g, err := r.client.NodeGuards.Get(ctx, stays.Name())
	if err != nil {
		return err
	}
	if !g.Status.Watchdog.NoWayOut {
		return fmt.Errorf("the watchdog of %s can be stopped", stays.Name())
	}
	objects, err := deploy.Uninstall(picketImage)
	if err != nil {
		return err
	}
	began, calm := r.restart(), r.calmBut(stays)
	for _, o := range objects {
		// The lab's pods reach the API by their node's network alone.
		o = bytes.ReplaceAll(o, []byte(`"restartPolicy":"Never"`), []byte(`"hostNetwork":true,"restartPolicy":"Never"`))
		if err := r.plane.Apply(ctx, o); err != nil {
			return err
		}
	}
	// The controller is no Deployment here, which the Job would delete.
	err = eventually(ctx, 3*time.Minute, "the agents to leave", func(ctx context.Context) error {
		return errors.Join(calm(ctx), r.left(ctx, stays.Name()))
	})
	if err != nil {
		return err
	}
	r.controller.end()
	jobs := r.plane.Client().BatchV1().Jobs(fleet.Namespace)
	err = eventually(ctx, 5*time.Minute, "the Job to succeed", func(ctx context.Context) error {
		job, err := jobs.Get(ctx, "picket-uninstall", metav1.GetOptions{})
		if err == nil && job.Status.Succeeded == 0 {
			err = fmt.Errorf("%d of its pods run, %d have failed", job.Status.Active, job.Status.Failed)
		}
		return errors.Join(err, calm(ctx))
	})
	if err != nil {
		return err
	}
	r.say("Picket is off after %.1f s", (rawclock.Now() - began).Seconds())
	if err := r.plane.Client().CoreV1().Namespaces().Delete(ctx, fleet.Namespace, metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("delete the namespace: %w", err)
	}
	for _, n := range r.nodes {
		left, err := n.remains(ctx)
		if err != nil {
			return err
		}
		dog := "inactive"
		if n == stays {
			dog = "active"
		}
		if (left != "") != (n == stays) {
			return fmt.Errorf("on %s, whose watchdog is to be %s, is left: %q", n.Name(), dog, left)
		}
		if err := r.untouchedNode(ctx, n, dog); err != nil {
			return err
		}
	}
	return r.stays(ctx, 2*r.profile.RealTimeout, "without Picket", calm)
}

// left fails until every agent says that it has left its host, or on one node what
// it had to leave there.
func (r *run) left(ctx context.Context, stays string) error {
	for _, name := range r.names() {
		g, err := r.client.NodeGuards.Get(ctx, name)
		if err != nil {
			return err
		}
		want := v1alpha1.ReasonUninstalled
		if name == stays {
			want = v1alpha1.ReasonHolderStays
		}
		if s := g.Status; s.Promise.Armed || s.Reason != want {
			return fmt.Errorf("%s is %s %s, want %s: %s", name, s.Phase, s.Reason, want, s.Message)
		}
	}
	return nil
}

// remains says which files, units and processes of Picket's a host has.
func (n *node) remains(ctx context.Context) (string, error) {
	found, err := n.Exec(ctx, `find / /run -xdev \( -path /var/lib/containerd -o -path /run/containerd -o -path /var/lib/kubelet/pods -o -path /var/log \) -prune \
			-o -path '*picket*' ! -type d -print | { grep -vE '^/var/lib/lab/|lab\.picket|picket\.lab' || true; }
		systemctl list-units --all --plain --no-legend 'picket*'
		pgrep -l picket || true`)
	return strings.TrimSpace(found), err
}

// untouchedNode fails if the hardware's watchdog of a node is not in a state, or if
// its Node has a taint of Picket's.
func (r *run) untouchedNode(ctx context.Context, n *node, dog string) error {
	state, err := n.Exec(ctx, "cat /sys/class/watchdog/watchdog0/state")
	if err != nil {
		return err
	}
	if state = strings.TrimSpace(state); state != dog {
		return fmt.Errorf("the watchdog of %s is %s, want %s", n.Name(), state, dog)
	}
	object, err := r.plane.Client().CoreV1().Nodes().Get(ctx, n.Name(), metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, t := range object.Spec.Taints {
		if strings.HasPrefix(t.Key, "picket.dev/") || t.Key == corev1.TaintNodeOutOfService {
			return fmt.Errorf("%s has the taint %s", n.Name(), t.ToString())
		}
	}
	return nil
}

// reinstalled installs Picket again, whose policy was kept, and measures how long the
// first of its agents has run when all nodes are armed: the API hears that a pod runs
// only after the node is armed.
func (r *run) reinstalled(ctx context.Context) error {
	err := eventually(ctx, 2*time.Minute, "the namespace to be gone", func(ctx context.Context) error {
		_, err := r.plane.Client().CoreV1().Namespaces().Get(ctx, fleet.Namespace, metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("it is there: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := r.apply(ctx); err != nil {
		return err
	}
	if err := r.allArmed(ctx, 6*time.Minute); err != nil {
		return err
	}
	for _, n := range r.nodes {
		age, err := n.agentAge(ctx)
		if err != nil {
			return err
		}
		r.installed = max(r.installed, age)
	}
	return nil
}

// agentAge is for how long a node's agent has run, in whole seconds.
func (n *node) agentAge(ctx context.Context) (time.Duration, error) {
	text, err := n.Exec(ctx, "ps -o etimes= -p $(pgrep -o -x picket-agent)")
	if err != nil {
		return 0, err
	}
	return time.ParseDuration(strings.TrimSpace(text) + "s")
}

package main

import (
	"context"
	"fmt"
	"time"
)

func holderKilled(ctx context.Context, r *run) error {
	n := r.nodes[0]
	for range 3 {
		if err := r.sh(ctx, n, "systemctl kill --kill-who=main --signal=KILL picket-holder.service"); err != nil {
			return err
		}
		r.say("killed the holder of %s", n.Name())
		if err := r.stays(ctx, 2*r.profile.RollLife, "the holder restarts", r.calm); err != nil {
			return err
		}
	}
	return r.armed(ctx, 30*time.Second, r.names()...)
}

// agentStopped: a stopped agent is a dead one to its peers. Its holder must
// reset the node before the taint.
func agentStopped(ctx context.Context, r *run) error {
	v, err := r.first(ctx)
	if err != nil {
		return err
	}
	r.cutNow(v)
	script := `for p in /proc/[0-9]*; do [ "$(cat $p/comm 2>/dev/null)" = picket-agent ] && kill -STOP ${p#/proc/}; done; true`
	if err := r.sh(ctx, v.node, script); err != nil {
		return err
	}
	if err := r.tainted(ctx, v); err != nil {
		return err
	}
	if err := r.resetBeforeTaint(ctx, v); err != nil {
		return err
	}
	// Its kubelet lived until the reset and may have shown signs of life after
	// the withholding: the bound of a power cut does not apply.
	r.failover, r.bound = 0, 0
	return r.recovered(ctx, v)
}

func kubeletStopped(ctx context.Context, r *run) error {
	return r.stopped(ctx, "kubelet.service")
}

func containerdStopped(ctx context.Context, r *run) error {
	return r.stopped(ctx, "containerd.service")
}

// stopped stops a service of a node for longer than Kubernetes bears it. The
// agent answers, so nobody is fenced (C2 is off).
func (r *run) stopped(ctx context.Context, unit string) error {
	n := r.nodes[0]
	if err := r.sh(ctx, n, "systemctl stop "+unit); err != nil {
		return err
	}
	err := r.stays(ctx, 75*time.Second, unit+" is stopped", r.calm)
	if err == nil && r.ready(ctx, time.Second, n.Name()) == nil {
		err = fmt.Errorf("%s is Ready without %s", n.Name(), unit)
	}
	if start := r.sh(ctx, n, "systemctl start containerd.service kubelet.service"); err == nil {
		err = start
	}
	if err != nil {
		return err
	}
	if err := r.ready(ctx, 2*time.Minute, n.Name()); err != nil {
		return err
	}
	return r.armed(ctx, 30*time.Second, r.names()...)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/test/cluster/rawclock"
	"github.com/picket-dev/picket/test/lab/network"
	"github.com/picket-dev/picket/test/lab/vm"
)

// apiStopped stops the API server for a minute: the witnesses carry the nodes.
func apiStopped(ctx context.Context, r *run) error {
	r.plane.StopAPI()
	r.say("the API server is stopped")
	err := r.stays(ctx, time.Minute, "an API outage", r.calm)
	if err := errors.Join(err, r.plane.StartAPI(context.WithoutCancel(ctx))); err != nil {
		return err
	}
	r.say("the API server is back")
	if err := r.stays(ctx, 30*time.Second, "after an API outage", r.calm); err != nil {
		return err
	}
	if err := r.ready(ctx, 2*time.Minute, r.names()...); err != nil {
		return err
	}
	return r.allArmed(ctx, 2*time.Minute)
}

// shutdownHangs shuts a node down whose volume is gone: what waits for the
// volume ends only with the watchdog, after the long timeout under which a host
// shuts down.
func shutdownHangs(ctx context.Context, r *run) error {
	const long = time.Minute
	restore, err := r.changePolicy(ctx, func(p *v1alpha1.FencingPolicySpec) {
		p.Overrides.ShutdownTimeout = &metav1.Duration{Duration: long}
	})
	if err != nil {
		return err
	}
	err = r.hungShutdown(ctx, long)
	return errors.Join(err, restore())
}

func (r *run) hungShutdown(ctx context.Context, long time.Duration) error {
	v, err := r.first(ctx)
	if err != nil {
		return err
	}
	err = r.guided(ctx, v.node, func(t v1alpha1.Timing) *metav1.Duration { return t.ShutdownTimeout }, long)
	if err != nil {
		return err
	}
	if err := network.Cut(ctx, network.Storage, v.number, network.Both); err != nil {
		return err
	}
	// What the workload writes now stays in flight.
	if err := r.stays(ctx, 3*time.Second, "a lost storage network", r.calm); err != nil {
		return err
	}
	r.cutNow(v)
	if err := r.background(ctx, v.node, "sleep 0.2; systemctl reboot"); err != nil {
		return err
	}
	if err := r.dogResets(ctx, 5*time.Minute, v); err != nil {
		return err
	}
	if f, err := r.fenceOf(ctx, v.Name()); err == nil {
		r.say("its fence %s is %s", f.Name, f.Status.Phase)
	}
	if err := network.Heal(ctx, network.Storage, v.number); err != nil {
		return err
	}
	if err := r.ready(ctx, 5*time.Minute, v.Name()); err != nil {
		return err
	}
	return r.armed(ctx, 2*time.Minute, v.Name())
}

// dogResets waits until the victim's watchdog ends its shutdown. A reset without
// it means that the shutdown went through.
func (r *run) dogResets(ctx context.Context, within time.Duration, v *victim) error {
	ended := false
	err := eventually(ctx, within, "the watchdog to end the shutdown of "+v.Name(), func(context.Context) error {
		for _, e := range v.Events() {
			if e.At < v.cut {
				continue
			}
			if e.Cause == vm.Watchdog || isReset(e) {
				ended = e.Cause == vm.Watchdog
				r.say("%s: %v, %.1f s after the cut", v.Name(), e.Cause, (e.At - v.cut).Seconds())
				return nil
			}
		}
		return fmt.Errorf("it has been shutting down for %.0f s", (rawclock.Now() - v.cut).Seconds())
	})
	if err == nil && !ended {
		err = fmt.Errorf("the shutdown of %s did not hang", v.Name())
	}
	return err
}

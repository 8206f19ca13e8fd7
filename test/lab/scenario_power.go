package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/test/lab/vm"
)

func powerCut(ctx context.Context, r *run) error {
	v, err := r.first(ctx)
	if err != nil {
		return err
	}
	r.cutPower(v)
	if err := r.tainted(ctx, v); err != nil {
		return err
	}
	if err := r.fencePhase(ctx, time.Minute, v.Name(), v1alpha1.FenceDetached); err != nil {
		return err
	}
	if err := v.PowerOn(ctx); err != nil {
		return err
	}
	return r.recovered(ctx, v)
}

// cutPower pulls the victim's plug, and starts the timeline anew.
func (r *run) cutPower(v *victim) {
	r.cutNow(v)
	v.cut = v.PowerCut()
}

// powerCutKeepReady is a power cut without the part of C4 that takes a fenced
// node's pods out of their services: its endpoints_s is what is left to the taint.
func powerCutKeepReady(ctx context.Context, r *run) error {
	restore, err := r.changePolicy(ctx, func(p *v1alpha1.FencingPolicySpec) { p.Pods.KeepReady = true })
	if err != nil {
		return err
	}
	return errors.Join(powerCut(ctx, r), restore())
}

// fastReboot brings a node back inside the wait, which a long drain makes longer
// than an emulated boot: the new boot proves the old one dead, and nothing moves.
func fastReboot(ctx context.Context, r *run) error {
	const drain = 5 * time.Minute
	restore, err := r.changePolicy(ctx, func(p *v1alpha1.FencingPolicySpec) {
		p.Overrides.Drain = &metav1.Duration{Duration: drain}
	})
	if err != nil {
		return err
	}
	return errors.Join(r.rebootedFast(ctx, drain), restore())
}

func (r *run) rebootedFast(ctx context.Context, drain time.Duration) error {
	v, err := r.first(ctx)
	if err != nil {
		return err
	}
	err = r.guided(ctx, v.node, func(t v1alpha1.Timing) *metav1.Duration { return t.Drain }, drain)
	if err != nil {
		return err
	}
	r.cutPower(v)
	if err := r.fencePhase(ctx, time.Minute, v.Name(), v1alpha1.FenceWithheld); err != nil {
		return err
	}
	if err := v.PowerOn(ctx); err != nil {
		return err
	}
	if err := r.recovered(ctx, v); err != nil {
		return err
	}
	return r.untainted(v)
}

// guided waits until a node's guard prescribes a time of its own.
func (r *run) guided(ctx context.Context, n *node, field func(v1alpha1.Timing) *metav1.Duration, want time.Duration) error {
	return eventually(ctx, time.Minute, "the guard of "+n.Name(), func(ctx context.Context) error {
		g, err := r.client.NodeGuards.Get(ctx, n.Name())
		if err != nil {
			return err
		}
		if got := field(g.Spec.Timing); got == nil || got.Duration != want {
			return fmt.Errorf("it says %v, want %v", got, want)
		}
		return nil
	})
}

// plannedReboot: a host that shuts down in order is no dead node.
func plannedReboot(ctx context.Context, r *run) error {
	v, err := r.first(ctx)
	if err != nil {
		return err
	}
	r.cutNow(v)
	if err := r.background(ctx, v.node, "sleep 0.2; systemctl reboot"); err != nil {
		return err
	}
	if _, err := v.WaitBoot(ctx, v.boot); err != nil {
		return err
	}
	if err := r.ready(ctx, 4*time.Minute, v.Name()); err != nil {
		return err
	}
	for _, e := range v.Events() {
		if e.Cause == vm.Watchdog && e.At > v.cut {
			return fmt.Errorf("%s hung on its way down: its watchdog reset it", v.Name())
		}
	}
	return errors.Join(r.untainted(v), r.armed(ctx, 2*time.Minute, v.Name()))
}

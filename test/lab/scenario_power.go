package main

import (
	"context"
	"time"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
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

// fastReboot: the new boot proves the old one dead, so that nothing need move.
func fastReboot(ctx context.Context, r *run) error {
	v, err := r.first(ctx)
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
	return r.recovered(ctx, v)
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
	return r.armed(ctx, 2*time.Minute, v.Name())
}

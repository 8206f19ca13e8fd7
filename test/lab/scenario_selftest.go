package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// selfTest drains the workload's node and lets its watchdog reset it: the next
// boot publishes that this was seen, and a κ.
func selfTest(ctx context.Context, r *run) error {
	v, err := r.first(ctx)
	if err != nil {
		return err
	}
	r.cutNow(v)
	if err := r.cordon(ctx, v.node, true); err != nil {
		return err
	}
	pods := r.plane.Client().CoreV1().Pods(metav1.NamespaceDefault)
	err = pods.Delete(ctx, "db-0", metav1.DeleteOptions{})
	if err == nil {
		err = r.moved(ctx, 3*time.Minute, v)
	}
	if err == nil {
		err = r.testedByItself(ctx, v)
	}
	return errors.Join(err, r.cordon(context.WithoutCancel(ctx), v.node, false))
}

// testedByItself begins the self-test of a drained node and sees its result.
func (r *run) testedByItself(ctx context.Context, v *victim) error {
	err := eventually(ctx, 2*time.Minute, "the self-test of "+v.Name()+" to begin", func(ctx context.Context) error {
		text, err := v.agent(ctx, "watchdog self-test --yes -o json")
		if err != nil {
			return err
		}
		var reply struct{ Begun bool }
		if err := json.Unmarshal([]byte(text), &reply); err != nil {
			return fmt.Errorf("%w: %s", err, text)
		}
		if !reply.Begun {
			return fmt.Errorf("not begun: %s", text)
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.cutNow(v)
	if err := r.dogResets(ctx, time.Minute, v); err != nil {
		return err
	}
	if _, err := v.WaitBoot(ctx, v.boot); err != nil {
		return err
	}
	if err := r.ready(ctx, 4*time.Minute, v.Name()); err != nil {
		return err
	}
	err = eventually(ctx, 3*time.Minute, "the watchdog of "+v.Name()+" to be verified", func(ctx context.Context) error {
		g, err := r.client.NodeGuards.Get(ctx, v.Name())
		if err != nil {
			return err
		}
		s := g.Status
		if !s.Watchdog.Verified || !s.Promise.Armed {
			return fmt.Errorf("verified: %v, phase %s, reason %s: %s", s.Watchdog.Verified, s.Phase, s.Reason, s.Message)
		}
		r.say("the watchdog of %s is verified, κ = %.3f", v.Name(), float64(s.Promise.Kappa)/1000)
		return nil
	})
	if err != nil {
		return err
	}
	text, err := v.agent(ctx, "watchdog")
	r.say("%s", text)
	return err
}

// cordon closes a node to new pods, or opens it.
func (r *run) cordon(ctx context.Context, n *node, closed bool) error {
	patch := fmt.Sprintf(`{"spec":{"unschedulable":%v}}`, closed)
	_, err := r.plane.Client().CoreV1().Nodes().Patch(ctx, n.Name(), types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("cordon %s: %w", n.Name(), err)
	}
	return nil
}

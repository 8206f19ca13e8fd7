package main

import (
	"context"
	"fmt"
	"time"
)

// kernelPanic reboots at once: the new boot may prove the death before the wait
// ends, or the taint comes first.
func kernelPanic(ctx context.Context, r *run) error { return r.crash(ctx, 1) }

// kernelHang stays in the panic until the watchdog's reset.
func kernelHang(ctx context.Context, r *run) error { return r.crash(ctx, 0) }

// crash panics a node's kernel, which reboots after so many seconds, 0 for
// never.
func (r *run) crash(ctx context.Context, seconds int) error {
	v, err := r.first(ctx)
	if err != nil {
		return err
	}
	console := v.Console()
	script := fmt.Sprintf("sysctl -qw kernel.panic=%d; sleep 0.2; echo c >/proc/sysrq-trigger", seconds)
	if err := r.background(ctx, v.node, script); err != nil {
		return err
	}
	panicked, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	at, err := console.Printed(panicked, "Kernel panic")
	if err != nil {
		return err
	}
	r.cutNow(v)
	v.cut = at
	if err := r.tainted(ctx, v); err != nil {
		return err
	}
	if err := r.resetBeforeTaint(ctx, v); err != nil {
		return err
	}
	return r.recovered(ctx, v)
}

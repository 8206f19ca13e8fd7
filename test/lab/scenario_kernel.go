package main

import "context"

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
	script := "sysctl -qw kernel.panic=0; sleep 0.2; echo c >/proc/sysrq-trigger"
	if seconds > 0 {
		script = "sysctl -qw kernel.panic=1; sleep 0.2; echo c >/proc/sysrq-trigger"
	}
	r.cutNow(v)
	if err := r.background(ctx, v.node, script); err != nil {
		return err
	}
	if err := r.tainted(ctx, v); err != nil {
		return err
	}
	if err := r.resetBeforeTaint(ctx, v); err != nil {
		return err
	}
	return r.recovered(ctx, v)
}

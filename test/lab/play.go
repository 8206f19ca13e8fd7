package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/picket-dev/picket/test/cluster/rawclock"
	"github.com/picket-dev/picket/test/lab/network"
)

// A scenario is one thing that goes wrong, and what must come of it.
type scenario struct {
	name  string
	about string
	run   func(ctx context.Context, r *run) error
}

// choose finds scenarios by name, or by that of a suite; without names it returns
// all.
func choose(names []string) ([]scenario, error) {
	if len(names) == 0 {
		return scenarios(), nil
	}
	var chosen []scenario
	for _, name := range names {
		if suite, ok := suites()[name]; ok {
			chosen = append(chosen, suite...)
			continue
		}
		i := slices.IndexFunc(scenarios(), func(s scenario) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no scenario %q: see `lab list`", name)
		}
		chosen = append(chosen, scenarios()[i])
	}
	return chosen, nil
}

// playAll plays scenarios one after the other, and writes what happens to out as
// well. It ends early when a scenario leaves a cluster that cannot be mended.
func (l *lab) playAll(ctx context.Context, names []string, out io.Writer) error {
	chosen, err := choose(names)
	if err != nil {
		return err
	}
	l.playing.Lock()
	defer l.playing.Unlock()
	l.mu.Lock()
	before := l.out
	if out != before {
		l.out = io.MultiWriter(before, out)
	}
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.out = before
		l.mu.Unlock()
	}()
	var failed []string
	for _, s := range chosen {
		if ctx.Err() != nil {
			return fmt.Errorf("the lab ended before %s: %w", s.name, ctx.Err())
		}
		res := l.play(ctx, s)
		if res.err != nil {
			failed = append(failed, s.name)
			l.say("%v", res.err)
			l.say("logs: %s", l.collect(s.name))
		}
		l.print(res)
		if err := l.mend(ctx); err != nil {
			return fmt.Errorf("after %s: %w\nlogs: %s", s.name, err, l.collect(s.name+"-mend"))
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("failed: %s", strings.Join(failed, ", "))
	}
	return nil
}

// print writes a RESULT line.
func (l *lab) print(r result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(l.out, r)
}

// restart begins a timeline.
func (l *lab) restart() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.zero = rawclock.Now()
	return l.zero
}

// play runs one scenario on the cluster, all of which is armed.
func (l *lab) play(ctx context.Context, s scenario) result {
	l.say("scenario %s: %s", s.name, s.about)
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	r := &run{lab: l, began: l.restart(), doomed: make(map[string]bool), own: make(map[uint16]string)}
	err := l.allArmed(ctx, time.Minute)
	if err == nil {
		_, err = l.writer(ctx, time.Minute)
	}
	if err == nil {
		err = l.forgive(ctx)
	}
	if err == nil {
		err = s.run(ctx, r)
	}
	verdict, blind := r.verdict(context.WithoutCancel(ctx))
	for _, f := range verdict.Findings {
		l.say("judge: %v", f)
	}
	res := result{
		name: s.name, failover: r.failover, bound: r.bound, endpoints: r.endpoints, petDelay: r.petDelay, armed: r.installed,
		lateWrites: verdict.Late, rejoin: r.rejoin, twoWriters: verdict.TwoWriters, healthyResets: verdict.HealthyResets,
		seconds: rawclock.Now() - r.began, err: errors.Join(err, verdict.Err(), blind),
	}
	if evicted := r.evictAll(context.WithoutCancel(ctx)); evicted != nil {
		l.say("%v", evicted)
	}
	res.judge()
	return res
}

// forgive empties the reboot budgets (A12), as an operator would: what scenarios
// before have reset would keep nodes unarmed.
func (l *lab) forgive(ctx context.Context) error {
	for _, n := range l.nodes {
		if _, err := n.Exec(ctx, "rm -f /var/lib/picket/boots.json"); err != nil {
			return err
		}
	}
	return nil
}

// mend undoes what scenarios do, and waits until everything is as before.
func (l *lab) mend(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	for _, n := range l.nodes {
		for _, side := range []network.Side{network.Cluster, network.Storage} {
			if err := network.Heal(ctx, side, n.number); err != nil {
				return err
			}
		}
		if _, on := n.On(); !on {
			if err := n.PowerOn(ctx); err != nil {
				return err
			}
		}
	}
	err := errors.Join(l.ready(ctx, 5*time.Minute, l.names()...), l.allArmed(ctx, 5*time.Minute))
	if err == nil {
		_, err = l.writer(ctx, 3*time.Minute)
	}
	return err
}

// collect copies what explains a failure to the logs' directory, and returns
// where it is.
func (l *lab) collect(name string) string {
	dir, err := l.evidence(name)
	if err != nil {
		return fmt.Sprintf("%s (%v)", dir, err)
	}
	return dir
}

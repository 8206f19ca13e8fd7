package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/picket-dev/picket/test/cluster/rawclock"
	"github.com/picket-dev/picket/test/lab/judge"
	"github.com/picket-dev/picket/test/lab/vm"
	"github.com/picket-dev/picket/test/lab/workload"
)

// verdict judges a scenario by all that the lab has seen since it began. The
// doomed nodes may reset. The error says what the judge could not look at.
func (r *run) verdict(ctx context.Context) (judge.Verdict, error) {
	l := r.lab
	e := judge.Evidence{
		Since: r.began, Nodes: make(map[string]string), Volumes: []uint16{volumeLUN}, Retained: maps.Clone(r.own),
		Tenures: l.storage.collector.Tenures(), // before the file, which holds at least these
		Permits: l.permits.seen(),
	}
	for _, n := range l.nodes {
		e.Nodes[initiatorIQN+n.Name()] = n.Name()
		e.Boots = append(e.Boots, boots(n.Events(), r.began, r.doomed[n.Name()])...)
	}
	for _, t := range r.tenants {
		if newest, err := newestTenure(&t.collector); err == nil && t.retain {
			e.Retained[uint16(t.lun)] = newest.Node
		}
		if !t.image {
			e.Volumes = append(e.Volumes, uint16(t.lun))
		}
	}
	for _, f := range l.taints.Fences() {
		e.Fences = append(e.Fences, judge.Fence{Node: f.Node, Boot: f.Boot, Tainted: f.Tainted})
	}
	var failed, err error
	if e.Records, _, err = l.storage.inspect(ctx, l.storage.volume, false); err != nil {
		failed = errors.Join(failed, fmt.Errorf("inspect the volume: %w", err))
	}
	if e.Writes, err = l.storage.log.Writes(); err != nil {
		failed = errors.Join(failed, err)
	}
	if err := l.storage.proxy.Refused(); err != nil {
		failed = errors.Join(failed, fmt.Errorf("the storage's log has a gap: %w", err))
	}
	verdict := judge.Judge(e)
	for _, t := range r.tenants {
		more, err := r.judgeTenant(ctx, t)
		failed = errors.Join(failed, err)
		verdict.Late += more.Late
		verdict.Lost += more.Lost
		verdict.Findings = append(verdict.Findings, more.Findings...)
	}
	return verdict, failed
}

// boots makes a machine's boots of its events. Those that ended since the
// scenario began are doomed if the machine is.
func boots(events []vm.Event, since time.Duration, doomed bool) []judge.Boot {
	var all []judge.Boot
	running := false
	end := func(e vm.Event) {
		if !running {
			return
		}
		b := &all[len(all)-1]
		b.End, b.Cause = e.At, e.Cause.String()
		b.Doomed = doomed || e.At < since || e.Cause == vm.PowerCut
		running = false
	}
	for _, e := range events {
		switch e.Cause {
		case vm.PowerOn, vm.Reset:
			end(e)
			all = append(all, judge.Boot{Node: e.Machine, Begin: e.At})
			running = true
		case vm.PowerCut, vm.PowerOff, vm.Died:
			end(e)
		case vm.Booted:
			if running {
				all[len(all)-1].ID = e.Boot
			}
		case vm.Watchdog: // the reset follows
		}
	}
	return all
}

// writer is the node that the workload writes on, as the collector heard last.
func (l *lab) writer(ctx context.Context, within time.Duration) (*node, error) {
	var found *node
	begin := rawclock.Now()
	err := eventually(ctx, within, "the workload to write", func(context.Context) error {
		newest, err := newestTenure(&l.storage.collector)
		if err != nil {
			return err
		}
		if newest.Last < begin {
			return fmt.Errorf("%s was acknowledged last %.1f s ago", newest.Node, (rawclock.Now() - newest.Last).Seconds())
		}
		found, err = l.node(newest.Node)
		return err
	})
	return found, err
}

// newestTenure is that of the newest writer with an acknowledged record.
func newestTenure(c *workload.Collector) (newest workload.Tenure, err error) {
	for _, t := range c.Tenures() {
		if t.Damage != "" {
			return t, fmt.Errorf("%s: %s", t.Node, t.Damage)
		}
		if t.To > 0 && t.First >= newest.First {
			newest = t
		}
	}
	if newest.To == 0 {
		return newest, errors.New("no record was acknowledged")
	}
	return newest, nil
}

// moved waits until the database writes on another node than the victim, and
// says how long that took since the cut.
func (r *run) moved(ctx context.Context, within time.Duration, v *victim) error {
	return r.movedOff(ctx, within, v, "the workload", &r.storage.collector)
}

// movedOff waits the same of any workload.
func (r *run) movedOff(ctx context.Context, within time.Duration, v *victim, what string, c *workload.Collector) error {
	var newest workload.Tenure
	err := eventually(ctx, within, what+" to move off "+v.Name(), func(context.Context) error {
		var err error
		if newest, err = newestTenure(c); err != nil {
			return err
		}
		if newest.Node == v.Name() || newest.First < v.cut {
			return fmt.Errorf("the newest writer is %s (boot %.8s)", newest.Node, newest.Boot)
		}
		return nil
	})
	if err == nil {
		r.say("%s writes on %s after %.2f s; it found %d records", what, newest.Node, (newest.First - v.cut).Seconds(), newest.Found)
	}
	return err
}

package lead

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/picket-dev/picket/controller/internal/kube"
	"github.com/picket-dev/picket/controller/internal/metrics"
	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/timing"
)

const (
	// readEvery is how often the Roll is read while nothing happens.
	readEvery = time.Second
	// readLife is how old the last good read of the Roll may be when a plan is
	// made. Without plans for longer the planner restarts its waits (C10).
	readLife = 2 * time.Second
	// breath is the least time between two plans: bursts of changes become one.
	// After a plan that took longer the loop rests as long as it took.
	breath = 5 * time.Millisecond
	// stuckAfter is far above what any step can take.
	stuckAfter = 30 * time.Second
)

// A Planner is a plan.Core.
type Planner interface {
	Plan(now timing.Instant, w plan.World) ([]plan.Action, timing.Instant)
	Saw(now timing.Instant, s plan.Saw)
	Surveyed(now timing.Instant, s plan.Surveyed)
}

// An API is a kube.API: the world, and hands in it. World, ReadRoll and actions
// on the Roll are called by one goroutine.
type API interface {
	ReadRoll(ctx context.Context) error
	World() plan.World
	Do(ctx context.Context, a plan.Action) (any, error)
}

// A Loop drives a planner while this replica leads. Its fields must be set.
type Loop struct {
	Planner Planner
	API     API
	Urgent  <-chan struct{} // something changed that a plan should know soon
	Now     func() timing.Instant
	Leading func() error // returns an error once leadership may be over
	Metrics *metrics.Metrics
	Log     *slog.Logger

	tasks   tasks
	bulk    chan struct{} // bounds what is done at once and can wait
	swift   chan struct{} // and what a failover waits for
	done    chan outcome
	workers sync.WaitGroup

	due      bool           // a plan is due now
	wake     timing.Instant // and is due then
	rested   timing.Instant // no plan before
	doubt    bool           // the Roll must be read before the next plan
	read     timing.Instant // when the last good read of the Roll was sent; zero: never
	readNext timing.Instant // when the Roll is to be read again
	failures int            // reads of the Roll that failed in a row
	stepped  atomic.Int64   // when the last step began, on CLOCK_MONOTONIC_RAW; 0: not running
}

// Run drives the planner until ctx ends, and returns when the last action has.
func (l *Loop) Run(ctx context.Context) {
	l.tasks = make(tasks)
	l.bulk, l.swift = make(chan struct{}, 32), make(chan struct{}, 64)
	l.done = make(chan outcome)
	defer l.stepped.Store(0)
	defer l.workers.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.Urgent:
			l.due = true
		case o := <-l.done:
			l.finish(o)
		case <-timer.C:
		}
		l.finishMore()
		timer.Reset(l.step(ctx))
	}
}

// Stuck returns an error if the loop runs and has not stepped for far too long.
// It may be called from anywhere.
func (l *Loop) Stuck() error {
	at := time.Duration(l.stepped.Load())
	if still := l.Now().Raw - at; at != 0 && still > stuckAfter {
		return fmt.Errorf("the planning loop has stood still for %v", still.Round(time.Second))
	}
	return nil
}

// finishMore takes the outcomes that are there already, so that no plan is made
// without them.
func (l *Loop) finishMore() {
	for {
		select {
		case o := <-l.done:
			l.finish(o)
		default:
			return
		}
	}
}

// step reads the Roll and plans, as far as each is due, and returns when to
// step again if nothing happens until then.
func (l *Loop) step(ctx context.Context) time.Duration {
	now := l.Now()
	l.stepped.Store(int64(now.Raw))
	if pause := until(now, l.rested); pause > 0 {
		return pause
	}
	if l.readNext.Passed(now) {
		l.readRoll(ctx, now)
		now = l.Now()
	}
	blind := l.doubt || l.read.IsZero() || l.read.Age(now) > readLife
	if !blind && (l.due || l.wake.Passed(now)) {
		l.plan(ctx)
		now = l.Now()
		blind = l.doubt
	}
	next := until(now, l.readNext)
	if !blind {
		next = min(next, until(now, l.wake))
		if l.due {
			next = 0
		}
	}
	return max(next, until(now, l.rested))
}

// readRoll reads the Roll consistently.
func (l *Loop) readRoll(ctx context.Context, now timing.Instant) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	err := l.API.ReadRoll(ctx)
	l.Metrics.ReadRoll(err)
	if err != nil {
		l.failures++
		if l.failures == 1 && !errors.Is(ctx.Err(), context.Canceled) {
			l.Log.Warn("the Roll cannot be read: no plans until it can", "error", err)
		}
		l.readNext = l.Now().Add(backoff(l.failures))
		return
	}
	if l.failures > 0 {
		l.Log.Info("the Roll can be read again", "failures", l.failures)
	}
	l.failures, l.doubt, l.due = 0, false, true
	l.read = now
	l.readNext = now.Add(readEvery)
	l.tasks.sweep(now)
}

// plan makes one plan and starts its actions. The clock is read after the world
// was gathered: what an instant promises about the past must hold for all of it.
func (l *Loop) plan(ctx context.Context) {
	l.due = false
	w := l.API.World()
	now := l.Now()
	var actions []plan.Action
	actions, l.wake = l.Planner.Plan(now, w)
	end := l.Now()
	took := now.Age(end)
	l.rested = end.Add(max(breath, took))
	l.Metrics.Planned(end, took, w)
	l.start(ctx, end, actions)
}

// until returns how long to sleep until t has passed on both clocks; a bit more,
// since timers run on neither.
func until(now, t timing.Instant) time.Duration {
	if d := -t.Elapsed(now); d > 0 {
		return d + 100*time.Microsecond
	}
	return 0
}

// conflicts reports whether an action failed because the world has moved on.
func conflicts(err error) bool { return errors.Is(err, kube.ErrConflict) }

package lead

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/timing"
)

const (
	// deadline bounds each request or short run of requests.
	deadline = 2 * time.Second
	// longDeadline bounds what may list or patch a lot.
	longDeadline = 10 * time.Second
	// deleteEvery keeps a pod that was just deleted from being deleted again
	// before the next survey.
	deleteEvery = time.Second
	// tries is how often an action that the planner asks for once is tried.
	tries = 10
	// forget is how long after its last failure a task is forgotten.
	forget = 10 * time.Second
)

// tasks are the actions that run, or that may not run yet, by key. An action
// whose key runs already is left to a later plan, which knows its outcome.
type tasks map[string]*task

type task struct {
	running   bool
	fails     int
	notBefore timing.Instant
}

// sweep forgets what no plan asks for any more.
func (t tasks) sweep(now timing.Instant) {
	for key, task := range t {
		if !task.running && task.notBefore.Elapsed(now) > forget {
			delete(t, key)
		}
	}
}

// An outcome is what became of an action.
type outcome struct {
	key    string
	action plan.Action
	answer any
	err    error
}

// start starts the actions that may run now. The Roll is written last and by
// this goroutine itself, so that its reads and writes have an order.
func (l *Loop) start(ctx context.Context, now timing.Instant, actions []plan.Action) {
	var roll []plan.Action
	for _, a := range actions {
		switch a.(type) {
		case plan.PutRoll, plan.ReleaseRoll:
			roll = append(roll, a)
		case plan.Event:
			l.log(outcome{action: a})
			_, _ = l.API.Do(ctx, a) // the recorder reports nothing
		default:
			if t := l.claim(now, key(a)); t != nil {
				l.workers.Go(func() { l.work(ctx, a) })
			}
		}
	}
	for _, a := range roll {
		if l.claim(now, key(a)) != nil {
			l.writeRoll(ctx, a)
		}
	}
}

// claim returns the task of that key if it may run now.
func (l *Loop) claim(now timing.Instant, key string) *task {
	t := l.tasks[key]
	switch {
	case t == nil:
		t = &task{}
		l.tasks[key] = t
	case t.running:
		return nil
	case until(now, t.notBefore) > 0:
		l.wake = l.wake.Earlier(t.notBefore)
		return nil
	}
	t.running = true
	return t
}

// writeRoll writes the Roll. Whatever went wrong, the outcome is not known, and
// only a read can tell.
func (l *Loop) writeRoll(ctx context.Context, a plan.Action) {
	sent := l.Now()
	o := l.do(ctx, a)
	if o.err == nil {
		l.read = sent
		l.readNext = sent.Add(readEvery)
	}
	l.finish(o)
	if o.err != nil {
		l.doubtRoll()
	}
}

func (l *Loop) doubtRoll() {
	l.doubt = true
	l.readNext = l.readNext.Earlier(l.Now())
}

// work carries out an action, and hands its outcome to the loop. It tries again
// by itself what the planner asks for only once.
func (l *Loop) work(ctx context.Context, a plan.Action) {
	o := l.doInTurn(ctx, a)
	for fails := 1; o.err != nil && askedOnce(a) && fails < tries; fails++ {
		select {
		case <-time.After(backoff(fails)):
		case <-ctx.Done():
			return
		}
		o = l.doInTurn(ctx, a)
	}
	select {
	case l.done <- o:
	case <-ctx.Done():
	}
}

// doInTurn carries out an action when there is room for it.
func (l *Loop) doInTurn(ctx context.Context, a plan.Action) outcome {
	room := l.swift
	if canWait(a) {
		room = l.bulk
	}
	select {
	case room <- struct{}{}:
		defer func() { <-room }()
	case <-ctx.Done():
	}
	return l.do(ctx, a)
}

// askedOnce reports whether no later plan asks for the action again.
func askedOnce(a plan.Action) bool {
	_, silence := a.(plan.SilencePods)
	return silence
}

// do carries out an action within its deadline, unless leadership is over.
func (l *Loop) do(ctx context.Context, a plan.Action) outcome {
	o := outcome{key: key(a), action: a}
	if o.err = ctx.Err(); o.err != nil {
		return o
	}
	if o.err = l.Leading(); o.err != nil {
		return o
	}
	limit := deadline
	if canWait(a) {
		limit = longDeadline
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	o.answer, o.err = l.API.Do(ctx, a)
	return o
}

// finish takes an outcome: answers go to the planner, and a plan follows at
// once, except after errors that will not be better so soon.
func (l *Loop) finish(o outcome) {
	l.log(o)
	now := l.Now()
	t := l.tasks[o.key]
	t.running = false
	if o.err == nil {
		switch answer := o.answer.(type) {
		case plan.Saw:
			l.Planner.Saw(now, answer)
		case plan.Surveyed:
			l.Planner.Surveyed(now, answer)
		}
		t.fails, t.notBefore = 0, now
		if _, pod := o.action.(plan.DeletePod); pod {
			t.notBefore = now.Add(deleteEvery)
		}
		l.due = true
		return
	}
	t.fails++
	t.notBefore = now.Add(backoff(t.fails))
	if conflicts(o.err) {
		if t.fails == 1 {
			t.notBefore = now
		}
		l.due = true
		l.doubtRoll()
	}
	l.wake = l.wake.Earlier(t.notBefore)
}

// backoff returns how long to wait after so many failures: 100 to 500 ms.
func backoff(fails int) time.Duration {
	return min(500*time.Millisecond, 100*time.Millisecond<<min(fails-1, 10))
}

// canWait reports whether no failover waits for the action: it may take long,
// and there may be thousands of them.
func canWait(a plan.Action) bool {
	switch a.(type) {
	case plan.PutGuard, plan.DropGuard, plan.DropFence, plan.DeletePod, plan.SilencePods, plan.Survey:
		return true
	}
	return false
}

// key returns what an action is about. Of one key, one action runs at a time.
func key(a plan.Action) string {
	switch a := a.(type) {
	case plan.PutRoll, plan.ReleaseRoll:
		return "roll"
	case plan.PutGuard:
		return "guard/" + a.Node
	case plan.DropGuard:
		return "guard/" + a.Node
	case plan.MakeFence:
		return "make/" + a.Node
	case plan.PutFence:
		return "fence/" + a.Name
	case plan.DropFence:
		return "fence/" + a.Name
	case plan.Look:
		return "look/" + a.Fence
	case plan.Survey:
		return "survey/" + a.Fence
	case plan.PutTaints:
		return "taints/" + a.Node
	case plan.SilencePods:
		return "silence/" + a.Fence
	case plan.DeletePod:
		return "pod/" + a.UID
	}
	return kind(a)
}

// kind returns the name of an action's type.
func kind(a plan.Action) string {
	return strings.TrimPrefix(fmt.Sprintf("%T", a), "plan.")
}

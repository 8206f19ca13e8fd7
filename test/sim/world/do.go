package world

import (
	"time"

	"github.com/picket-dev/picket/controller/plan"
)

// A task is what an action is about: of one task, one action is under way at a
// time.
type task struct {
	verb byte
	of   string
}

type attempt struct {
	running   bool
	fails     int
	notBefore time.Duration
}

func taskOf(a plan.Action) task {
	switch a := a.(type) {
	case plan.PutRoll, plan.ReleaseRoll:
		return task{'r', ""}
	case plan.PutGuard:
		return task{'g', a.Node}
	case plan.DropGuard:
		return task{'g', a.Node}
	case plan.MakeFence:
		return task{'m', a.Node}
	case plan.PutFence:
		return task{'f', a.Name}
	case plan.DropFence:
		return task{'f', a.Name}
	case plan.Look:
		return task{'l', a.Fence}
	case plan.Survey:
		return task{'s', a.Fence}
	case plan.PutTaints:
		return task{'t', a.Node}
	case plan.SilencePods:
		return task{'q', a.Fence}
	case plan.DeletePod:
		return task{'p', a.UID}
	case plan.Event:
	}
	return task{}
}

// start starts the actions of a plan that may run now, the Roll's write last:
// for that the loop waits.
func (c *controller) start(actions []plan.Action) {
	var last plan.Action
	for _, a := range actions {
		c.notice(a)
		switch a.(type) {
		case plan.Event:
			continue
		case plan.PutRoll, plan.ReleaseRoll:
			last = a
			continue
		}
		if t := c.claim(a); t != nil {
			if x, ok := a.(plan.PutTaints); ok && x.OutOfService != "" {
				c.moment(Decided, nodeIndex(x.Node))
			}
			// The process may be paused between its decision and the request.
			c.after(c.upTo(breath), func() { c.attend(func() { c.do(a, t) }) })
		}
	}
	if last != nil {
		if t := c.claim(last); t != nil {
			c.reading = true
			c.after(c.upTo(breath), func() { c.attend(func() { c.do(last, t) }) })
		}
	}
}

func (c *controller) claim(a plan.Action) *attempt {
	key := taskOf(a)
	t := c.tasks[key]
	switch {
	case t == nil:
		t = &attempt{}
		c.tasks[key] = t
	case t.running:
		return nil
	case t.notBefore > c.now:
		c.wake = c.wake.Earlier(c.clock.read(t.notBefore))
		return nil
	}
	t.running = true
	return t
}

// What became of an action.
type verdict uint8

const (
	failed   verdict = iota // nobody knows
	conflict                // the world has moved on
	done
)

// finish takes what became of an action, and has a plan made.
func (c *controller) finish(t *attempt, v verdict) {
	t.running = false
	if v == done {
		t.fails, t.notBefore = 0, c.now
		c.urge()
		return
	}
	t.fails++
	t.notBefore = c.now + backoff(t.fails)
	if v == conflict {
		c.outcome.Counts.Conflicts++
		if t.fails == 1 {
			t.notBefore = c.now
		}
		c.doubtRoll()
		c.urge()
	}
	c.wake = c.wake.Earlier(c.clock.read(t.notBefore))
	c.stepBy(max(t.notBefore, c.now+breath))
}

func (c *controller) doubtRoll() {
	c.doubt = true
	c.readNext = min(c.readNext, c.now)
}

// do carries out one action.
func (c *controller) do(a plan.Action, t *attempt) {
	switch a := a.(type) {
	case plan.PutRoll:
		c.putRoll(a, t)
	case plan.ReleaseRoll:
		c.releaseRoll(a, t)
	case plan.Look:
		c.look(a, t)
	case plan.Survey:
		c.survey(a, t)
	case plan.PutGuard:
		i := nodeIndex(a.Node)
		c.write(guardKind, i, t, func() bool { return c.putGuard(i, a) })
	case plan.DropGuard:
		i := nodeIndex(a.Node)
		c.write(guardKind, i, t, func() bool {
			ok := c.store.guards[i].value != nil && c.store.guards[i].value.Version == a.Version
			if ok {
				c.dropGuard(i)
			}
			return ok
		})
	case plan.MakeFence:
		c.makeFence(a, t)
	case plan.PutFence:
		i := fenceIndex(a.Name)
		c.write(fenceKind, i, t, func() bool { return c.putFence(i, a) })
	case plan.DropFence:
		i := fenceIndex(a.Name)
		c.write(fenceKind, i, t, func() bool {
			f := c.store.fences[i].value
			if f == nil || f.Version != a.Version {
				return false
			}
			c.World.dropFence(i)
			return true
		})
	case plan.PutTaints:
		i := nodeIndex(a.Node)
		c.write(nodeKind, i, t, func() bool { return c.putTaints(i, a) })
	case plan.SilencePods:
		c.command(func() {}, func(ok bool) { c.finish(t, known(ok)) })
	case plan.DeletePod:
		c.command(func() { c.deletePod(a) }, func(ok bool) { c.finish(t, known(ok)) })
	case plan.Event:
	}
}

func known(ok bool) verdict {
	if ok {
		return done
	}
	return failed
}

// write is one conditional write of an object that the controller watches. It
// learns what its reply brings; after a conflict it reads the object anew.
func (c *controller) write(k kind, i int, t *attempt, serve func() bool) {
	stored := false
	var version int64
	var value any
	get := func() { version, value = c.get(k, i) }
	c.command(func() {
		stored = serve()
		get()
	}, func(ok bool) {
		switch {
		case !ok:
			c.finish(t, failed)
		case stored:
			c.take(k, i, version, value)
			c.finish(t, done)
		default:
			c.command(get, func(ok bool) {
				if ok {
					c.take(k, i, version, value)
				}
				c.finish(t, conflict)
			})
		}
	})
}

func (w *World) get(k kind, i int) (int64, any) {
	switch k {
	case nodeKind:
		return w.store.nodes[i].version, w.store.nodes[i].value
	case guardKind:
		return w.store.guards[i].version, w.store.guards[i].value
	default:
		return w.store.fences[i].version, w.store.fences[i].value
	}
}

func (c *controller) putGuard(i int, a plan.PutGuard) bool {
	g := plan.Guard{Name: a.Node}
	if old := c.store.guards[i].value; old != nil {
		g = *old
	}
	if g.Version != a.Version || c.store.nodes[i].value == nil && g.Version == "" {
		return false
	}
	g.Spec = a.Spec
	c.setGuard(i, g)
	c.machines[i].tellGuard()
	return true
}

func (c *controller) putFence(i int, a plan.PutFence) bool {
	f := c.store.fences[i].value
	if f == nil || f.Version != a.Version {
		return false
	}
	next := *f
	next.Status = a.Status
	if n := len(a.Status.Steps); n > len(f.Status.Steps) {
		for _, s := range a.Status.Steps[len(f.Status.Steps):] {
			c.outcome.Counts.fired(string(s.Rule))
			c.say(c.name, "%s fence %s of %s: %s", s.Rule, f.Name, a.Status.Node, s.What)
		}
	}
	c.judgePhase(f.Status.Phase, &next)
	c.setFence(i, next)
	if ended := a.Status.Phase == plan.Recovered || a.Status.Phase == plan.Refuted; ended && next.Deleting {
		c.World.dropFence(i) // our finalizer goes
	}
	return true
}

func (c *controller) putTaints(i int, a plan.PutTaints) bool {
	old := c.store.nodes[i].value
	if old == nil || old.Version != a.Version && a.Version != "" { // without one there is no precondition
		return false
	}
	n := *old
	n.Taints, n.Fence, n.OutOfService = a.Taints, a.Fence, a.OutOfService
	c.outcome.Counts.fired(string(a.Rule))
	if c.tells() {
		c.say(c.name, "%s node %s gets taints %v, fence %q, out-of-service %q", a.Rule, a.Node, a.Taints, a.Fence, a.OutOfService)
	}
	c.setNode(i, n)
	switch {
	case a.OutOfService != "" && a.OutOfService != old.OutOfService:
		c.judgeTaint(i, a.OutOfService)
		c.moment(Tainted, i)
		c.detach(i)
	case refuses(&n) && !refuses(old):
		c.moment(Quarantined, i)
	}
	return true
}

func (c *controller) makeFence(a plan.MakeFence, t *attempt) {
	k := -1
	c.command(func() { k = c.newFence(nodeIndex(a.Node), a.Reason) }, func(ok bool) {
		if ok {
			version, value := c.get(fenceKind, k)
			c.take(fenceKind, k, version, value)
		}
		c.finish(t, known(ok))
	})
}

func (c *controller) deletePod(a plan.DeletePod) {
	c.outcome.Counts.fired("C6")
	i := nodeIndex(c.nodeOfFence(a.Fence))
	c.store.pods[i] = nil
	if k := c.machines[i].kubelet; k != nil {
		k.volumes = false // it ends pods that are gone
	}
	c.say("", "C6 the pods of %s are deleted", c.machines[i].name)
	c.detach(i)
}

func (w *World) nodeOfFence(id string) string {
	for i := range w.store.fences {
		if f := w.store.fences[i].value; f != nil && f.Status.Fence == id {
			return f.Status.Node
		}
	}
	return w.machines[0].name
}

package world

import (
	"fmt"
	"slices"
	"time"

	"github.com/picket-dev/picket/controller/plan"
)

// A controller is one leadership: the real planner, its caches, and the loop
// that feeds it and carries out what it asks for. More than one may believe
// that it leads.
type controller struct {
	*World
	id          int
	name        string
	core        *plan.Core
	clock       clock
	up          bool
	pausedUntil time.Duration

	nodes  map[string]plan.Node
	guards map[string]plan.Guard
	fences []plan.Fence
	seen   [3][]int64 // versions of what the caches hold, by kind
	blind  [3]int     // its watches are broken, by kind

	roll     *plan.Roll
	read     instant // when the last good read of the Roll was sent; zero: never
	doubt    bool
	readNext time.Duration
	reading  bool // the loop waits for the API
	fails    int

	due    bool
	wake   instant
	stepAt time.Duration // the planned step; 0: none
	stepFn func()
	tasks  map[task]*attempt
}

const (
	readEvery = time.Second
	readLife  = 2 * time.Second
	breath    = 5 * time.Millisecond
)

// elect starts a new controller, and ends none.
func (w *World) elect() *controller {
	c := &controller{
		World: w, id: len(w.controllers), up: true,
		nodes: make(map[string]plan.Node, len(w.machines)), guards: make(map[string]plan.Guard, len(w.machines)),
		tasks: make(map[task]*attempt),
		clock: clock{origin: w.now - time.Hour - w.upTo(time.Hour), raw: pick[int64](w.dice, -500, 0, 500)},
	}
	c.clock.boot = c.clock.raw
	c.name = fmt.Sprint("c", c.id)
	step := c.step
	c.stepFn = func() {
		if c.stepAt == c.now {
			c.stepAt = 0
			c.attend(step)
		}
	}
	c.core = plan.New(plan.Config{NewID: w.newHistory})
	w.controllers = append(w.controllers, c)
	c.say(c.name, "leads")
	c.list()
	c.due = true
	c.stepSoon()
	return c
}

func (w *World) newHistory() string {
	w.histories++
	return fmt.Sprintf("%08d-history", w.histories)
}

// leads returns the newest controller that is up, or nil.
func (w *World) leads() *controller {
	for _, c := range slices.Backward(w.controllers) {
		if c.up {
			return c
		}
	}
	return nil
}

// attend does something in the process: later if it is paused, never if it is
// gone.
func (c *controller) attend(do func()) {
	switch {
	case !c.up:
	case c.pausedUntil > c.now:
		c.at(c.pausedUntil, func() { c.attend(do) })
	default:
		do()
	}
}

// list brings all of the caches up to date.
func (c *controller) list() {
	for k := range c.seen {
		if c.seen[k] == nil {
			c.seen[k] = make([]int64, len(c.machines))
		}
	}
	for i := range c.machines {
		c.take(nodeKind, i, c.store.nodes[i].version, c.store.nodes[i].value)
		c.take(guardKind, i, c.store.guards[i].version, c.store.guards[i].value)
	}
	for i := range c.store.fences {
		c.take(fenceKind, i, c.store.fences[i].version, c.store.fences[i].value)
	}
}

// announce brings what was written to every controller's watch.
func (w *World) announce(k kind, i int) {
	for _, c := range w.controllers {
		if c.up && c.blind[k] == 0 {
			c.watch(k, i)
		}
	}
}

// watch is one event of a watch, with the object as it is now.
func (c *controller) watch(k kind, i int) {
	var version int64
	var value any
	switch k {
	case nodeKind:
		version, value = c.store.nodes[i].version, c.store.nodes[i].value
	case guardKind:
		version, value = c.store.guards[i].version, c.store.guards[i].value
	case fenceKind:
		version, value = c.store.fences[i].version, c.store.fences[i].value
	}
	c.after(c.hop()+c.upTo(c.Lag), func() {
		c.attend(func() {
			if c.blind[k] == 0 {
				c.take(k, i, version, value)
			}
		})
	})
}

// take puts an object into the caches, unless a newer one is there, and has a
// plan made if that matters.
func (c *controller) take(k kind, i int, version int64, value any) {
	for len(c.seen[k]) <= i {
		c.seen[k] = append(c.seen[k], 0)
	}
	if version <= c.seen[k][i] {
		return
	}
	c.seen[k][i] = version
	switch v := value.(type) {
	case *plan.Node:
		c.takeNode(c.machines[i].name, v)
	case *plan.Guard:
		c.takeGuard(c.machines[i].name, v)
	case *plan.Fence:
		c.takeFence(i, v)
	}
}

func (c *controller) takeNode(name string, n *plan.Node) {
	if n == nil {
		delete(c.nodes, name)
		c.urge()
		return
	}
	old, ok := c.nodes[name]
	c.nodes[name] = *n
	if !ok || !sameNode(&old, n) {
		c.urge()
	}
}

func (c *controller) takeGuard(name string, g *plan.Guard) {
	if g == nil {
		delete(c.guards, name)
		c.urge()
		return
	}
	old, ok := c.guards[name]
	c.guards[name] = *g
	if !ok || !sameGuard(&old, g) {
		c.urge()
	}
}

// takeFence keeps the fences in the order of their creation.
func (c *controller) takeFence(i int, f *plan.Fence) {
	c.urge()
	at := slices.IndexFunc(c.fences, func(x plan.Fence) bool { return fenceIndex(x.Name) >= i })
	there := at >= 0 && fenceIndex(c.fences[at].Name) == i
	switch {
	case f == nil && there:
		c.fences = slices.Delete(c.fences, at, at+1)
	case f == nil:
	case there:
		c.fences[at] = *f
	case at < 0:
		c.fences = append(c.fences, *f)
	default:
		c.fences = slices.Insert(c.fences, at, *f)
	}
}

// sameNode and sameGuard report whether a change can wait for the next plan.
func sameNode(a, b *plan.Node) bool {
	return a.UID == b.UID && a.Boot == b.Boot && a.Ready == b.Ready && a.Fence == b.Fence && a.OutOfService == b.OutOfService &&
		slices.Equal(a.Taints, b.Taints) && a.Excluded == b.Excluded && a.MachineID == b.MachineID
}

func sameGuard(a, b *plan.Guard) bool {
	s, t := &a.Status, &b.Status
	return sameSpec(&a.Spec, &b.Spec) && s.Boot == t.Boot && s.Fingerprint == t.Fingerprint && s.Promise == t.Promise &&
		s.History == t.History && s.Serial == t.Serial && slices.Equal(s.Fences, t.Fences) && s.Streak == t.Streak &&
		s.Refutes == t.Refutes && slices.Equal(s.Lost, t.Lost) && s.PeersLost == t.PeersLost &&
		s.HistoryBroken == t.HistoryBroken && s.Clean == t.Clean
}

func (c *controller) urge() {
	c.due = true
	c.stepSoon()
}

func (c *controller) stepSoon() { c.stepBy(c.now + breath + c.upTo(breath)) }

// stepBy plans a step for then, unless an earlier one is planned.
func (c *controller) stepBy(at time.Duration) {
	if c.stepAt > c.now && c.stepAt <= at || c.stepAt == c.now && at == c.now {
		return
	}
	c.stepAt = at
	c.at(at, c.stepFn)
}

// step reads the Roll and plans, as far as each is due.
func (c *controller) step() {
	if c.reading {
		return // the loop goes on when it has its answer
	}
	if c.readNext <= c.now {
		c.readRoll()
		return
	}
	now := c.clock.read(c.now)
	blind := c.doubt || c.read.IsZero() || c.read.Age(now) > readLife
	if !blind && (c.due || c.wake.Passed(now)) {
		c.plan()
		if c.reading {
			return
		}
	}
	next := c.readNext
	if !blind && !c.doubt {
		next = min(next, c.clock.until(c.now, c.wake, false))
		if c.due {
			next = min(next, c.now+breath)
		}
	}
	c.stepBy(max(next, c.now+breath))
}

// readRoll reads the Roll consistently. The loop waits for it.
func (c *controller) readRoll() {
	c.reading = true
	sent := c.clock.read(c.now)
	var got *plan.Roll
	c.command(func() { got = c.store.roll }, func(ok bool) {
		c.reading = false
		if !ok {
			c.fails++
			c.readNext = c.now + backoff(c.fails)
			c.stepBy(c.readNext)
			return
		}
		c.fails, c.doubt, c.due = 0, false, true
		c.read = sent
		c.readNext = c.now + readEvery
		c.takeRoll(got, sent)
		c.step()
	})
}

func (c *controller) takeRoll(r *plan.Roll, sent instant) {
	c.roll = nil
	if r != nil {
		v := *r
		v.Sent = sent
		c.roll = &v
	}
}

// plan makes one plan and starts its actions.
func (c *controller) plan() {
	c.due = false
	if c.policy.NotReadyAfter > 0 {
		for i, m := range c.machines {
			if n, ok := c.nodes[m.name]; ok && !n.Ready && c.store.nodes[i].value != nil {
				n.NotReadyFor = max(0, c.now-m.unready)
				c.nodes[m.name] = n
			}
		}
	}
	w := plan.World{Policy: c.policy, Roll: c.roll, Nodes: c.nodes, Guards: c.guards, Fences: c.fences}
	var actions []plan.Action
	actions, c.wake = c.core.Plan(c.clock.read(c.now), w)
	c.outcome.Counts.Plans++
	c.start(actions)
}

// backoff returns how long to wait after so many failures.
func backoff(fails int) time.Duration {
	return min(500*time.Millisecond, 100*time.Millisecond<<min(fails-1, 10))
}

// healControllers leaves one controller, which leads and sees everything.
func (w *World) healControllers() {
	leader := w.leads()
	for _, c := range w.controllers {
		if c != leader {
			c.up = false
		}
	}
	if leader == nil {
		leader = w.elect()
	}
	leader.pausedUntil = min(leader.pausedUntil, w.now)
	leader.blind = [3]int{}
	leader.list()
	leader.urge()
}

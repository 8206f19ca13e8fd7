package plan_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// A tester is a *testing.T or a *rapid.T.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

// A cluster is machines, an API server and controllers in virtual time. Nothing
// in it happens at the same instant as anything else.
type cluster struct {
	tester
	*store
	now      time.Duration
	policy   plan.Policy
	machines []*machine
	leaders  []*leader
	apiDown  bool
	ids      int
	islands  int
	nextBeat time.Duration
	nextWord time.Duration
	script   []string // what controllers did, a line for each transition
	truth
}

// nodeName returns "n1" for 0.
func nodeName(i int) string { return "n" + strconv.Itoa(i+1) }

// newCluster returns n machines that just booted, and one controller.
func newCluster(t tester, n int) *cluster {
	c := &cluster{
		tester: t, store: newStore(), now: time.Hour, truth: newTruth(),
		policy: plan.Policy{Profile: timing.Standard(), MaxWithheld: 49},
	}
	for i := range n {
		c.addMachine(nodeName(i))
	}
	c.elect()
	return c
}

func (c *cluster) addMachine(name string) {
	m := &machine{name: name, api: true}
	m.start(c.now, c.policy.Profile)
	c.machines = append(c.machines, m)
	c.putNode(plan.Node{Name: name, UID: "node-" + name, MachineID: "machine-" + name, SystemUUID: "uuid-" + name})
	c.pods[name] = []plan.Pod{{Namespace: "default", Name: "db-" + name, UID: "pod-" + name, Version: "1"}}
	c.vas[name] = []string{"va-" + name}
}

func (c *cluster) machine(name string) *machine {
	for _, m := range c.machines {
		if m.name == name {
			return m
		}
	}
	panic("no machine " + name)
}

// elect starts a new controller; those before it go on only where a test lets
// them.
func (c *cluster) elect() *leader {
	l := &leader{c: c, id: len(c.leaders), skew: time.Duration(len(c.leaders)) * time.Minute, world: &store{}, looks: make(map[string]looked)}
	l.core, l.twin = plan.New(plan.Config{NewID: l.newID}), plan.New(plan.Config{NewID: l.lastID})
	c.leaders = append(c.leaders, l)
	return l
}

func (c *cluster) leader() *leader { return c.leaders[len(c.leaders)-1] }

// tick is the grain of virtual time.
const tick = 50 * time.Millisecond

// run lets everybody work for a while. Controllers see everything at once.
func (c *cluster) run(d time.Duration) {
	c.Helper()
	c.runUntil(d, func() bool { return false })
}

// runUntil stops as soon as it is done, and reports whether it was.
func (c *cluster) runUntil(d time.Duration, done func() bool) bool {
	c.Helper()
	for end := c.now + d; c.now < end; {
		c.now += tick
		c.live()
		if !c.apiDown {
			c.leader().work()
		}
		if done() {
			return true
		}
	}
	return done()
}

// live lets the machines and Kubernetes do what is due.
func (c *cluster) live() {
	for _, m := range c.machines {
		m.bite(c.now, c.policy.Profile)
		if m.on && c.now >= m.nextRead {
			m.nextRead = c.now + c.policy.Profile.RollInterval
			if c.roll != nil && c.roll.Gating() {
				m.nextRead = c.now + c.policy.Profile.GateInterval()
			}
			c.agent(m)
		}
	}
	if c.now >= c.nextWord {
		c.nextWord = c.now + c.policy.Profile.Heartbeat/2
		for _, m := range c.machines {
			if m.runs() {
				c.publish(m)
			}
		}
	}
	if c.now >= c.nextBeat {
		c.nextBeat = c.now + time.Second
		for _, m := range c.machines {
			if m.on && c.reaches(m) && !m.hung {
				c.kubelet(m)
			}
		}
		c.detach()
	}
}

// steps lets time pass and the leader plan and act once at a time, until it is
// done.
func (c *cluster) steps(done func() bool) {
	c.Helper()
	for end := c.now + 5*time.Minute; c.now < end; {
		c.now += tick
		c.live()
		l := c.leader()
		l.sync()
		for _, a := range l.plan() {
			l.act(a)
			if done() {
				return
			}
		}
	}
	c.Fatalf("not done after 5 minutes")
}

// cut ends the power of a machine.
func (c *cluster) cut(name string) { c.machine(name).stop(c.now) }

// reboot resets a machine and boots it again after a while.
func (c *cluster) reboot(name string) {
	m := c.machine(name)
	m.stop(c.now)
	m.start(c.now, c.policy.Profile)
}

// fenceOf returns the newest fence of a node, or nothing.
func (c *cluster) fenceOf(node string) plan.Fence {
	var found plan.Fence
	for _, f := range c.listFences() {
		if f.Node == node {
			found = f
		}
	}
	return found
}

func (c *cluster) phase(node string) plan.Phase { return c.fenceOf(node).Status.Phase }

// until runs until the newest fence of the node is in the phase.
func (c *cluster) until(node string, phase plan.Phase, limit time.Duration) {
	c.Helper()
	if !c.runUntil(limit, func() bool { return c.phase(node) == phase }) {
		c.Fatalf("fence of %s after %v: %s, not %s: %+v", node, limit, c.phase(node), phase, c.fenceOf(node).Status)
	}
}

// A leader is one controller: its core, what it knows, and what it has asked
// for and not yet seen done.
type leader struct {
	c     *cluster
	id    int
	skew  time.Duration // its host's clocks
	core  *plan.Core
	twin  *plan.Core // gets the same and must say the same
	last  string
	world *store // its caches
	fresh *plan.Roll
	doubt bool
	queue []plan.Action
	wake  timing.Instant
	rev   int               // of the store, after it last worked
	looks map[string]looked // by fence: the newest look that it got
}

// looked is what the test remembers of a look.
type looked struct {
	sent time.Duration // on the cluster's clock
	saw  plan.Saw
}

func (l *leader) newID() string {
	l.c.ids++
	l.last = fmt.Sprintf("%08d-history", l.c.ids)
	return l.last
}

func (l *leader) lastID() string { return l.last }

func (l *leader) clock() timing.Instant { return at(l.c.now + l.skew) }

// pass lets a little time go by: no two things happen at once.
func (c *cluster) pass() { c.now += time.Microsecond }

// sync brings the caches up to date.
func (l *leader) sync() {
	l.world.nodes, l.world.guards = maps.Clone(l.c.nodes), maps.Clone(l.c.guards)
	l.world.fences, l.world.names = maps.Clone(l.c.fences), slices.Clone(l.c.names)
	l.readRoll()
}

func (l *leader) readRoll() {
	l.fresh, l.doubt = l.c.readRoll(l.clock()), false
	l.c.pass()
}

// work plans and acts until there is nothing left to do now.
func (l *leader) work() {
	l.c.Helper()
	if l.rev == l.c.rev && !l.wake.Passed(l.clock()) {
		return
	}
	defer func() { l.rev = l.c.rev }()
	var before []plan.Action
	for round := 0; ; round++ {
		l.sync()
		actions := l.plan()
		for _, a := range actions {
			l.act(a)
		}
		actions = slices.DeleteFunc(actions, func(a plan.Action) bool { _, event := a.(plan.Event); return event })
		if len(actions) == 0 {
			return
		}
		if reflect.DeepEqual(actions, before) || round > 40 {
			l.c.Fatalf("busy loop: round %d asks again for %v", round, actions)
		}
		before = actions
	}
}

// plan makes one plan, twice: the same world must give the same plan.
func (l *leader) plan() []plan.Action {
	l.c.Helper()
	l.c.pass()
	now := l.clock()
	w := l.world.world(l.c.policy, now)
	w.Roll = nil
	if l.fresh != nil {
		r := *l.fresh
		r.Roll = r.Clone()
		w.Roll = &r
	}
	copied := copyWorld(w)
	l.c.observe()
	l.c.sawWithheld(l)
	actions, wake := l.core.Plan(now, w)
	again, wakeAgain := l.twin.Plan(now, copied)
	if !reflect.DeepEqual(actions, again) {
		l.c.Fatalf("the same world gives another plan:\n%s", cmp.Diff(actions, again))
	}
	if wake != wakeAgain || wake.Elapsed(now) >= 0 || now.Add(2*time.Second).Elapsed(wake) > 0 {
		l.c.Fatalf("wake %v and %v, now %v", wake, wakeAgain, now)
	}
	l.wake = wake
	for _, a := range actions {
		l.c.note(l, a)
	}
	return actions
}

// copyWorld copies a world's lists in another order of insertion.
func copyWorld(w plan.World) plan.World {
	nodes, guards := w.Nodes, w.Guards
	w.Nodes, w.Guards = make(map[string]plan.Node), make(map[string]plan.Guard)
	for _, k := range slices.Backward(slices.Sorted(maps.Keys(nodes))) {
		w.Nodes[k] = nodes[k]
	}
	for _, k := range slices.Backward(slices.Sorted(maps.Keys(guards))) {
		w.Guards[k] = guards[k]
	}
	w.Fences = slices.Clone(w.Fences)
	if w.Roll != nil {
		r := *w.Roll
		r.Roll = r.Clone()
		w.Roll = &r
	}
	return w
}

// act carries out one action now, and brings back what it read.
func (l *leader) act(a plan.Action) {
	l.c.Helper()
	l.c.pass()
	switch a := a.(type) {
	case plan.Look:
		sent := l.c.now
		saw := l.c.look(a, l.clock())
		l.c.lookedAt(l, saw)
		l.c.pass()
		l.saw(saw, sent)
	case plan.Survey:
		s := l.c.survey(a, l.clock())
		l.c.pass()
		l.core.Surveyed(l.clock(), s)
		l.twin.Surveyed(l.clock(), s)
	default:
		l.c.check(l, a)
		if err := l.c.do(a); err == nil {
			l.c.committed(l, a)
		}
		if _, ok := a.(plan.PutRoll); ok {
			l.readRoll()
		}
	}
}

func (l *leader) saw(s plan.Saw, sent time.Duration) {
	if old, ok := l.looks[s.Fence]; !ok || old.sent <= sent {
		l.looks[s.Fence] = looked{sent, s}
	}
	l.core.Saw(l.clock(), s)
	l.twin.Saw(l.clock(), s)
}

// note writes what an action says into the script.
func (c *cluster) note(l *leader, a plan.Action) {
	line := ""
	switch a := a.(type) {
	case plan.Event:
		line = fmt.Sprintf("%s %s %s", a.Rule, a.Reason, a.Node)
	case plan.PutTaints:
		line = fmt.Sprintf("%s taints %s%s", a.Rule, a.Node, effects(a.Taints))
	case plan.PutRoll:
		line = "roll" + entries(a.Roll.Entries) + epochs(a.Roll.Epochs)
		if a.Roll.Broken != "" {
			line += " broken"
		}
	case plan.SilencePods:
		line = "silence " + a.Node
	case plan.DeletePod:
		line = "delete " + a.Name
	case plan.MakeFence:
		line = "fence " + a.Node + " " + string(a.Reason)
	case plan.DropFence:
		line = "drop " + a.Name
	case plan.DropGuard:
		line = "drop guard " + a.Node
	case plan.Look, plan.Survey, plan.PutGuard, plan.PutFence, plan.ReleaseRoll:
		return
	}
	c.script = append(c.script, line)
	c.Logf("%v leader %d: %s", c.now-time.Hour, l.id, line)
}

func effects(taints []plan.Taint) string {
	text := ""
	for _, t := range taints {
		switch t.Key {
		case plan.QuarantineKey:
			text += " " + t.Effect
		case plan.OutOfServiceKey:
			text += " OutOfService"
		default:
			text += " " + t.Key
		}
	}
	return text
}

func entries(list []roll.Entry) string {
	text := ""
	for _, e := range list {
		text += fmt.Sprintf(" %s=%s", e.Node, e.State)
	}
	return text
}

func epochs(list []roll.Epoch) string {
	text := ""
	for _, e := range list {
		text += fmt.Sprintf(" e%d", e.Number)
		if e.Retiring {
			text += "-retiring"
		}
	}
	return text
}

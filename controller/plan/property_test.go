package plan_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/timing"
)

// Whatever happens in whatever order, no write breaks a promise: see truth.
// Only the newest controller plans; what older ones have begun still happens.
func TestNoInterleavingBreaksAPromise(t *testing.T) {
	unleash(t, func(*chaos) {})
}

// The same with several controllers that plan at once, each taking itself for
// the leader.
func TestRivalControllersAreSafe(t *testing.T) {
	unleash(t, func(c *chaos) {
		c.rivals = true
		c.elect()
	})
}

// A dead armed node is tainted in time: within detection, W and the guard, and
// for each controller that dies meanwhile once more what it had observed.
func TestADeadNodeIsTaintedInTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(3, 12).Draw(t, "nodes")
		profile := rapid.SampledFrom([]timing.Profile{timing.Standard(), timing.Fast()}).Draw(t, "profile")
		c := newCluster(t, n)
		c.policy.Profile = profile
		for _, m := range c.machines {
			m.promise(profile)
			m.nextRead += time.Duration(rapid.IntRange(0, 19).Draw(t, "phase")) * tick
		}
		c.settle()
		c.run(time.Duration(rapid.IntRange(0, 40).Draw(t, "ticks")) * tick)
		victim := nodeName(rapid.IntRange(0, n-1).Draw(t, "victim"))
		dead := c.now
		c.cut(victim)
		bound := timing.Failover(c.guards[victim].Status.Promise, profile) + profile.RollInterval
		for range rapid.IntRange(0, 2).Draw(t, "crashes") {
			if c.runUntil(time.Duration(rapid.IntRange(0, 600).Draw(t, "until"))*tick, func() bool { return outOfService(c.nodes[victim]) }) {
				break
			}
			c.now += time.Duration(rapid.IntRange(0, 80).Draw(t, "election")) * tick
			c.elect()
			bound = c.now - dead + timing.Failover(c.guards[victim].Status.Promise, profile) + profile.RollInterval
		}
		if !c.runUntil(bound-(c.now-dead), func() bool { return outOfService(c.nodes[victim]) }) {
			t.Fatalf("%v after its death %s is not tainted: %+v", bound, victim, c.fenceOf(victim).Status)
		}
	})
}

// unleash checks many schedules, and that enough happens in them.
func unleash(t *testing.T, prepare func(*chaos)) {
	var all reach
	rapid.Check(t, func(t *rapid.T) {
		c := &chaos{cluster: newCluster(t, 5), t: t}
		c.run(5 * time.Second)
		prepare(c)
		c.unleash()
		all.add(c.reach)
	})
	t.Logf("%+v", all)
	if all.Taints == 0 || all.Withheld == 0 || all.Dropped == 0 || all.Histories == 0 || all.Epochs == 0 {
		t.Errorf("too little happened to prove anything: %+v", all)
	}
}

// A reach counts what happened.
type reach struct{ Schedules, Withheld, Taints, Dropped, Histories, Epochs int }

func (r *reach) add(o reach) {
	r.Schedules++
	r.Withheld += o.Withheld
	r.Taints += o.Taints
	r.Dropped += o.Dropped
	r.Histories += o.Histories
	r.Epochs += o.Epochs
}

// chaos is a cluster in which anything happens next.
type chaos struct {
	*cluster
	t       *rapid.T
	limbo   []late // writes of the Roll of which nobody knows whether they arrive
	backups []plan.Roll
}

// late is a write that arrives later.
type late struct {
	by *leader
	a  plan.Action
}

func (c *chaos) pick(what string, n int) int { return rapid.IntRange(0, n-1).Draw(c.t, what) }

func (c *chaos) anyMachine() *machine { return c.machines[c.pick("machine", len(c.machines))] }

func (c *chaos) anyFence() string {
	if len(c.names) == 0 {
		return ""
	}
	return c.names[c.pick("fence", len(c.names))]
}

// planner returns a controller that may plan.
func (c *chaos) planner() *leader {
	if c.rivals {
		return c.leaders[c.pick("leader", len(c.leaders))]
	}
	return c.leader()
}

func (c *chaos) unleash() {
	incidents := map[string]func(){
		"power cut": func() { c.anyMachine().stop(c.now) },
		"isolate":   func() { c.isolate(c.anyMachine().name) },
		"hang":      func() { m := c.anyMachine(); m.hung, m.silent = true, c.now },
		"strand":    func() { c.strand(c.anyMachine().name, c.anyMachine().name) },
		"request":   func() { c.ask(c.anyMachine().name, plan.Requested) },
	}
	mishaps := map[string]func(){
		"reboot":         func() { c.reboot(c.anyMachine().name) },
		"API link":       func() { m := c.anyMachine(); m.api = !m.api },
		"API down":       func() { c.apiDown = !c.apiDown },
		"unarm":          func() { m := c.anyMachine(); m.want.Armed = !m.want.Armed },
		"longer T":       func() { m := c.anyMachine(); m.want.Timeout ^= 1 << 33 },
		"new leader":     func() { c.elect() },
		"delete fence":   c.deleteFence,
		"lose fence":     func() { delete(c.fences, c.anyFence()) },
		"prove":          c.prove,
		"withdraw proof": c.withdraw,
		"lose guard":     func() { delete(c.guards, c.anyMachine().name) },
		"remake node":    c.remakeNode,
		"foreign taint":  c.foreignTaint,
		"Roll deleted":   c.deleteRoll,
		"Roll restored":  c.restoreRoll,
		"one node more":  c.grow,
	}
	moves := map[string]func(){
		"run":           c.runSome,
		"run on":        c.runSome,
		"plan":          c.planSomething,
		"plan again":    c.planSomething,
		"act":           c.actSomething,
		"late write":    c.arrive,
		"agent":         func() { c.agent(c.anyMachine()) },
		"time passes":   func() { c.now += time.Duration(c.pick("ms", 1500)) * time.Millisecond; c.bites() },
		"heal":          c.heal,
		"incident":      func() { c.one(incidents) },
		"mishap":        func() { c.one(mishaps) },
		"run into":      c.runInto,
		"run into that": c.runInto,
		"run into this": c.runInto,
	}
	for range rapid.IntRange(1, 60).Draw(c.t, "moves") {
		c.one(moves)
	}
}

// one makes one of the moves.
func (c *chaos) one(moves map[string]func()) {
	name := rapid.SampledFrom(slices.Sorted(maps.Keys(moves))).Draw(c.t, "move")
	c.Logf("%v: %s", c.now-time.Hour, name)
	moves[name]()
}

func (c *chaos) runSome() {
	c.run(time.Duration(rapid.SampledFrom([]int{1, 2, 5, 10, 20, 40, 80, 160}).Draw(c.t, "ticks")) * tick)
}

// runInto runs until some fence reaches its next phase, where it hurts.
func (c *chaos) runInto() {
	before := c.phases()
	c.runUntil(30*time.Second, func() bool { return c.phases() != before || c.apiDown })
}

func (c *chaos) phases() string {
	text := ""
	for _, f := range c.listFences() {
		text += " " + string(f.Status.Phase)
	}
	return text
}

// heal mends the network and lets a human resume a broken history.
func (c *chaos) heal() {
	c.apiDown = false
	for _, m := range c.machines {
		m.api, m.island = true, 0
	}
	if c.roll != nil {
		c.policy.ResumeHistory = c.roll.History
	}
}

func (c *chaos) bites() {
	for _, m := range c.machines {
		m.bite(c.now, c.policy.Profile)
	}
}

// planSomething lets a controller plan with caches that are more or less behind.
func (c *chaos) planSomething() {
	l := c.planner()
	if c.apiDown || l.doubt {
		if c.apiDown {
			return
		}
		l.readRoll()
	}
	for _, name := range slices.Sorted(maps.Keys(c.nodes)) {
		if c.pick("see node", 2) == 0 {
			l.world.seeNode(c.store, name)
		}
		if c.pick("see guard", 2) == 0 {
			l.world.seeGuard(c.store, name)
		}
	}
	if c.pick("see fences", 2) == 0 {
		l.world.fences, l.world.names = maps.Clone(c.fences), slices.Clone(c.names)
	}
	if l.fresh == nil || l.world.nodes == nil || c.pick("read roll", 2) == 0 {
		l.readRoll()
	}
	for _, a := range l.plan() {
		if !slices.ContainsFunc(l.queue, func(q plan.Action) bool { return key(q) == key(a) }) {
			l.queue = append(l.queue, a)
		}
	}
	if c.pick("act at once", 3) > 0 {
		queue := l.queue
		l.queue = nil
		for _, a := range queue {
			c.attempt(l, a)
		}
	}
}

// key is what an action is about: of one key, one action is under way at a time.
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
	case plan.DeletePod:
		return "pod/" + a.UID
	case plan.SilencePods, plan.Event:
	}
	return fmt.Sprintf("%T%v", a, a)
}

// actSomething carries out something that a controller, in office or not, has
// asked for.
func (c *chaos) actSomething() {
	l := c.leaders[c.pick("leader", len(c.leaders))]
	if len(l.queue) == 0 {
		return
	}
	i := c.pick("action", len(l.queue))
	a := l.queue[i]
	l.queue = slices.Delete(l.queue, i, i+1)
	c.attempt(l, a)
}

func (c *chaos) attempt(l *leader, a plan.Action) {
	_, rollWrite := a.(plan.PutRoll)
	outcome := c.pick("outcome", 8)
	switch {
	case c.apiDown || outcome == 0:
		l.doubt = l.doubt || rollWrite
	case outcome == 1 && rollWrite:
		l.doubt = true
		c.limbo = append(c.limbo, late{l, a})
	default:
		if c.roll != nil {
			c.backup()
		}
		l.act(a)
	}
}

func (c *chaos) backup() {
	if len(c.backups) == 0 || c.backups[len(c.backups)-1].Serial != c.roll.Serial {
		r := *c.roll
		r.Roll = r.Clone()
		c.backups = append(c.backups, r)
	}
}

// arrive lets a write arrive that its sender has given up.
func (c *chaos) arrive() {
	if len(c.limbo) == 0 || c.apiDown {
		return
	}
	i := c.pick("limbo", len(c.limbo))
	w := c.limbo[i]
	c.limbo = slices.Delete(c.limbo, i, i+1)
	c.pass()
	c.check(w.by, w.a)
	if c.do(w.a) == nil {
		c.committed(w.by, w.a)
	}
}

func (c *chaos) deleteFence() {
	if name := c.anyFence(); c.fences[name].Name != "" {
		c.store.delete(name)
	}
}

// prove lets a human prove what is true.
func (c *chaos) prove() {
	f, ok := c.fences[c.anyFence()]
	if !ok || f.Status.Boot == "" {
		return
	}
	if b := c.bootOf(f.Status.Boot); b == nil || b.writesUntil(c.policy.Profile) <= c.now {
		c.proveDead(f.Name, f.Status.Boot)
	}
}

func (c *chaos) withdraw() {
	if f, ok := c.fences[c.anyFence()]; ok {
		c.proveDead(f.Name, "")
	}
}

// remakeNode deletes a Node object, or makes it anew.
func (c *chaos) remakeNode() {
	m := c.anyMachine()
	if _, ok := c.nodes[m.name]; ok {
		delete(c.nodes, m.name)
		return
	}
	c.putNode(plan.Node{
		Name: m.name, UID: "node-" + c.version(), MachineID: "machine-" + m.name, SystemUUID: "uuid-" + m.name,
	})
}

func (c *chaos) foreignTaint() {
	n, ok := c.nodes[c.anyMachine().name]
	if !ok {
		return
	}
	switch c.pick("taint", 3) {
	case 0:
		n.Taints = nil
	case 1:
		n.Taints = append(slices.Clone(n.Taints), plan.Taint{Key: "somebody/else", Effect: "NoSchedule"})
	case 2:
		n.Taints = append(slices.Clone(n.Taints), plan.Taint{Key: plan.OutOfServiceKey, Value: "nodeshutdown", Effect: "NoExecute"})
	}
	c.putNode(n)
}

func (c *chaos) deleteRoll() {
	if c.roll != nil && !c.roll.Deleting {
		r := *c.roll
		r.Deleting, r.Version = true, c.version()
		c.roll = &r
	}
}

// restoreRoll puts back what the Roll was.
func (c *chaos) restoreRoll() {
	if len(c.backups) == 0 {
		return
	}
	r := c.backups[c.pick("past", len(c.backups))]
	r.Roll = r.Clone()
	r.Version, r.Deleting = c.version(), false
	c.roll = &r
	c.restored = true
}

func (c *chaos) grow() {
	if len(c.machines) < 8 {
		c.addMachine(nodeName(len(c.machines)))
	}
}

func (s *store) seeNode(from *store, name string) {
	if s.nodes == nil {
		s.nodes = make(map[string]plan.Node)
	}
	if n, ok := from.nodes[name]; ok {
		s.nodes[name] = n
	} else {
		delete(s.nodes, name)
	}
}

func (s *store) seeGuard(from *store, name string) {
	if s.guards == nil {
		s.guards = make(map[string]plan.Guard)
	}
	if g, ok := from.guards[name]; ok {
		s.guards[name] = g
	} else {
		delete(s.guards, name)
	}
}

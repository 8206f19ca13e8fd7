package world

import (
	"time"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// An agent is one run of picket-agent: its real core, and the adapters that
// carry out its verdicts in the daemon's order.
type agent struct {
	m           *machine
	core        *decide.Core
	v           decide.Verdict
	pausedUntil time.Duration
	tickAt      time.Duration // the planned tick; 0: none
	tickFn      func()
	beatFn      func()

	keeper
	publisher

	spec   *plan.GuardSpec // the controller's word
	relay  *roll.Held      // what it answers to heartbeats
	own    *roll.Roll      // what it states as a witness
	offers uint64
	beats  time.Duration // the interval of its heartbeats; 0: none

	dies    uint8 // just before, or just after, it stores its memory
	stopped bool  // told to leave
	left    func()
}

// startAgent starts an agent, which finds what an earlier one has left in /run.
func (m *machine) startAgent() {
	if m.agent != nil || !m.on || m.hung {
		return
	}
	a := &agent{m: m}
	a.keeper.since = m.now
	m.agent = a
	c := decide.Config{Node: m.name, Boot: m.boot, Memory: m.run.memory, Phase: float64(m.i) / 8}
	if m.Forbidden {
		c.Forbidden = "Forbidden"
	}
	a.core = decide.New(c, m.clock.read(m.now))
	tick := a.tick
	a.tickFn = func() { a.attend(tick) }
	a.keep()
	if m.run.guidance != nil {
		a.guided(m.run.guidance)
	}
	if m.agent == a {
		a.serveHolder()
	}
	if m.agent == a {
		a.m.after(holderPoll, a.keeper.poll)
		a.followGuard()
		a.step(decide.Tick{})
	}
}

// stopAgent ends the process.
func (m *machine) stopAgent() { m.agent = nil }

// attend does something in the process: later if it is paused, never if it is
// gone.
func (a *agent) attend(do func()) {
	switch {
	case a == nil || a.m.agent != a:
	case a.pausedUntil > a.m.now:
		a.m.at(a.pausedUntil, func() { a.attend(do) })
	default:
		do()
	}
}

// step hands the core an event and carries out the verdict.
func (a *agent) step(e decide.Event) {
	m := a.m
	if m.agent != a {
		return
	}
	was := a.v.Phase
	counted := a.v.Memory.Promise
	a.v = a.core.Step(m.clock.read(m.now), e)
	v := &a.v
	for _, n := range v.Notes {
		m.outcome.Counts.fired(string(n.Rule))
		if m.tells() {
			m.say(m.name, "%s %s", n.Rule, n.What)
		}
	}
	if v.Phase != was && m.tells() {
		m.say(m.name, "is %v %s %s", v.Phase, v.Reason, v.Message)
	}
	if v.Phase == decide.Latched && was != v.Phase && v.Reason == decide.ReasonFenced {
		m.outcome.Counts.fired("A14")
	}
	if v.Status.Offer != a.offers {
		if a.offers = v.Status.Offer; v.Memory.Promise.Harder(v.Status.Promise) {
			m.moment(Leaves, m.i)
		}
	}
	if p := v.Memory.Promise; p != counted && counted.Harder(p) && counted.Armed {
		m.outcome.Counts.Adopted++
	}
	if a.dies == 1 {
		a.die()
		return
	}
	m.run.memory = v.Memory
	if a.dies == 2 {
		a.die()
		return
	}
	a.want(v)
	a.relay, a.own = v.Relay, v.Memory.Roll
	if v.Phase != decide.PhaseUnknown {
		a.publish()
	}
	a.inquire(v.Ask)
	a.planTick()
	if v.Done && a.left != nil {
		left := a.left
		a.left = nil
		m.after(0, left)
	}
}

func (a *agent) die() {
	a.m.say(a.m.name, "its agent dies")
	a.m.stopAgent()
	a.m.restartAgent(a.m.upTo(a.m.Profile.RollInterval / 4))
}

// planTick plans the next tick, if the one that is planned comes too late.
func (a *agent) planTick() {
	at := max(a.m.clock.until(a.m.now, a.v.Wake, false), a.m.now+time.Millisecond)
	if a.tickAt > a.m.now && a.tickAt <= at {
		return // that one looks again
	}
	a.tickAt = at
	a.m.at(at, a.tickFn)
}

func (a *agent) tick() {
	if a.tickAt > a.m.now {
		return // another one is planned
	}
	if at := a.m.clock.until(a.m.now, a.v.Wake, false); at > a.m.now {
		a.tickAt = at
		a.m.at(at, a.tickFn)
		return
	}
	a.step(decide.Tick{})
}

// inquire sends the questions of a verdict.
func (a *agent) inquire(q decide.Ask) {
	if q.API {
		a.readRoll(q.Urgent)
	}
	if a.spec == nil {
		return
	}
	if q.Witnesses {
		for k := range a.spec.Witnesses {
			if p := &a.spec.Witnesses[k]; p.Node != a.m.name {
				a.ask(p, false)
			}
		}
	}
	if q.Neighbours {
		a.beat()
	}
}

// beat asks each neighbour for a sign of life, and its best roll.
func (a *agent) beat() {
	for k := range a.spec.Neighbours {
		a.ask(&a.spec.Neighbours[k], true)
	}
}

// readRoll reads the Roll at one endpoint, or at two at once. The core hears of
// each roll, and of the end if there was none.
func (a *agent) readRoll(urgent bool) {
	m := a.m
	left, read := 1, false
	if urgent && m.net.twice > 0 {
		left = 2
	}
	sent := m.clock.read(m.now)
	for range left {
		var got *plan.Roll
		a.call(func() { got = m.store.roll }, func(ok bool) {
			left--
			switch {
			case ok && got != nil:
				read = true
				a.step(decide.RollRead{Roll: got.Roll, Sent: sent})
			case left == 0 && !read:
				a.step(decide.RollMissed{Contact: ok, Err: "no answer"})
			}
		})
	}
}

// life bounds the age of a relay.
func (a *agent) life() time.Duration {
	if a.spec == nil {
		return a.m.Profile.RollLife
	}
	return a.spec.Profile.RollLife
}

// knows reports whether the agent was told the caller's key.
func (a *agent) knows(m *machine) bool {
	if a.spec == nil {
		return false
	}
	for k := range a.spec.Callers {
		if a.spec.Callers[k].Fingerprint == m.key {
			return true
		}
	}
	return false
}

// heartbeats asks each neighbour at each interval.
func (a *agent) heartbeats() {
	a.beat()
	a.m.after(a.beats, a.beatFn)
}

// sound reports whether agents follow a profile. It remembers the last good one,
// since there are few.
func (w *World) sound(p *timing.Profile) bool {
	if *p != w.good && p.Validate() == nil {
		w.good = *p
	}
	return *p == w.good
}

// guided takes a new NodeGuard's spec, from the API or from the last run.
func (a *agent) guided(s *plan.GuardSpec) {
	if !a.m.sound(&s.Profile) {
		return // the daemon keeps the old one
	}
	a.m.run.guidance, a.spec = s, s
	spec := decide.Spec{
		Neighbours: names(s.Neighbours), Witnesses: names(s.Witnesses),
		Profile: s.Profile, ProbeEvery: max(s.ProbeEvery, s.Profile.RollInterval),
		Unarmed: s.Unarmed, FencedBoot: s.FencedBoot,
	}
	if a.beats == 0 {
		a.beats = s.Profile.Heartbeat
		heartbeats := a.heartbeats
		a.beatFn = func() { a.attend(heartbeats) }
		a.m.after(a.m.upTo(a.beats), a.beatFn)
	}
	a.step(decide.Guided{Spec: spec})
}

func names(peers []plan.Peer) []string {
	list := make([]string, len(peers))
	for i := range peers {
		list[i] = peers[i].Node
	}
	return list
}

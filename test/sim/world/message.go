package world

import (
	"time"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/roll"
)

// A message is a question of one agent to another, and then its answer. There
// are more of them than of anything else, so they are used again.
type message struct {
	*World
	from  *agent
	to    int
	beat  bool // a heartbeat, else a question for a statement
	sent  instant
	late  time.Duration // no answer counts after that
	back  bool          // it is the answer
	relay bool          // the answer has one
	held  roll.Held
	own   *roll.Roll
	step  func() // arrives
}

// pinned reports whether the peer still has the key that the controller named.
func (w *World) pinned(p *plan.Peer) (int, bool) {
	to := nodeIndex(p.Node)
	return to, w.machines[to].key == p.Fingerprint
}

// ask sends a question to a peer, unless the way there is cut.
func (a *agent) ask(p *plan.Peer, beat bool) {
	m := a.m
	to, ok := m.pinned(p)
	if !ok || !m.reaches(m.i, to) {
		return
	}
	x := m.newMessage()
	x.from, x.to, x.beat, x.back = a, to, beat, false
	x.sent, x.late = m.clock.read(m.now), m.now+m.Profile.LostAfter()
	m.after(m.hop(), x.step)
}

func (w *World) newMessage() *message {
	if n := len(w.messages); n > 0 {
		x := w.messages[n-1]
		w.messages = w.messages[:n-1]
		return x
	}
	x := &message{World: w}
	x.step = x.arrive
	return x
}

// arrive is the end of one way.
func (x *message) arrive() {
	at := x.from
	if !x.back {
		at = x.machines[x.to].agent
	}
	switch {
	case at == nil || at.m.agent != at:
		x.end()
	case at.pausedUntil > x.now:
		x.at(at.pausedUntil, x.step)
	case x.back:
		x.deliver()
	default:
		x.answer(at)
	}
}

// end lets the message be used again.
func (x *message) end() {
	x.from, x.own, x.held = nil, nil, roll.Held{}
	x.messages = append(x.messages, x)
}

// answer lets the peer answer.
func (x *message) answer(o *agent) {
	asker := x.from.m
	if x.beat && (x.net.deaf[x.to] > 0 || !o.knows(asker)) || !x.reaches(x.to, asker.i) {
		x.end()
		return
	}
	x.back, x.own = true, o.own
	if x.relay = x.beat && o.relay != nil; x.relay {
		age := o.relay.Sent.Age(o.m.clock.read(x.now))
		x.relay = age < o.life()
		x.held = roll.Held{Roll: o.relay.Roll, Sent: x.sent.Add(-age)}
	}
	if x.net.twice > 0 {
		again := x.newMessage()
		step := again.step
		*again = *x
		again.step = step
		x.after(x.hop()+x.upTo(x.Patience), again.step)
	}
	if at := x.now + x.hop(); at < x.late {
		x.at(at, x.step)
	} else {
		x.end()
	}
}

// deliver brings the answer to the core.
func (x *message) deliver() {
	a, name := x.from, x.machines[x.to].name
	if !x.beat {
		a.step(decide.Stated{Witness: name, Roll: x.own, Sent: x.sent})
	} else if x.relay {
		a.step(decide.Heard{Node: name, Sent: x.sent, Relay: &x.held})
	} else {
		a.step(decide.Heard{Node: name, Sent: x.sent})
	}
	x.end()
}

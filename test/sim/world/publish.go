package world

import (
	"slices"
	"time"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/controller/plan"
)

// A publisher writes the newest status whenever it is not the one that was
// acknowledged last: one write at a time, each with the version that was seen.
type publisher struct {
	said    decide.Status
	acked   bool
	writing bool
	waits   bool  // for its next try after a failure
	seen    int64 // version of the own NodeGuard; 0: unknown
	watched int64 // version of the last one that the watch brought
	writes  int64
	clean   bool // what was said of the storage
}

// publishAgain is how long a status waits for its next try.
const publishAgain = 250 * time.Millisecond

func (a *agent) publish() {
	p := &a.publisher
	if p.writing || p.waits || p.acked && p.said.Equal(a.v.Status) && p.clean == a.m.clean() {
		return
	}
	p.writing = true
	sent := a.m.clock.read(a.m.now)
	want, clean := a.v.Status, a.m.clean()
	done := func(ok, conflict bool) {
		p.writing = false
		if !ok {
			p.acked, p.waits = false, true
			if conflict {
				p.seen = 0
			}
			a.m.outcome.Counts.LostWrites++
			a.m.after(publishAgain, func() {
				a.attend(func() {
					p.waits = false
					a.publish()
				})
			})
			return
		}
		p.said, p.acked, p.clean = want, true, clean
		a.step(decide.Published{Status: want, Sent: sent})
		if a.m.agent == a {
			a.publish()
		}
	}
	if p.seen == 0 {
		a.readGuard(want, done)
		return
	}
	a.writeStatus(want, func(ok, conflict bool) {
		if conflict {
			a.readGuard(want, done)
			return
		}
		done(ok, false)
	})
}

// readGuard reads the own NodeGuard, and writes the status under its version.
func (a *agent) readGuard(want decide.Status, done func(ok, conflict bool)) {
	m := a.m
	var version int64
	a.call(func() {
		if o := m.store.guards[m.i]; o.value != nil {
			version = o.version
		}
	}, func(ok bool) {
		if !ok || version == 0 {
			done(false, true)
			return
		}
		a.publisher.seen = version
		a.writeStatus(want, done)
	})
}

// writeStatus is one conditional write.
func (a *agent) writeStatus(want decide.Status, done func(ok, conflict bool)) {
	m := a.m
	seen := a.publisher.seen
	a.publisher.writes++
	status := a.guardStatus(&want)
	var version int64
	a.call(func() {
		o := m.store.guards[m.i]
		if o.value == nil || o.version != seen || m.net.mute[m.i] > 0 {
			return
		}
		g := *o.value
		g.Status = status
		m.setGuard(m.i, g)
		version = m.store.guards[m.i].version
		m.published(&status)
	}, func(ok bool) {
		if ok && version != 0 {
			a.publisher.seen = max(version, a.publisher.seen)
		}
		done(ok && version != 0, ok && version == 0)
	})
}

// guardStatus puts the core's status and the host's facts into a NodeGuard's.
func (a *agent) guardStatus(s *decide.Status) plan.GuardStatus {
	m := a.m
	return plan.GuardStatus{
		Writes: a.publisher.writes,
		Boot:   m.boot, MachineID: "machine-" + m.name, SystemUUID: "uuid-" + m.name,
		Fingerprint: m.key,
		Promise:     s.Promise, Verified: true, History: s.History, Serial: s.Serial, Fences: s.Fences, Streak: s.Streak,
		Refutes: s.Refutes, Lost: s.Lost, PeersLost: s.PeersLost, HistoryBroken: s.HistoryBroken,
		Clean: m.clean(),
	}
}

// clean reports whether no volume of an earlier time is in use.
func (m *machine) clean() bool { return m.kubelet == nil || !m.kubelet.volumes }

// published tells the judge, and those who wait for it, what was stored.
func (m *machine) published(s *plan.GuardStatus) {
	if m.tells() {
		m.say(m.name, "has published: promise %+v, serial %d, streak %d, lost %v, refutes %q", s.Promise, s.Serial, s.Streak, s.Lost, s.Refutes)
	}
	m.judgePromise()
	if !s.Promise.Armed {
		m.moment(Unarmed, m.i)
	}
	if s.Refutes != "" {
		m.outcome.Counts.Refuted++
		m.moment(Refutes, m.i)
	}
}

// followGuard is the start of the agent's watch of its NodeGuard.
func (a *agent) followGuard() { a.m.tellGuard() }

// tellGuard brings the newest NodeGuard to its agent, which watches it.
func (m *machine) tellGuard() {
	a := m.agent
	o := m.store.guards[m.i]
	if a == nil || o.value == nil {
		return
	}
	g, version := o.value, o.version
	m.after(m.hop()+m.upTo(m.Lag), func() {
		a.attend(func() {
			if !m.reaches(m.api(), m.i) {
				m.after(m.Profile.RollInterval, func() {
					if m.agent == a {
						m.tellGuard() // the watch is opened anew, and lists
					}
				})
				return
			}
			if version <= a.publisher.watched {
				return
			}
			a.publisher.watched = version
			a.publisher.seen = max(a.publisher.seen, version)
			if g.Status.Boot != m.boot {
				a.publisher.acked = false
			}
			if a.spec == nil || !sameSpec(a.spec, &g.Spec) {
				a.guided(&g.Spec)
			}
		})
	})
}

func sameSpec(a, b *plan.GuardSpec) bool {
	return a == b || a.NodeUID == b.NodeUID && a.Profile == b.Profile && a.ProbeEvery == b.ProbeEvery && a.Unarmed == b.Unarmed &&
		a.FencedBoot == b.FencedBoot && samePeers(a.Neighbours, b.Neighbours) && samePeers(a.Witnesses, b.Witnesses) && samePeers(a.Callers, b.Callers)
}

func samePeers(a, b []plan.Peer) bool {
	return slices.EqualFunc(a, b, func(p, q plan.Peer) bool { return p.Node == q.Node && p.Fingerprint == q.Fingerprint })
}

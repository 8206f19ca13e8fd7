package world

import (
	"slices"
	"strconv"
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
	m.call(m.i, func() {
		if o := m.store.guards[m.i]; o.value != nil {
			version = o.version
		}
	}, func(ok bool) {
		a.attend(func() {
			if !ok || version == 0 {
				done(false, true)
				return
			}
			a.publisher.seen = version
			a.writeStatus(want, done)
		})
	})
}

// writeStatus is one conditional write.
func (a *agent) writeStatus(want decide.Status, done func(ok, conflict bool)) {
	m := a.m
	seen := a.publisher.seen
	a.publisher.writes++
	status := a.guardStatus(&want)
	var version int64
	m.call(m.i, func() {
		o := m.store.guards[m.i]
		if o.value == nil || o.version != seen {
			return
		}
		g := *o.value
		g.Status = status
		m.setGuard(m.i, g)
		version = m.store.guards[m.i].version
		m.published(&status)
	}, func(ok bool) {
		a.attend(func() {
			if ok && version != 0 {
				a.publisher.seen = max(version, a.publisher.seen)
			}
			done(ok && version != 0, ok && version == 0)
		})
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

// A kubelet registers the node, refuses or runs its old pods, and tells that it
// is alive.
type kubelet struct {
	m       *machine
	stored  bool // a Node status of this boot
	volumes bool // it runs pods of before the boot
	beats   int64
}

// startKubelet starts one. It decides about its old pods by the Node that it
// reads, and stores a status of its own boot within the rejoin guard before any
// volume is used (PROTOCOL.md §12); else it reads again.
func (m *machine) startKubelet() {
	if m.kubelet != nil || !m.on || m.hung {
		return
	}
	k := &kubelet{m: m}
	m.kubelet = k
	k.register()
	k.live()
}

func (k *kubelet) runs() bool { return k.m.kubelet == k && !k.m.hung && !k.m.deaf }

// talks reports whether the kubelet can exchange something with the API now.
func (k *kubelet) talks() bool {
	return k.runs() && k.m.reaches(k.m.i, k.m.api()) && k.m.reaches(k.m.api(), k.m.i)
}

func (k *kubelet) register() {
	m := k.m
	if m.kubelet != k || k.stored {
		return
	}
	if !k.talks() {
		m.after(m.Profile.RollInterval/2, k.register)
		return
	}
	if m.store.nodes[m.i].value == nil {
		m.setNode(m.i, m.newNode())
	}
	read := m.now
	refused := refuses(m.store.nodes[m.i].value)
	m.after(m.worst(m.Profile.RejoinGuard*9/10), func() {
		if m.kubelet != k {
			return
		}
		o := m.store.nodes[m.i].value
		if !k.talks() || o == nil {
			k.register()
			return
		}
		k.stored, k.volumes = true, !refused && len(m.store.pods[m.i]) > 0
		n := *o
		n.Boot, n.Ready, n.NotReadyFor = m.boot, true, 0
		n.MachineID, n.SystemUUID = "machine-"+m.name, "uuid-"+m.name
		n.Heartbeat = m.boot
		m.setNode(m.i, n)
		m.say(m.name, "its kubelet is up; old pods: %v", k.volumes)
		if !refused && m.boots > 1 && m.lately >= read && m.lately > 0 {
			m.violate("P1", "boot %s runs the old pods, and their volumes move since %v", m.boot, m.lately)
		}
		if len(m.store.pods[m.i]) == 0 && !refused {
			m.newPod()
		}
	})
}

// newPod is what the scheduler does to a node that has none.
func (m *machine) newPod() {
	m.store.pods[m.i] = []plan.Pod{{Namespace: "default", Name: "db", UID: "pod-" + m.boot, Version: "1"}}
	m.store.mounts[m.i] = true
	if m.kubelet != nil {
		m.kubelet.volumes = true
	}
}

// newNode is what a kubelet registers.
func (m *machine) newNode() plan.Node {
	return plan.Node{
		Name: m.name, UID: "node-" + m.name + "-" + strconv.FormatInt(m.store.rev, 10), Domain: m.Domain, ControlPlane: m.ControlPlane,
		MachineID: "machine-" + m.name, SystemUUID: "uuid-" + m.name,
	}
}

// live renews the Lease, and now and then the heartbeat of the Node's status.
func (k *kubelet) live() {
	m := k.m
	m.after(m.Profile.RollInterval+m.upTo(m.Profile.RollInterval), func() {
		if m.kubelet != k {
			return
		}
		k.live()
		if !k.stored || !k.talks() {
			return
		}
		k.beats++
		o := m.store.nodes[m.i].value
		if o == nil {
			k.stored = false
			k.register()
			return
		}
		m.store.leases[m.i]++
		if k.beats%8 == 0 || !o.Ready || o.Boot != m.boot {
			n := *o
			n.Boot, n.Ready, n.Heartbeat = m.boot, true, m.boot+"."+strconv.FormatInt(k.beats, 10)
			m.setNode(m.i, n)
		}
	})
}

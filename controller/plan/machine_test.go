package plan_test

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// A machine is a node with its agent, holder and kubelet, as bad as the
// protocol allows: a boot pets as long as any roll permits it, and then writes
// until the last instant of the bound.
type machine struct {
	name  string
	boots int
	*boot
	api        bool // reaches the API
	unverified bool
	dirty      bool          // its agent does not attest Clean
	deaf       bool          // its kubelet does not report
	island     int           // reaches the machines of the same one
	silent     time.Duration // since when others may miss it
}

// A boot is one run of a machine's kernel.
type boot struct {
	id      string
	on      bool
	off     time.Duration // when it ended, if not on
	hung    bool          // the agent neither asks nor tells
	latched bool
	granted time.Duration // petUntil

	want, inUse, offer timing.Promise
	acked              time.Duration // when the offer was acknowledged; 0: not yet

	history   string
	broken    string
	left      map[string]bool // histories that it knows and that are over
	memory    *roll.Roll      // as a witness
	highest   int64
	published bool // the NodeGuard names this boot
	refutes   string
	streak    int64
	lastRead  time.Duration
	nextRead  time.Duration
	beat      int
}

// start boots the machine; its agent asks a second later.
func (m *machine) start(now time.Duration, p timing.Profile) {
	m.boots++
	m.boot = &boot{id: fmt.Sprintf("%s/%d", m.name, m.boots), on: true, nextRead: now + time.Second}
	m.promise(p)
}

// promise is what an agent with a usual watchdog promises under the profile.
func (m *machine) promise(p timing.Profile) {
	m.want = timing.Promise{
		Armed: true, RollLife: p.RollLife, PetDelay: p.PetDelay, Timeout: p.RealTimeout * 1000 / 1020, Kappa: 1020,
	}
}

// stop ends the present boot.
func (m *machine) stop(now time.Duration) {
	if m.on {
		m.on, m.off, m.silent = false, now, now
	}
}

// writesUntil returns until when the boot's writes may reach the storage.
func (b *boot) writesUntil(p timing.Profile) time.Duration {
	switch {
	case !b.on:
		return b.off + p.Drain
	case !b.inUse.Armed:
		return 1 << 62
	}
	return b.granted + b.inUse.PetDelay + time.Duration(1+b.inUse.Ungated)*b.inUse.RealTimeout() + p.ResetLatency + p.Drain
}

// bite resets a boot that was not petted in time.
func (m *machine) bite(now time.Duration, p timing.Profile) {
	if m.on && m.inUse.Armed && now >= m.writesUntil(p)-p.Drain {
		m.stop(m.writesUntil(p) - p.Drain)
	}
}

// hears reports whether another machine's agent answers this one.
func (m *machine) hears(w *machine) bool { return w == m || m.island == w.island && w.on && !w.hung }

// isolate cuts a machine off from all others and from the API.
func (c *cluster) isolate(name string) {
	m := c.machine(name)
	m.api = false
	c.strand(name)
}

// strand moves machines to an island of their own.
func (c *cluster) strand(names ...string) {
	c.islands++
	for _, name := range names {
		m := c.machine(name)
		m.island, m.silent = c.islands, c.now
	}
}

// runs reports whether the agent does anything at all.
func (m *machine) runs() bool { return m.on && !m.hung && !m.latched }

// agent lets the agent read a roll from wherever it can, and publish.
func (c *cluster) agent(m *machine) {
	if !m.runs() {
		return
	}
	if c.reaches(m) && c.roll != nil {
		c.readAPI(m)
	} else {
		m.streak, m.acked = 0, 0
		c.askWitnesses(m)
	}
	c.arm(m)
	c.publish(m)
}

func (c *cluster) reaches(m *machine) bool { return m.api && !c.apiDown }

func (c *cluster) readAPI(m *machine) {
	r := c.roll.Clone()
	switch {
	case m.history != r.History:
		if m.left == nil {
			m.left = make(map[string]bool)
		}
		m.left[m.history] = true
		m.history, m.broken, m.memory, m.highest = r.History, "", nil, 0
		if m.left[r.History] {
			m.broken = "history " + r.History + " came back"
		}
	case r.Serial < m.highest:
		m.broken, m.memory = fmt.Sprintf("serial %d after %d", r.Serial, m.highest), nil
	}
	m.highest = max(m.highest, r.Serial)
	// A boot that never published may not speak as a witness: a controller
	// could take it for the dead boot before it.
	if m.published && m.broken == "" {
		m.memory = &r
	}
	switch {
	case !r.Gating():
		m.streak = 0
	case m.lastRead == 0 || c.now-m.lastRead > c.policy.Profile.RollInterval:
		m.streak = 1
	default:
		m.streak++
	}
	m.lastRead = c.now
	m.refutes = ""
	if e := r.Entry(m.id); e.State == roll.Suspected {
		m.refutes = e.Fence
	}
	c.hear(m, r)
	if m.runs() && m.acked > 0 && c.now > m.acked && !r.Withholds(m.id) {
		m.inUse = m.offer
	}
}

// askWitnesses makes a witness roll of whatever statements m can get.
func (c *cluster) askWitnesses(m *machine) {
	var statements []roll.Statement
	for _, w := range c.machines {
		if m.hears(w) && w.memory != nil && w.memory.History == m.history {
			statements = append(statements, roll.Statement{Witness: w.name, Roll: *w.memory, Sent: at(c.now)})
		}
	}
	if held, ok := roll.Quorum(m.history, statements); ok {
		c.hear(m, held.Roll)
	}
}

// hear applies A1 and A2 to a roll.
func (c *cluster) hear(m *machine, r roll.Roll) {
	switch {
	case r.Withholds(m.id):
		m.latched = m.inUse.Armed
	default:
		m.granted = max(m.granted, c.now+c.policy.Profile.RollLife)
	}
}

// arm moves the promise towards what is wanted: use, then publish, or publish,
// call the roll, adopt.
func (c *cluster) arm(m *machine) {
	g, ok := c.guards[m.name]
	want := m.want
	if !ok || g.Spec.Unarmed != "" {
		want = timing.Promise{}
	}
	switch {
	case m.inUse.Harder(want):
		if o := m.inUse.Hardest(want); o != m.offer {
			m.offer, m.acked = o, 0
		}
	case want == m.inUse || !want.Armed:
		m.offer = m.inUse
	case m.history != "" && m.granted > c.now:
		m.inUse, m.offer = want, want
	}
}

// publish writes the agent's status and the kubelet's.
func (c *cluster) publish(m *machine) {
	if !c.reaches(m) {
		return
	}
	if g, ok := c.guards[m.name]; ok && c.roll != nil {
		s := c.guardStatus(m)
		s.Writes = g.Status.Writes
		if !reflect.DeepEqual(s, g.Status) {
			s.Writes++
			g.Status = s
			c.putGuard(g)
		}
		m.published = true
		if m.acked == 0 {
			m.acked = c.now
		}
		if m.refutes != "" && c.refuted[m.refutes] == 0 {
			c.refuted[m.refutes] = c.now
		}
	}
	c.kubelet(m)
}

func (c *cluster) guardStatus(m *machine) plan.GuardStatus {
	s := plan.GuardStatus{
		Boot: m.id, MachineID: "machine-" + m.name, SystemUUID: "uuid-" + m.name,
		Addresses: []string{"10.0.0." + m.name}, Fingerprint: "key-" + m.id,
		Promise: m.offer, Verified: !m.unverified, History: m.history, Refutes: m.refutes, HistoryBroken: m.broken, Clean: !m.dirty,
	}
	if m.memory != nil && slices.Contains(c.roll.Witnesses(), m.name) {
		s.Serial, s.Fences, s.Streak = m.memory.Serial, m.memory.Fences(), m.streak
	}
	answering := 0
	for _, w := range c.machines {
		if m.hears(w) {
			answering++
		} else if c.now-w.silent >= c.policy.Profile.LostAfter() {
			s.Lost = append(s.Lost, w.name)
		}
	}
	if 2*answering <= len(c.machines) {
		s.PeersLost, s.Lost = true, nil
	}
	return s
}

func (c *cluster) kubelet(m *machine) {
	n, ok := c.nodes[m.name]
	if !ok || m.deaf {
		return
	}
	m.beat++
	c.leases[m.name]++
	if n.Boot != m.id || !n.Ready || m.beat%10 == 0 {
		n.Boot, n.Ready, n.Heartbeat = m.id, true, fmt.Sprint(m.id, m.beat)
		c.putNode(n)
	}
}

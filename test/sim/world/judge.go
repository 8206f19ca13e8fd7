package world

import (
	"time"

	"github.com/picket-dev/picket/agent/seam"
	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// A judge knows the truth: who was disturbed when, and what was written.
type judge struct {
	self    []illness   // by node: what a node must not have to be called healthy
	busy    []illness   // the same, with restarts that must do no harm
	api     []illness   // its way to the API, both ways
	peer    [][]illness // its way to another node, one way
	whole   illness     // the API, for all nodes
	history illness     // changes of the Roll's history

	suspected map[string]time.Duration // fence → when that was committed
	waits     map[string]bool          // fence → it is one that nobody has proven
	false     map[string]bool          // boots that a human has proven dead and that were not
	condemned map[string]bool          // boots that were withheld, rightly
	said      map[string]string        // node → what people were last told of it
	steady    time.Duration            // the newest instant at which the API had been well for long

	retuned *timing.Profile // by a person
}

// An illness is something that may be wrong now, or was.
type illness struct {
	count int           // of reasons that last
	last  time.Duration // when it was last wrong
}

func (x *illness) note(now time.Duration) { x.last = max(x.last, now) }

func (x *illness) begin(now time.Duration) {
	x.count++
	x.note(now)
}

func (x *illness) end(now time.Duration) {
	x.count = max(0, x.count-1)
	x.note(now)
}

// since returns when it was last wrong, which may be now.
func (x *illness) since(now time.Duration) time.Duration {
	if x.count > 0 {
		return now
	}
	return x.last
}

func newJudge(nodes int, cold bool) judge {
	j := judge{
		self: make([]illness, nodes), busy: make([]illness, nodes), api: make([]illness, nodes), peer: make([][]illness, nodes),
		suspected: make(map[string]time.Duration), waits: make(map[string]bool), false: make(map[string]bool),
		condemned: make(map[string]bool), said: make(map[string]string),
	}
	before := -time.Hour
	if cold {
		before = 0
	}
	all := func(list []illness) {
		for i := range list {
			list[i].last = before
		}
	}
	all(j.self)
	all(j.busy)
	all(j.api)
	for i := range j.peer {
		j.peer[i] = make([]illness, nodes)
		all(j.peer[i])
	}
	j.whole.last, j.history.last, j.steady = before, before, before
	return j
}

// heal ends every illness that lasts.
func (j *judge) heal(now time.Duration) {
	mend := func(list []illness) {
		for i := range list {
			if list[i].count > 0 {
				list[i].count = 0
				list[i].note(now)
			}
		}
	}
	mend(j.self)
	mend(j.busy)
	mend(j.api)
	for i := range j.peer {
		mend(j.peer[i])
	}
	if j.whole.count > 0 {
		j.whole.count = 0
		j.whole.note(now)
	}
}

// profile is the one that people want at the end.
func (j *judge) profile(p timing.Profile) timing.Profile {
	if j.retuned != nil {
		return *j.retuned
	}
	return p
}

// judgeTaint holds P1 at the write of an out-of-service taint: the fenced boot
// can write no more, nor does a later one that began with the old pods.
func (c *controller) judgeTaint(i int, fence string) {
	m := c.machines[i]
	c.outcome.Counts.Taints++
	boot := ""
	for k := range c.store.fences {
		if f := c.store.fences[k].value; f != nil && f.Status.Fence == fence {
			boot = f.Status.Boot
			if f.Proof == boot && c.judge.false[boot] {
				return // a human's word
			}
			if f.Proof != boot {
				c.outcome.Counts.Waited++
			}
		}
	}
	if boot != m.boot {
		m.lately = c.now
	}
	until, dead := m.writesUntil(boot)
	switch {
	case c.judge.false[boot]:
	case !dead:
		c.violate("P1", "boot %s is tainted out-of-service, and can write", boot)
	case until > c.now:
		c.violate("P1", "boot %s is tainted out-of-service, and its writes reach the storage until %v", boot, until)
	case m.on && m.boot != boot && m.kubelet != nil && m.kubelet.volumes:
		c.violate("P1", "boot %s is tainted out-of-service, and boot %s runs its pods", boot, m.boot)
	}
}

// judgePromise holds claim 7, by which a fence may believe a promise: what the
// API server holds of this boot is at least as hard as what its holder does.
func (m *machine) judgePromise() {
	g := m.store.guards[m.i].value
	if g == nil || g.Status.Boot != m.boot || !g.Status.Promise.Armed || m.holder == nil || m.hung {
		return
	}
	p := g.Status.Promise
	var s seam.Status
	m.holder.core.Report(&s)
	switch s.State {
	case seam.Idle, seam.Free:
		m.violate("P1", "%s is %v, and its NodeGuard promises %+v", m.name, s.State, p)
	case seam.Armed, seam.Coasting:
		if bite := (s.Timeout*time.Duration(m.Kappa) + 999) / 1000; bite > p.RealTimeout() {
			m.violate("P1", "%s runs with T = %v, and its NodeGuard promises %+v", m.name, s.Timeout, p)
		}
		if left := s.PetUntil.Elapsed(m.clock.read(m.now)); s.State == seam.Armed && -left > p.RollLife {
			m.violate("P1", "%s may be petted for another %v, and its NodeGuard promises %+v", m.name, -left, p)
		}
	default:
	}
}

// judgePhase counts what becomes of fences.
func (c *controller) judgePhase(before plan.Phase, f *plan.Fence) {
	if f.Status.Phase == plan.Recovered && before != plan.Recovered {
		c.outcome.Counts.Recovered++
	}
}

// judgeEntry holds claim 11 at each new entry: a connected node that lives and
// may speak is not withheld.
func (w *World) judgeEntry(e roll.Entry, before roll.State) {
	if e.State == roll.Suspected {
		w.judge.suspected[e.Fence] = w.now
		return
	}
	w.outcome.Counts.Withheld++
	w.judge.condemned[e.Boot] = true
	m := w.machines[nodeIndex(e.Node)]
	since, asked := w.judge.suspected[e.Fence]
	if !m.on || m.boot != e.Boot || m.hung || !asked || before == roll.Unlisted || w.provenOrAsked(e.Fence) {
		return
	}
	j := &w.judge
	sick := max(j.busy[m.i].since(w.now), j.api[m.i].since(w.now), j.whole.since(w.now), j.history.since(w.now))
	if sick < since-2*w.Profile.RollInterval {
		w.violate("P2", "boot %s is withheld (C1), though it lives and could speak since %v", e.Boot, since)
	}
}

// provenOrAsked reports whether the fence is one that no node may refute.
func (w *World) provenOrAsked(fence string) bool {
	for k := range w.store.fences {
		if f := w.store.fences[k].value; f != nil && f.Status.Fence == fence {
			return f.Proof != "" || f.Reason != plan.PeersLost
		}
	}
	return true
}

// judgeReset holds P2 at a reset by the dog or by sysrq: nobody who was healthy
// and connected is reset, unless its boot was withheld.
func (m *machine) judgeReset(why string) {
	j := &m.judge
	if j.condemned[m.boot] || j.false[m.boot] || m.hung {
		return
	}
	life := m.longestLife()
	window := m.now - life - 2*m.Profile.RollInterval - 2*m.Patience
	if window < 0 && m.Cold {
		return
	}
	self := j.self[m.i].since(m.now)
	if self >= window {
		return
	}
	if max(j.api[m.i].since(m.now), j.whole.since(m.now)) < window {
		m.violate("P2", "%s was healthy and could reach the API all the time: %s", m.name, why)
		return
	}
	m.judgeOutage(why, window)
}

// longestLife is the longest L that any node may have been under.
func (w *World) longestLife() time.Duration {
	return max(w.Profile.RollLife, w.judge.profile(w.Profile).RollLife)
}

// judgeOutage holds the other half of P2: the API may be away; where enough
// witnesses of every epoch were well since before, and connected with the node,
// it is not reset either.
func (m *machine) judgeOutage(why string, window time.Duration) {
	j := &m.judge
	r := m.store.roll
	if r == nil || len(r.Epochs) == 0 {
		return
	}
	from := min(window, j.steadyBefore(m.now))
	from -= 6 * m.Profile.RollInterval
	if j.history.since(m.now) >= from || j.busy[m.i].since(m.now) >= from {
		return
	}
	for _, e := range r.Epochs {
		well := 0
		for _, name := range e.Witnesses {
			i := nodeIndex(name)
			if i == m.i || max(j.busy[i].since(m.now), j.peer[i][m.i].since(m.now), j.peer[m.i][i].since(m.now)) < from && !m.machines[i].hung {
				well++
			}
		}
		if well < e.Quorum() {
			return
		}
	}
	m.violate("P2", "%s was healthy and connected with H witnesses of each epoch, all of them well since %v: %s", m.name, from, why)
}

// steadyBefore returns the newest instant at which the API had been well for
// everybody for a while.
func (j *judge) steadyBefore(now time.Duration) time.Duration {
	for i := range j.api {
		if j.api[i].count > 0 {
			return j.steady
		}
	}
	if j.whole.count > 0 {
		return j.steady
	}
	return now
}

// ail notes, before something befalls the API or a way to it, when it was last
// well for long.
func (w *World) ail() {
	last := w.judge.whole.since(w.now)
	for i := range w.judge.api {
		last = max(last, w.judge.api[i].since(w.now))
	}
	if last < w.now-6*w.Profile.RollInterval {
		w.judge.steady = w.now
	}
}

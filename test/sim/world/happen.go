package world

import (
	"slices"
	"time"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/roll"
)

// happen lets a fault happen.
func (w *World) happen(f Fault) {
	if w.healed {
		return
	}
	if w.tells() {
		w.say("", "FAULT %v", f)
	}
	switch f.Kind {
	case PowerCut, FastReboot, Hang, HangAndClose, AgentCrash, AgentDies, AgentPause, Upgrade, HolderCrash, HolderPause,
		HolderStall, StallAndHang, LastGasp, DeviceFails, Shutdown, ShutdownHang, LinkDown, StorageDown, KubeletHang:
		w.machines[f.Node].happen(f)
	case Isolate, Island, Tardy, Silence, CutOut, CutIn, CutPeer, Blockade, APIDown, APIApart, APIRefuse, APISlow, Lossy, Twice:
		w.befall(f)
	default:
		w.interfere(f)
	}
}

// happen lets a fault befall the machine.
func (m *machine) happen(f Fault) {
	if !m.on || m.hung {
		return
	}
	j := &m.judge
	switch f.Kind {
	case PowerCut:
		m.stop()
		m.gone = f.For == 0
		if !m.gone {
			m.back(f.For)
		}
		m.lifecycle()
	case FastReboot:
		m.stop()
		m.back(m.upTo(m.Profile.RollInterval / 2))
	case Hang, HangAndClose:
		m.hang()
		m.gone = f.For > 2*m.Profile.RollLife // it stays off after its dog has bitten
		if f.Kind == HangAndClose {
			boot := m.boot
			m.after(m.upTo(2*m.Profile.RealTimeout), func() {
				if m.on && m.boot == boot && m.Ungated > 0 {
					m.stopHolder()
				}
			})
		}
		m.lifecycle()
	case AgentCrash:
		j.busy[m.i].note(m.now)
		m.stopAgent()
		m.restartAgent(f.For)
	case AgentDies:
		j.busy[m.i].note(m.now)
		if m.agent != nil {
			m.agent.dies = uint8(1 + m.IntN(2))
		}
	case AgentPause:
		m.sick(f.For)
		if m.agent != nil {
			m.agent.pausedUntil = max(m.agent.pausedUntil, m.now+f.For)
		}
	case Upgrade:
		m.upgrade(f.For)
	case HolderCrash:
		m.sick(f.For)
		m.stopHolder()
		boot := m.boot
		m.after(f.For, func() {
			if m.on && m.boot == boot {
				m.startHolder(m.dog.stored)
			}
		})
	case HolderPause:
		m.sick(f.For)
		if m.holder != nil && !m.holder.stalled {
			m.holder.pause(f.For)
		}
	case LastGasp:
		m.stall, m.stallEnd, m.gasp = m.Profile.PetDelay, true, true
	case HolderStall, StallAndHang:
		m.stall = pick(m.dice, m.Profile.PetDelay, m.Profile.PetDelay, m.upTo(m.Profile.PetDelay), m.Profile.PetDelay+m.upTo(3*m.Profile.PetDelay))
		m.stallEnd = f.Kind == StallAndHang
	case DeviceFails:
		m.sick(f.For)
		m.broken = true
		boot := m.boot
		m.after(f.For, func() {
			if m.boot == boot {
				m.broken = false
			}
		})
	case Shutdown, ShutdownHang:
		m.shutdown(f)
	case LinkDown, StorageDown:
		m.agent.attend(func() {
			m.agent.step(decide.Link{Interface: "eth0", Storage: f.Kind == StorageDown})
		})
	case KubeletHang:
		m.deaf = true
		boot := m.boot
		m.after(f.For, func() {
			if m.boot == boot {
				m.deaf = false
			}
		})
		m.lifecycle()
	default:
	}
}

// sick tells the judge that the node is disturbed for a while.
func (m *machine) sick(d time.Duration) {
	for _, x := range []*illness{&m.judge.self[m.i], &m.judge.busy[m.i]} {
		x.begin(m.now)
		m.after(d, func() { x.end(m.now) })
	}
}

// restartAgent starts the next run of the agent after a while. One that is away
// for long is no healthy node's.
func (m *machine) restartAgent(d time.Duration) {
	boot := m.boot
	m.judge.busy[m.i].begin(m.now)
	if d > m.Profile.RollInterval {
		m.judge.self[m.i].begin(m.now)
	}
	m.after(d, func() {
		m.judge.busy[m.i].end(m.now)
		if d > m.Profile.RollInterval {
			m.judge.self[m.i].end(m.now)
		}
		if m.on && m.boot == boot {
			m.startAgent()
		}
	})
}

// upgrade stops the agent in order, and starts the next one.
func (m *machine) upgrade(d time.Duration) {
	a := m.agent
	if a == nil || a.stopped {
		return
	}
	a.stopped = true
	m.judge.busy[m.i].note(m.now)
	leave := func() {
		if m.agent != a {
			return
		}
		m.stopAgent()
		if !a.v.Done {
			m.say(m.name, "A13 its agent leaves armed")
			m.judge.self[m.i].note(m.now)
			m.restartAgent(d)
			return
		}
		boot := m.boot
		m.judge.busy[m.i].note(m.now)
		m.after(d, func() {
			if m.on && m.boot == boot {
				m.judge.busy[m.i].note(m.now)
				m.startAgent()
			}
		})
	}
	a.left = leave
	m.after(5*m.Profile.RollInterval, leave)
	a.attend(func() { a.step(decide.Stop{}) })
}

// shutdown is the host's in order: the agent prepares for it, then all processes
// end, and at last the power goes, or nothing happens any more.
func (m *machine) shutdown(f Fault) {
	m.judge.self[m.i].note(m.now)
	m.judge.busy[m.i].note(m.now)
	boot, ended := m.boot, false
	end := func() {
		if ended || !m.on || m.boot != boot || m.hung {
			return
		}
		ended = true
		m.say(m.name, "shuts down: all processes end")
		h := m.holder
		m.hang()
		if f.Kind == Shutdown {
			m.after(m.upTo(m.Profile.RollInterval), func() {
				if m.on && m.boot == boot {
					m.stop()
					m.back(f.For)
				}
			})
		}
		// The service manager closes what it kept, at some time.
		if h == nil || h.pausedUntil > m.now {
			return
		}
		m.after(m.upTo(m.dog.timeout*9/10)*time.Duration(m.IntN(2)), func() {
			if m.on && m.boot == boot && m.holder == h {
				m.dog.stored = false
				m.stopHolder()
			}
		})
	}
	a := m.agent
	m.after(6*m.Profile.RollInterval, end)
	if a == nil {
		return
	}
	a.left = func() { m.after(m.upTo(m.Profile.RollInterval), end) }
	a.attend(func() { a.step(decide.Shutdown{}) })
	m.lifecycle()
}

// lifecycle is the node lifecycle controller's: a kubelet that stays silent is
// not Ready.
func (m *machine) lifecycle() {
	lease := m.store.leases[m.i]
	m.after(3*m.Profile.RollInterval, func() {
		o := m.store.nodes[m.i].value
		if o == nil || !o.Ready || m.store.leases[m.i] > lease+2 {
			return
		}
		n := *o
		n.Ready = false
		m.unready = m.now
		m.setNode(m.i, n)
	})
}

// befall lets a fault befall the network.
func (w *World) befall(f Fault) {
	w.ail()
	j := &w.judge
	n := &w.net
	api := w.api()
	var off []func()
	cut := func(from, to int) {
		n.cut[from][to]++
		x := &j.peer
		switch {
		case from == api:
			j.api[to].begin(w.now)
			off = append(off, func() { j.api[to].end(w.now) })
		case to == api:
			j.api[from].begin(w.now)
			off = append(off, func() { j.api[from].end(w.now) })
		default:
			(*x)[from][to].begin(w.now)
			off = append(off, func() { (*x)[from][to].end(w.now) })
		}
		off = append(off, func() { n.cut[from][to]-- })
	}
	raise := func(level *int, ill bool) {
		*level++
		off = append(off, func() { *level-- })
		if ill {
			j.whole.begin(w.now)
			off = append(off, func() { j.whole.end(w.now) })
		}
	}
	switch f.Kind {
	case Isolate:
		cut(f.Node, api)
		cut(api, f.Node)
		for i := range w.machines {
			if i != f.Node {
				cut(f.Node, i)
				cut(i, f.Node)
			}
		}
	case Island:
		for _, i := range []int{f.Node, f.Peer} {
			cut(i, api)
			cut(api, i)
			for k := range w.machines {
				if k != f.Node && k != f.Peer {
					cut(i, k)
					cut(k, i)
				}
			}
			if f.Peer == f.Node {
				break
			}
		}
	case Tardy:
		raise(&n.tardy[f.Node], false)
		j.busy[f.Node].begin(w.now)
		off = append(off, func() { j.busy[f.Node].end(w.now) })
	case Silence:
		raise(&n.deaf[f.Node], false)
	case CutOut:
		cut(f.Node, api)
	case CutIn:
		cut(api, f.Node)
	case CutPeer:
		if f.Peer != f.Node {
			cut(f.Node, f.Peer)
		}
	case Blockade:
		for i := range w.machines {
			for k := range w.machines {
				if i != k {
					cut(i, k)
				}
			}
		}
	case APIDown:
		raise(&n.down, true)
	case APIApart:
		raise(&n.apart, true)
	case APIRefuse:
		raise(&n.down, true)
		raise(&n.refusing, false)
	case APISlow:
		raise(&n.slow, true)
	case Lossy:
		raise(&n.lossy, true)
		for i := range w.machines {
			for k := range w.machines {
				j.peer[i][k].begin(w.now)
				off = append(off, func() { j.peer[i][k].end(w.now) })
			}
		}
	case Twice:
		raise(&n.twice, false)
	default:
	}
	w.after(f.For, func() {
		if !w.healed {
			for _, undo := range off {
				undo()
			}
		}
	})
}

// interfere lets a person, or another program, do something.
func (w *World) interfere(f Fault) {
	c := w.leads()
	switch f.Kind {
	case LeaderCrash:
		if c != nil {
			c.up = false
			w.after(f.For, func() { w.lead() })
		}
	case LeaderPause:
		if c != nil {
			w.pauseLeader(c, f.For)
		}
	case Rival:
		if c != nil {
			rival := w.elect()
			w.after(f.For, func() { rival.up = rival == w.leads() && w.healed })
		}
	case WatchBreaks:
		if c != nil {
			c.blind++
			w.after(f.For, func() {
				if c.blind > 0 && c.up {
					c.blind--
					c.attend(c.list)
				}
			})
		}
	case Retune, Observe, Exclude, PauseFencing:
		w.steer(f)
	case HumanFence, HumanDelete, HumanForce, Proof, FalseProof:
		w.human(f)
	case ForeignTaint, StripTaints, DeleteRoll, RestoreRoll, DeleteNode, Join:
		w.vandalize(f)
	default:
	}
}

// lead elects a controller where there is none.
func (w *World) lead() {
	if w.leads() == nil {
		w.elect()
	}
}

// pauseLeader stops a leader's process for a while. Another one is elected when
// its lease has run out; when it wakes it goes on with what it was about, until
// it notices.
func (w *World) pauseLeader(c *controller, d time.Duration) {
	c.pausedUntil = max(c.pausedUntil, w.now+d)
	lease := 2 * w.Profile.RollInterval
	if d <= lease {
		return
	}
	w.after(lease, func() {
		if c.up && c == w.leads() {
			w.elect()
		}
	})
	w.after(d+w.upTo(w.Profile.RollInterval), func() {
		if c != w.leads() {
			c.up = false
		}
	})
}

// steer changes the policy.
func (w *World) steer(f Fault) {
	p := &w.policy
	switch f.Kind {
	case Retune:
		t := p.Profile
		t.RollLife = pick(w.dice, w.Profile.RollLife+w.Profile.RollInterval, 2*w.Profile.RollLife, 2*w.Profile.RollLife)
		if w.judge.retuned != nil {
			t.RollLife = w.Profile.RollLife
		}
		t.RealTimeout = pick(w.dice, w.Profile.RealTimeout, 2*w.Profile.RealTimeout, w.Profile.RealTimeout*3/4)
		t.ShutdownTimeout = max(t.ShutdownTimeout, t.RealTimeout)
		if t.Validate() == nil {
			p.Profile = t
			w.judge.retuned = &t
			w.say("", "the policy wants L %v, κT ≤ %v", t.RollLife, t.RealTimeout)
		}
		for _, c := range w.controllers {
			c.urge()
		}
		return
	case Observe:
		p.Observe = true
		w.after(f.For, func() { w.policy.Observe = false })
	case PauseFencing:
		p.Paused = "a human's"
		w.after(f.For, func() { w.policy.Paused = "" })
	case Exclude:
		w.exclude(f.Node, true)
		w.after(f.For, func() { w.exclude(f.Node, false) })
	default:
	}
	for _, c := range w.controllers {
		c.urge()
	}
}

func (w *World) exclude(i int, is bool) {
	if o := w.store.nodes[i].value; o != nil && o.Excluded != is {
		n := *o
		n.Excluded = is
		w.setNode(i, n)
	}
}

// openFence returns the newest fence of a node that has not ended, or nil.
func (w *World) openFence(i int) (int, *plan.Fence) {
	for k := len(w.store.fences) - 1; k >= 0; k-- {
		f := w.store.fences[k].value
		if f != nil && f.Node == w.machines[i].name && f.Status.Phase != plan.Recovered && f.Status.Phase != plan.Refuted {
			return k, f
		}
	}
	return -1, nil
}

// human is what people do to fences.
func (w *World) human(f Fault) {
	m := w.machines[f.Node]
	k, open := w.openFence(f.Node)
	switch f.Kind {
	case HumanFence:
		w.newFence(f.Node, plan.Requested)
	case HumanDelete:
		if open != nil && !open.Deleting {
			next := *open
			next.Deleting = true
			w.setFence(k, next)
		}
	case HumanForce:
		if open != nil {
			w.dropFence(k)
		}
	case Proof:
		if open == nil || open.Status.Boot == "" {
			return
		}
		if until, dead := m.writesUntil(open.Status.Boot); dead && until <= w.now {
			w.prove(k, *open)
		}
	case FalseProof:
		if open == nil {
			k = w.newFence(f.Node, plan.Requested)
			open = w.store.fences[k].value
		}
		boot := open.Status.Boot
		if boot == "" {
			boot = m.boot
		}
		w.judge.false[boot] = true
		next := *open
		next.Proof, next.ProofBy = boot, "a human who is wrong"
		w.setFence(k, next)
	default:
	}
}

func (w *World) prove(k int, f plan.Fence) {
	f.Proof, f.ProofBy = f.Status.Boot, "a human"
	w.setFence(k, f)
}

// takeBack lets humans see that they were wrong.
func (w *World) takeBack() {
	for k := range w.store.fences {
		if f := w.store.fences[k].value; f != nil && w.judge.false[f.Proof] {
			next := *f
			next.Proof, next.ProofBy = "", ""
			w.setFence(k, next)
		}
	}
}

// vandalize is what people and programs do to objects that are not theirs.
func (w *World) vandalize(f Fault) {
	o := w.store.nodes[f.Node].value
	switch f.Kind {
	case ForeignTaint:
		if o != nil && o.OutOfService == "" {
			n := *o
			n.Taints = append(slices.Clone(n.Taints), plan.Taint{Key: plan.OutOfServiceKey, Value: "nodeshutdown", Effect: "NoExecute"})
			w.setNode(f.Node, n)
			w.after(f.For, func() { w.strip(f.Node, func(t plan.Taint) bool { return t.Key == plan.OutOfServiceKey }) })
		}
	case StripTaints:
		w.strip(f.Node, func(plan.Taint) bool { return true })
	case DeleteRoll:
		if r := w.store.roll; r != nil && !r.Deleting {
			w.ail()
			w.judge.history.note(w.now)
			gone := *r
			gone.Deleting = true
			w.store.setRoll(gone)
		}
	case RestoreRoll:
		w.restoreRoll()
	case DeleteNode:
		if o != nil {
			w.judge.busy[f.Node].note(w.now)
			w.dropNode(f.Node)
		}
	case Join:
		for _, m := range w.machines[w.Nodes:] {
			if m.boots == 0 {
				m.power()
				return
			}
		}
	default:
	}
}

func (w *World) strip(i int, which func(plan.Taint) bool) {
	if o := w.store.nodes[i].value; o != nil && slices.ContainsFunc(o.Taints, which) {
		n := *o
		n.Taints = slices.DeleteFunc(slices.Clone(n.Taints), which)
		w.setNode(i, n)
	}
}

// restoreRoll puts an earlier Roll back, as from a backup.
func (w *World) restoreRoll() {
	if len(w.store.past) < 2 || w.store.roll == nil {
		return
	}
	old := *w.store.past[w.IntN(len(w.store.past)-1)]
	w.judge.history.note(w.now)
	for _, e := range old.Entries {
		if e.State == roll.Withheld {
			w.judge.condemned[e.Boot] = true // a human's doing
		}
	}
	w.store.setRoll(old)
	w.say("", "the Roll is again: %s", rollInWords(w.store.roll))
}

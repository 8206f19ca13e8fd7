package world

import (
	"time"

	"github.com/picket-dev/picket/agent/decide"
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
	case PowerOn:
		w.machines[f.Node].gone = false
		w.machines[f.Node].power()
	case PowerCut, FastReboot, Hang, HangAndClose, AgentCrash, AgentDies, AgentPause, Upgrade, HolderCrash, HolderPause,
		HolderStall, StallAndHang, LastGasp, DeviceFails, Shutdown, ShutdownHang, LinkDown, StorageDown, KubeletHang:
		w.machines[f.Node].happen(f)
	case Isolate, Island, Tardy, Mute, Silence, CutOut, CutIn, CutPeer, Blockade, APIDown, APIApart, APIRefuse, APISlow, Lossy, Twice:
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
		if f.Kind == HangAndClose && m.Ungated > 0 {
			m.during(m.upTo(2*m.Profile.RealTimeout), m.stopHolder)
		}
		m.lifecycle()
	case Shutdown, ShutdownHang:
		m.shutdown(f)
	case LinkDown, StorageDown:
		m.agent.attend(func() {
			m.agent.step(decide.Link{Interface: "eth0", Storage: f.Kind == StorageDown})
		})
	case KubeletHang:
		m.deaf = true
		m.during(f.For, func() { m.deaf = false })
		m.lifecycle()
	case AgentCrash, AgentDies, AgentPause, Upgrade:
		m.happenToAgent(f)
	default:
		m.happenToHolder(f)
	}
}

func (m *machine) happenToAgent(f Fault) {
	busy := &m.judge.busy[m.i]
	switch f.Kind {
	case AgentCrash:
		busy.note(m.now)
		m.stopAgent()
		m.restartAgent(f.For)
	case AgentDies:
		busy.note(m.now)
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
	default:
	}
}

func (m *machine) happenToHolder(f Fault) {
	delta := m.Profile.PetDelay
	switch f.Kind {
	case HolderCrash:
		m.sick(f.For)
		m.stopHolder()
		m.during(f.For, func() { m.startHolder(m.dog.stored) })
	case HolderPause:
		m.sick(f.For)
		if m.holder != nil && !m.holder.stalled {
			m.holder.pause(f.For)
		}
	case LastGasp:
		m.stall, m.stallEnd, m.gasp = delta, true, true
		if m.chance(1, 3) { // as late as the dog lets it
			m.stall = max(delta, m.dog.timeout*time.Duration(m.Real)/1000*9/20)
		}
	case HolderStall, StallAndHang:
		m.stall = pick(m.dice, delta, delta, m.upTo(delta), delta+m.upTo(3*delta))
		m.stallEnd = f.Kind == StallAndHang
	case DeviceFails:
		m.sick(f.For)
		m.broken = true
		m.during(f.For, func() { m.broken = false })
	default:
	}
}

// during does something after a while, if the boot still runs.
func (m *machine) during(d time.Duration, do func()) {
	boot := m.boot
	m.after(d, func() {
		if m.on && m.boot == boot {
			do()
		}
	})
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

// shutdown is the host's in order: the agent prepares for it, and then its
// processes end.
func (m *machine) shutdown(f Fault) {
	m.judge.self[m.i].note(m.now)
	m.judge.busy[m.i].note(m.now)
	boot := m.boot
	end := func() {
		if m.on && m.boot == boot && !m.hung {
			m.endProcesses(f)
		}
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

// endProcesses is the end of a shutdown, in systemd's order: the manager leaves
// and closes what it kept, all processes are told to end, and those that did not
// are killed. At last the power goes, or nothing happens any more. Two things do
// not happen (PROTOCOL.md §12): a manager that leaves long after the end of the
// holder starts it again before, and a holder that is stopped is not killed.
func (m *machine) endProcesses(f Fault) {
	m.say(m.name, "shuts down: all processes end")
	m.hang()
	m.downs = true
	delta := m.Profile.PetDelay
	if m.holder != nil || m.now-m.left <= delta {
		m.closeOne(&m.dog.stored)
	}
	if h := m.holder; h != nil {
		m.during(m.upTo(delta), h.terminate)
	}
	m.during(2*delta+m.upTo(m.Profile.RollInterval), func() {
		if !m.downs {
			return // the kernel hangs: it kills nobody
		}
		m.downs = false
		if h := m.holder; h != nil && h.pausedUntil <= m.now && !h.stalled {
			m.stopHolder()
		}
		if f.Kind == Shutdown {
			m.stop()
			m.back(f.For)
		}
	})
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

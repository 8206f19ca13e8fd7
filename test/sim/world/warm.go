package world

import (
	"time"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/agent/seam"
	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/controller/topology"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// warm makes the cluster as it is after a while: a Roll, everybody registered,
// armed and published. Agents and holders go on where earlier ones have left.
func (w *World) warm() {
	var nodes []topology.Node
	for _, m := range w.machines[:w.Nodes] {
		m.begin(w.now - time.Minute - w.upTo(time.Hour))
		n := m.newNode()
		n.Boot, n.Ready, n.Heartbeat = m.boot, true, m.boot
		w.setNode(m.i, n)
		nodes = append(nodes, topology.Node{Name: n.Name, UID: n.UID, Domain: n.Domain, APIHost: n.ControlPlane})
	}
	arms := w.Nodes > 2 || w.Policy.AcceptTwoNodes
	first := roll.Roll{History: w.newHistory(), Serial: 10 + int64(w.IntN(10)), PollEvery: pollEvery(w.Nodes)}
	if witnesses := topology.Witnesses(nodes, nil, nil); arms {
		first.Epochs = []roll.Epoch{{Number: 1, Witnesses: witnesses}}
	}
	w.store.setRoll(plan.Roll{Roll: first})
	peers := make([]plan.Peer, 0, w.Nodes)
	for _, m := range w.machines[:w.Nodes] {
		peers = append(peers, plan.Peer{Node: m.name, Fingerprint: m.key})
	}
	for i, m := range w.machines[:w.Nodes] {
		others := append(append(make([]plan.Peer, 0, w.Nodes), peers[:i]...), peers[i+1:]...)
		spec := plan.GuardSpec{
			NodeUID: w.store.nodes[i].value.UID, Neighbours: others, Callers: others, Profile: w.Profile,
			ProbeEvery: 2 * w.Profile.RollInterval, Watchdog: w.Policy.Watchdog,
		}
		if !arms {
			spec.Unarmed = "TooFewNodes"
		}
		for _, name := range first.Witnesses() {
			spec.Witnesses = append(spec.Witnesses, peers[nodeIndex(name)])
		}
		m.warm(spec, first, arms && !m.Forbidden)
	}
}

// pollEvery is the pace of the Roll's readers in so small a cluster.
func pollEvery(nodes int) time.Duration {
	size := 1
	for size < nodes {
		size *= 2
	}
	return time.Duration(size) * 5 * time.Millisecond
}

// warm starts what runs on the machine.
func (m *machine) warm(spec plan.GuardSpec, r roll.Roll, armed bool) {
	p := m.promise()
	if !armed {
		p = timing.Promise{}
	}
	status := plan.GuardStatus{
		Writes: 1, Boot: m.boot, MachineID: "machine-" + m.name, SystemUUID: "uuid-" + m.name, Fingerprint: m.key,
		Promise: p, Verified: true, History: r.History,
	}
	if len(r.Epochs) > 0 && r.Epochs[0].Has(m.name) {
		status.Serial = r.Serial
	}
	m.newPod()
	m.kubelet = &kubelet{m: m, stored: true, volumes: true}
	m.kubelet.live()
	m.setGuard(m.i, plan.Guard{Name: m.name, Spec: spec, Status: status})
	m.run.guidance = &m.store.guards[m.i].value.Spec
	m.run.memory = decide.Memory{Roll: &r, Promise: p}
	record := seam.Record{State: seam.Idle}
	if armed {
		until := m.clock.read(m.now).Add(p.RollLife - m.upTo(m.Profile.RollInterval))
		record = seam.Record{State: seam.Armed, Timeout: p.Timeout, PetUntil: until}
		m.dog = dog{stored: m.Ungated == 0, running: true, timeout: p.Timeout, pinged: m.now - m.upTo(p.Timeout/4)}
		m.watch()
	}
	m.run.marker = &record
	m.startHolder(m.dog.stored)
	m.after(m.upTo(m.Profile.RollInterval), m.startAgent)
}

// promise is what an armed agent promises with this gear.
func (m *machine) promise() timing.Promise {
	p := m.Profile
	t := (p.RealTimeout * 1000 / time.Duration(m.Kappa)).Truncate(100 * time.Millisecond)
	if m.Round > 0 {
		t = (t + m.Round - 1).Truncate(m.Round)
	}
	return timing.Promise{
		Armed: true, RollLife: p.RollLife, PetDelay: p.PetDelay, Timeout: max(t, 100*time.Millisecond), Kappa: m.Kappa, Ungated: m.Ungated,
	}
}

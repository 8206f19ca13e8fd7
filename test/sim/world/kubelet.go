package world

import (
	"strconv"

	"github.com/picket-dev/picket/controller/plan"
)

// A kubelet registers the node, refuses or runs its old pods, and tells that it
// is alive.
type kubelet struct {
	m       *machine
	stored  bool // a Node status of this boot
	volumes bool // it runs pods of before the boot
	beats   int64
	beatFn  func()
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
	if k.beatFn == nil {
		k.beatFn = k.beat
	}
	k.m.after(k.m.Profile.RollInterval+k.m.upTo(k.m.Profile.RollInterval), k.beatFn)
}

func (k *kubelet) beat() {
	m := k.m
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
	k.evict(o)
	m.store.leases[m.i]++
	if k.beats%8 == 0 || !o.Ready || o.Boot != m.boot {
		n := *o
		n.Boot, n.Ready, n.Heartbeat = m.boot, true, m.boot+"."+strconv.FormatInt(k.beats, 10)
		m.setNode(m.i, n)
	}
}

// evict is what a NoExecute quarantine does to the pods of a boot that can end
// them in order.
func (k *kubelet) evict(n *plan.Node) {
	if !k.volumes || !refuses(n) {
		return
	}
	k.volumes = false
	k.m.store.pods[k.m.i], k.m.store.mounts[k.m.i] = nil, false
}

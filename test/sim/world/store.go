package world

import (
	"strconv"
	"time"

	"github.com/picket-dev/picket/controller/plan"
)

// A store is the API server's: linearizable, with a precondition on every
// write. What lies in it is never changed in place, so a pointer is a snapshot.
type store struct {
	rev    int64
	roll   *plan.Roll // nil: there is none
	past   []*plan.Roll
	nodes  []object[plan.Node]
	guards []object[plan.Guard]
	fences []object[plan.Fence] // in the order of their creation
	leases []int64              // renewals of each node's
	pods   [][]plan.Pod
	mounts []bool // a VolumeAttachment is there
}

// An object with its resourceVersion; a nil value is gone.
type object[T any] struct {
	version int64
	value   *T
}

func (s *store) next() (int64, string) {
	s.rev++
	return s.rev, strconv.FormatInt(s.rev, 10)
}

func (s *store) setRoll(r plan.Roll) {
	_, r.Version = s.next()
	r.Sent.Raw, r.Sent.Boot = 0, 0
	s.roll = &r
	if !r.Deleting && len(s.past) < 64 {
		s.past = append(s.past, s.roll)
	}
}

// The kinds of objects that controllers watch.
type kind uint8

const (
	nodeKind kind = iota
	guardKind
	fenceKind
)

func (w *World) setNode(i int, n plan.Node) {
	o := &w.store.nodes[i]
	o.version, n.Version = w.store.next()
	o.value = &n
	w.announce(nodeKind, i)
}

func (w *World) dropNode(i int) {
	o := &w.store.nodes[i]
	o.version, _ = w.store.next()
	o.value = nil
	w.announce(nodeKind, i)
}

func (w *World) setGuard(i int, g plan.Guard) {
	o := &w.store.guards[i]
	o.version, g.Version = w.store.next()
	o.value = &g
	w.announce(guardKind, i)
}

func (w *World) dropGuard(i int) {
	o := &w.store.guards[i]
	o.version, _ = w.store.next()
	o.value = nil
	w.announce(guardKind, i)
}

func (w *World) setFence(i int, f plan.Fence) {
	o := &w.store.fences[i]
	o.version, f.Version = w.store.next()
	o.value = &f
	w.announce(fenceKind, i)
}

func (w *World) dropFence(i int) {
	o := &w.store.fences[i]
	o.version, _ = w.store.next()
	o.value = nil
	w.announce(fenceKind, i)
}

// newFence makes a NodeFence of node i.
func (w *World) newFence(i int, reason plan.Reason) int {
	k := len(w.store.fences)
	w.store.fences = append(w.store.fences, object[plan.Fence]{})
	w.setFence(k, plan.Fence{
		Name: "f" + strconv.Itoa(k), UID: "fence-" + strconv.Itoa(k), Node: w.machines[i].name, Reason: reason,
	})
	return k
}

// fenceIndex and nodeIndex take the number out of a name.
func fenceIndex(name string) int { return number(name[1:]) }
func nodeIndex(name string) int  { return number(name[1:]) - 1 }

func number(text string) int {
	n := 0
	for i := 0; i < len(text); i++ {
		n = 10*n + int(text[i]-'0')
	}
	return n
}

// detach is the attach-detach controller's: volumes of a node with the
// out-of-service taint go once its pods are gone; those of others after some
// minutes, which are over at the end.
func (w *World) detach(i int) {
	n := w.store.nodes[i].value
	if w.store.mounts[i] && len(w.store.pods[i]) == 0 && (n == nil || tainted(n) || w.healed) {
		w.after(w.upTo(w.Profile.RollInterval), func() { w.store.mounts[i] = false })
	}
}

func tainted(n *plan.Node) bool {
	for _, t := range n.Taints {
		if t.Key == plan.OutOfServiceKey {
			return true
		}
	}
	return false
}

// refuses reports whether a kubelet that reads this Node refuses its old pods.
func refuses(n *plan.Node) bool {
	for _, t := range n.Taints {
		if t.Effect == "NoExecute" {
			return true
		}
	}
	return false
}

// deadline bounds a call of the API.
func (w *World) deadline() time.Duration { return w.Patience }

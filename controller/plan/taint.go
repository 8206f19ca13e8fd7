package plan

import (
	"slices"

	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// QuarantineKey is the key of our quarantine taints; their value is the boot.
const QuarantineKey = "picket.dev/fenced"

// OutOfServiceKey is the key of the taint that lets Kubernetes move volumes.
const OutOfServiceKey = "node.kubernetes.io/out-of-service"

//nolint:gochecknoglobals // a constant, but for its type
var outOfService = Taint{Key: OutOfServiceKey, Value: "nodeshutdown", Effect: "NoExecute"}

// quarantined reports whether the node carries the fence's quarantine with
// this effect, and our mark that it is ours.
func (n *Node) quarantined(st *FenceStatus, effect string) bool {
	return n.Fence == st.Fence && slices.Contains(n.Taints, Taint{QuarantineKey, st.Boot, effect})
}

// mark returns the write that leaves the node with foreign taints as they are
// and our quarantine with these effects. An out-of-service taint of ours is
// not kept.
func (n *Node) mark(st *FenceStatus, r Rule, effects ...string) PutTaints {
	a := PutTaints{Node: n.Name, Version: n.Version, Rule: r, Taints: n.foreign()}
	if len(effects) > 0 {
		a.Fence = st.Fence
	}
	for _, e := range effects {
		a.Taints = append(a.Taints, Taint{QuarantineKey, st.Boot, e})
	}
	return a
}

// foreign returns the taints that are not ours. An out-of-service taint
// without our annotation is somebody else's (C11).
func (n *Node) foreign() []Taint {
	return slices.DeleteFunc(slices.Clone(n.Taints), func(t Taint) bool {
		return t.Key == QuarantineKey || t.Key == OutOfServiceKey && n.OutOfService != ""
	})
}

// quarantine applies C4, and C11 where somebody took our quarantine away.
func (p *step) quarantine(f *Fence, t *trial, effects ...string) {
	n, ok := p.w.Nodes[f.Status.Node]
	if !ok {
		return
	}
	st := &f.Status
	if slices.ContainsFunc(effects, func(e string) bool { return !n.quarantined(st, e) }) {
		if t.marked {
			p.event(st.Node, true, C11, "QuarantineRestored", "somebody removed the quarantine of fence %s: restoring it", f.Name)
			p.hush(st.Node, "QuarantineRestored")
			t.marked = false
		}
		a := n.mark(st, C4, effects...)
		a.OutOfService = n.OutOfService
		if n.OutOfService != "" && slices.Contains(n.Taints, outOfService) {
			a.Taints = append(a.Taints, outOfService)
		}
		p.do(a)
		return
	}
	if !t.marked {
		t.marked = true
		p.event(st.Node, true, C4, "Quarantined", "withheld: no new pods here until boot %s is dealt with", st.Boot)
	}
	p.warnForeign(n)
}

// silencePods applies C4 to the endpoints, once in each trial.
func (p *step) silencePods(f *Fence, t *trial) {
	if !t.silenced {
		t.silenced = true
		p.do(SilencePods{Node: f.Status.Node, Fence: f.Status.Fence, KeepReady: p.w.Policy.KeepReady})
	}
}

// warnForeign applies C11 to an out-of-service taint that is not ours.
func (p *step) warnForeign(n Node) {
	if n.OutOfService == "" && slices.ContainsFunc(n.Taints, func(t Taint) bool { return t.Key == OutOfServiceKey }) {
		p.event(n.Name, true, C11, "ForeignTaint",
			"somebody else tainted this node %s: Picket has proven nothing and will not remove it", OutOfServiceKey)
	}
}

// unmarked removes our taints and reports whether a consistent read, sent after
// the retreat was decided, shows none of them.
func (p *step) unmarked(f *Fence, t *trial) bool {
	saw := p.look(f, t)
	switch {
	case saw == nil:
		return false
	case saw.Node == nil || saw.Node.Fence == "" && saw.Node.OutOfService == "":
		return true
	case f.Status.Phase == Withheld && saw.Node.OutOfService == f.Status.Fence:
		p.tainted(f)
		return false
	}
	p.do(saw.Node.mark(&f.Status, C8))
	t.after = p.now
	return false
}

// orphans cleans up what no NodeFence accounts for any more: somebody removed
// one together with its finalizer, or a stale leader wrote last.
func (p *step) orphans() {
	for _, e := range p.w.Roll.Entries {
		n, exists := p.w.Nodes[e.Node]
		switch {
		case p.accounted(e.Fence):
		case e.State == roll.Suspected, !exists, n.Boot != "" && n.Boot != e.Boot:
			p.dropEntry(e.Fence)
		case p.open[e.Node] == nil:
			p.makeFence(e.Node, C11, Requested, "the NodeFence of fence "+e.Fence+" was deleted")
		}
	}
	for _, name := range p.names {
		n := p.w.Nodes[name]
		p.warnForeign(n)
		if n.Fence == "" || p.accounted(n.Fence) || p.entry(n.Fence) != roll.Unlisted {
			delete(p.stray, n.Name)
			continue
		}
		// Not at once: the fence may only not be visible yet.
		since, ok := p.stray[n.Name]
		if !ok {
			p.stray[n.Name] = p.now
		} else if since.Elapsed(p.now) > 2*idle {
			p.do(n.mark(&FenceStatus{}, C11))
		}
	}
}

// strays maps a node to when marks without a fence were first seen on it.
type strays map[string]timing.Instant

package plan

import (
	"cmp"
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

// marked reports whether the node carries anything of ours.
func (n *Node) marked() bool {
	return n.Fence != "" || n.OutOfService != "" ||
		slices.ContainsFunc(n.Taints, func(t Taint) bool { return t.Key == QuarantineKey })
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
	p.warnForeign(&n)
}

// silencePods applies C4 to the endpoints, once in each trial.
func (p *step) silencePods(f *Fence, t *trial) {
	if !t.silenced {
		t.silenced = true
		p.do(SilencePods{Node: f.Status.Node, Fence: f.Status.Fence, KeepReady: p.w.Policy.KeepReady})
	}
}

// warnForeign applies C11 to out-of-service taints that somebody else added or
// removed.
func (p *step) warnForeign(n *Node) {
	tainted := slices.ContainsFunc(n.Taints, func(t Taint) bool { return t.Key == OutOfServiceKey })
	switch {
	case tainted && n.OutOfService == "":
		p.event(n.Name, true, C11, "ForeignTaint",
			"somebody else tainted this node %s: Picket has proven nothing and will not remove it", OutOfServiceKey)
	case !tainted && n.OutOfService != "":
		p.event(n.Name, true, C11, "TaintRemoved",
			"somebody removed %s before the volumes were detached: Picket will not add it again", OutOfServiceKey)
	}
}

// unmarked removes our taints and reports whether a consistent read, sent after
// the retreat was decided, shows none of them.
func (p *step) unmarked(f *Fence, t *trial) bool {
	saw := p.look(f, t)
	switch {
	case saw == nil:
		return false
	case saw.Node == nil || !saw.Node.marked():
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
// one together with its finalizer, or a write arrived late. Not at once: the
// fence may only not be visible yet.
func (p *step) orphans() {
	for _, e := range p.w.Roll.Entries {
		if p.accounted(e.Fence) || !p.strayed(e.Fence) {
			continue
		}
		if _, exists := p.w.Nodes[e.Node]; e.State == roll.Suspected || !exists {
			p.dropEntry(e.Fence)
		} else if p.open[e.Node] == nil {
			p.makeFence(e.Node, C11, Orphaned, "the NodeFence of fence "+e.Fence+" was lost")
		}
	}
	for i := range p.members {
		n := &p.members[i].Node
		p.warnForeign(n)
		if n.marked() && !p.owned(n) && p.strayed("node/"+n.Name) {
			p.do(n.mark(&FenceStatus{}, C11))
		}
	}
	p.stray, p.strayNow = p.strayNow, p.stray
}

// owned reports whether some fence still answers for the marks on the node.
func (p *step) owned(n *Node) bool {
	fence := cmp.Or(n.Fence, n.OutOfService)
	if fence == "" { // somebody removed the annotation: its fence will restore it
		return p.open[n.Name] != nil
	}
	return p.accounted(fence) || p.entry(fence) != roll.Unlisted
}

// strays maps what belongs to no fence to when that was first seen.
type strays map[string]timing.Instant

// strayed notes what belongs to no fence, and reports whether it has been so for
// long enough.
func (p *step) strayed(what string) bool {
	since, known := p.stray[what]
	if !known {
		since = p.now
	}
	p.strayNow[what] = since
	return since.Elapsed(p.now) > 2*idle
}

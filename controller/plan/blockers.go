package plan

import (
	"fmt"

	"github.com/picket-dev/picket/proto/roll"
)

// blockers applies C9: it says why a fence may not begin, or nothing.
func (p *step) blockers(f *Fence) []string {
	var why []string
	add := func(ok bool, format string, args ...any) {
		if !ok {
			why = append(why, fmt.Sprintf(format, args...))
		}
	}
	n, known := p.w.Nodes[f.Status.Node]
	g := p.w.Guards[f.Status.Node]
	proven := f.Proof != "" && f.Proof == f.Status.Boot
	add(p.paused() == "", "%s", p.paused())
	add(!p.w.Policy.Observe, "Observe: the policy's mode is Observe")
	add(p.w.Policy.Paused == "", "Paused: %s", p.w.Policy.Paused)
	add(!known || !n.Excluded, "Excluded: the node carries an exclude label")
	add(p.open[f.Status.Node] == f, "Duplicate: another fence of this node is open")
	add(f.Proof == "" || proven, "WrongBoot: spec.proof is about boot %s, the fence is about %s", f.Proof, f.Status.Boot)
	if !proven {
		armed := g.Status.Promise.Armed && g.Status.Boot == f.Status.Boot
		add(armed, "NotArmed: without an armed watchdog only a proof can fence this node (spec.proof)")
		add(!p.w.Policy.RequireVerified || g.Status.Verified, "Unverified: the policy asks for a watchdog that passed its self-test")
		add(len(p.w.Roll.Epochs) > 0, "NoWitnesses: no epoch of witnesses exists yet")
	}
	if s := p.storm(f); s != "" {
		why = append(why, s)
	}
	return why
}

// storm applies the storm guard: it says why one more node may not be withheld
// now, or nothing.
func (p *step) storm(f *Fence) string {
	limit := max(1, len(p.w.Nodes)*p.w.Policy.MaxWithheld/100)
	withheld, deliberate, masters, away := 0, 0, 0, 0
	for _, n := range p.w.Nodes {
		if n.ControlPlane {
			masters++
		}
	}
	for i := range p.w.Fences {
		o := &p.w.Fences[i]
		if o.Name == f.Name || !p.takesAway(o) {
			continue
		}
		if o.Status.Phase != Detached {
			withheld++
		}
		if o.Reason != PeersLost {
			deliberate++
		}
		if p.w.Nodes[o.Status.Node].ControlPlane {
			away++
		}
	}
	switch {
	case withheld >= limit:
		return fmt.Sprintf("StormGuard: %d nodes are withheld, at most %d may be at once", withheld, limit)
	case f.Reason != PeersLost && deliberate > 0 && !p.lost[f.Status.Node].lost:
		return "StormGuard: another node that still answers is being rebooted"
	case p.w.Nodes[f.Status.Node].ControlPlane && (away > 0 || masters-away-1 < masters/2+1):
		return fmt.Sprintf("StormGuard: %d of %d control-plane nodes are away, one more would break etcd's majority", away, masters)
	}
	return ""
}

// takesAway reports whether the fence keeps its node from running now, by the
// present Roll or by the one that this step is about to write.
func (p *step) takesAway(f *Fence) bool {
	if f.Status.Phase.ended() || f.Status.Fence == "" {
		return false
	}
	for _, e := range p.next.Entries {
		if e.Fence == f.Status.Fence {
			return e.State == roll.Withheld
		}
	}
	return false
}

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
	g := p.w.Guards[f.Status.Node]
	proven := f.proven()
	add(p.paused() == "", "%s", p.paused())
	add(p.w.Policy.Paused == "", "Paused: %s", p.w.Policy.Paused)
	if first := p.open[f.Status.Node]; first != nil && first != f {
		add(false, "Duplicate: fence %s of this node is open; if you have a proof, put it there", first.Name)
	}
	add(f.Proof == "" || proven, "WrongBoot: spec.proof is about boot %s, the fence is about %s", f.Proof, f.Status.Boot)
	if !proven {
		armed := g.Status.Promise.Armed && g.Status.Boot == f.Status.Boot
		add(armed, "NotArmed: without an armed watchdog only a proof can fence this node (spec.proof)")
		add(!armed || g.Status.History == p.w.Roll.History,
			"OtherHistory: the node has not published under the present history of the Roll: only a proof can fence it (spec.proof)")
		add(!p.w.Policy.RequireVerified || g.Status.Verified, "Unverified: the policy asks for a watchdog that passed its self-test")
		add(len(p.w.Roll.Epochs) > 0, "NoWitnesses: no epoch of witnesses exists yet")
	}
	return append(why, p.forbids(f)...)
}

// forbids says what keeps any boot of the node from being withheld now, however
// well its fence is founded. It is asked when a fence begins, and again before
// a suspicion becomes a withholding.
func (p *step) forbids(f *Fence) []string {
	var why []string
	if p.w.Policy.Observe {
		why = append(why, "Observe: the policy's mode is Observe")
	}
	if p.w.Nodes[f.Status.Node].Excluded {
		why = append(why, "Excluded: the node carries an exclude label")
	}
	if twin := p.twin(f.Status.Node, f.Status.Boot); twin != "" {
		why = append(why, fmt.Sprintf("SharedBoot: boot %s is also node %s's, which would be reset, too: %s", f.Status.Boot, twin, oneBoot))
	}
	if s := p.storm(f); s != "" {
		why = append(why, s)
	}
	return why
}

// oneBoot says what a person can do about a boot that two nodes name.
const oneBoot = "reboot the one that is a clone or that lies, or delete its Node"

// storm applies the storm guard to the Roll that this step is about to write:
// it says why one more node may not be withheld now, or nothing.
func (p *step) storm(f *Fence) string {
	limit := max(1, len(p.w.Nodes)*p.w.Policy.MaxWithheld/100)
	withheld, deliberate, masters, away := 0, 0, 0, 0
	for _, n := range p.w.Nodes {
		if n.ControlPlane {
			masters++
		}
	}
	for _, e := range p.next.Entries {
		if e.State != roll.Withheld || e.Fence == f.Status.Fence {
			continue
		}
		o := p.byID[e.Fence] // nil: its NodeFence is lost, and it withholds all the same
		if o == nil || o.Status.Phase != Detached {
			withheld++
		}
		if o != nil && o.Reason != PeersLost {
			deliberate++
		}
		if p.w.Nodes[e.Node].ControlPlane {
			away++
		}
	}
	switch {
	case withheld >= limit:
		return fmt.Sprintf("StormGuard: %d nodes are withheld, at most %d may be at once", withheld, limit)
	case f.Reason != PeersLost && deliberate > 0 && !p.lost(f.Status.Node):
		return "StormGuard: another node that still answers is being rebooted"
	case p.w.Nodes[f.Status.Node].ControlPlane && (away > 0 || masters-away-1 < masters/2+1):
		return fmt.Sprintf("StormGuard: %d of %d control-plane nodes are away, one more would break etcd's majority", away, masters)
	}
	return ""
}

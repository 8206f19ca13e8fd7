package plan

import (
	"fmt"
	"slices"

	"github.com/picket-dev/picket/proto/roll"
)

// A verdict is what a node's watchers say of it, as far as they count.
type verdict struct {
	lost   bool
	accuse []string // those that report it lost, sorted
	heard  int      // how many do not
}

// judge applies C1's arithmetic to every node, and finds each node's open
// fence.
func (p *step) judge() {
	for i := range p.members {
		m := &p.members[i]
		if m.guard.Status.PeersLost || !m.answers() {
			continue
		}
		for _, name := range m.guard.Status.Lost {
			if accused := p.member(name); accused != nil {
				accused.accusers = append(accused.accusers, m.Name)
			}
		}
	}
	for i := range p.members {
		if m := &p.members[i]; len(m.accusers) > 0 {
			m.verdict = p.weigh(i)
		}
	}
	for i := range p.w.Fences {
		f := &p.w.Fences[i]
		node := f.Node
		if f.Status.Node != "" {
			node = f.Status.Node
		}
		if first := p.byID[f.Status.Fence]; first == nil || first.Status.Phase.ended() {
			p.byID[f.Status.Fence] = f
		}
		if _, taken := p.open[node]; !taken && !f.Status.Phase.ended() {
			p.open[node] = f
		}
	}
}

// lost reports whether the node is taken for lost.
func (p *step) lost(node string) bool {
	m := p.member(node)
	return m != nil && m.verdict.lost
}

// weigh counts the watchers of a node that are neither suspected, withheld nor
// themselves reported lost by two others: a majority of them decides, but at
// least two, or all where there are fewer.
func (p *step) weigh(node int) verdict {
	var v verdict
	m := &p.members[node]
	for _, i := range p.watchers[node] {
		w := &p.members[i]
		if p.listed(w.Name) || w.doubted(m.Name) || w.guard.Status.PeersLost || !w.answers() {
			continue
		}
		if slices.Contains(m.accusers, w.Name) {
			v.accuse = append(v.accuse, w.Name)
		} else {
			v.heard++
		}
	}
	all := len(v.accuse) + v.heard
	v.lost = len(v.accuse) > all/2 && len(v.accuse) >= min(2, all)
	return v
}

// doubted reports whether two others than that node report the member lost.
func (m *member) doubted(node string) bool {
	others := 0
	for _, a := range m.accusers {
		if a != node {
			others++
		}
	}
	return others >= 2
}

// acquitted says why a node is not taken for lost any more. Watchers that have
// no say (they abstain, or are in doubt themselves) have not heard it.
func (p *step) acquitted(node string) string {
	var v verdict
	watchers := 0
	if i, ok := p.place[node]; ok {
		v, watchers = p.weigh(i), len(p.watchers[i])
	}
	if 2*v.heard > watchers {
		return "its neighbours hear it again"
	}
	return fmt.Sprintf("too few of its neighbours can tell: %d report it lost, %d do not, %d have no say",
		len(v.accuse), v.heard, watchers-len(v.accuse)-v.heard)
}

// listed reports whether the Roll holds something against the node.
func (p *step) listed(node string) bool {
	return slices.ContainsFunc(p.w.Roll.Entries, func(e roll.Entry) bool { return e.Node == node })
}

// suspect applies C1 and C2: it opens fences, and says of nodes that are lost
// why they are not fenced (C9).
func (p *step) suspect() {
	for i := range p.members {
		m := &p.members[i]
		if !m.guarded || p.open[m.Name] != nil {
			continue
		}
		armed := m.guard.Status.Promise.Armed && m.answers()
		silent := p.w.Policy.NotReadyAfter > 0 && m.NotReadyFor >= p.w.Policy.NotReadyAfter
		switch v := &m.verdict; {
		case v.lost && armed:
			p.makeFence(m.Name, C1, PeersLost, fmt.Sprintf("reported lost by %v", v.accuse))
		case silent && armed:
			p.makeFence(m.Name, C2, KubeletSilent, fmt.Sprintf("kubelet NotReady for %v", m.NotReadyFor))
		case m.twin != "":
			p.event(m.Name, true, C9, "NotFenced",
				"node %s names the same boot ID: neither of the two is armed or can be fenced, even if it dies; %s", m.twin, oneBoot)
		case v.lost && m.guard.Spec.Unarmed != "Uninstall": // an agent that has left is silent
			p.event(m.Name, true, C9, "NotFenced",
				"reported lost by %v, but it is not armed: to fence it, make a NodeFence with spec.proof once you know that it is off", v.accuse)
		default:
			p.hush(m.Name, "NotFenced", string(PeersLost), string(KubeletSilent))
		}
	}
}

func (p *step) makeFence(node string, rule Rule, reason Reason, why string) {
	if at, ok := p.making[node]; ok && at.Age(p.now) < 2*idle {
		return // its object may not be visible yet
	}
	p.making[node] = p.now
	p.event(node, true, rule, string(reason), "%s: opening a fence", why)
	p.do(MakeFence{Node: node, Reason: reason})
}

// alert applies C12: when many agents lose their peers at once, the network
// between agents is broken, not the nodes.
func (p *step) alert() {
	var lonely []string
	for i := range p.members {
		if m := &p.members[i]; m.lonely() {
			lonely = append(lonely, m.Name)
		}
	}
	if len(lonely) < 2 || 2*len(lonely) < len(p.w.Guards) {
		p.hush("", "PeerPathBroken")
		return
	}
	p.event("", true, C12, "PeerPathBroken",
		"%d of %d agents reach no quorum of witnesses (%v): is the agents' port open between nodes?",
		len(lonely), len(p.w.Guards), lonely[:min(len(lonely), 10)])
}

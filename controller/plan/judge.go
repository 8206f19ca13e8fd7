package plan

import (
	"fmt"
	"slices"

	"github.com/picket-dev/picket/proto/roll"
)

// A verdict is what a node's watchers say of it.
type verdict struct {
	lost   bool
	accuse []string // watchers that report it lost, sorted
	heard  []string // watchers that count and do not
}

// judge applies C1's arithmetic to every node, and finds each node's open
// fence.
func (p *step) judge() {
	p.accuse = make(map[string][]string)
	for _, g := range p.w.Guards {
		if g.Status.PeersLost || !p.answers(g) {
			continue
		}
		for _, n := range g.Status.Lost {
			p.accuse[n] = append(p.accuse[n], g.Name)
		}
	}
	watchers := p.watchers()
	p.lost = make(map[string]verdict, len(p.accuse))
	for n, names := range p.accuse {
		slices.Sort(names)
		p.lost[n] = p.weigh(n, watchers[n])
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

// answers reports whether the guard speaks for the node's present boot.
func (p *step) answers(g Guard) bool {
	n, ok := p.w.Nodes[g.Name]
	return ok && g.Status.Boot != "" && g.Status.Boot == n.Boot
}

// weigh counts the watchers of a node that are neither suspected, withheld nor
// themselves reported lost by two others: a majority of them decides, but at
// least two, or all where there are fewer.
func (p *step) weigh(node string, watchers []string) verdict {
	var v verdict
	for _, w := range watchers {
		others := slices.DeleteFunc(slices.Clone(p.accuse[w]), func(a string) bool { return a == node })
		g, ok := p.w.Guards[w]
		if !ok || p.listed(w) || len(others) >= 2 || g.Status.PeersLost || !p.answers(g) {
			continue
		}
		if slices.Contains(p.accuse[node], w) {
			v.accuse = append(v.accuse, w)
		} else {
			v.heard = append(v.heard, w)
		}
	}
	all := len(v.accuse) + len(v.heard)
	v.lost = len(v.accuse) > all/2 && len(v.accuse) >= min(2, all)
	return v
}

// acquitted says why a node is not taken for lost any more. Watchers that have
// no say (they abstain, or are in doubt themselves) have not heard it.
func (p *step) acquitted(node string) string {
	watchers := p.watchers()[node]
	v := p.weigh(node, watchers)
	if 2*len(v.heard) > len(watchers) {
		return "its neighbours hear it again"
	}
	return fmt.Sprintf("too few of its neighbours can tell: %d report it lost, %d do not, %d have no say",
		len(v.accuse), len(v.heard), len(watchers)-len(v.accuse)-len(v.heard))
}

// listed reports whether the Roll holds something against the node.
func (p *step) listed(node string) bool {
	return slices.ContainsFunc(p.w.Roll.Entries, func(e roll.Entry) bool { return e.Node == node })
}

// suspect applies C1 and C2: it opens fences, and says of nodes that are lost
// why they are not fenced (C9).
func (p *step) suspect() {
	for _, name := range p.names {
		n := p.w.Nodes[name]
		g, ok := p.w.Guards[name]
		if p.open[name] != nil || !ok {
			continue
		}
		armed := g.Status.Promise.Armed && p.answers(g)
		silent := p.w.Policy.NotReadyAfter > 0 && n.NotReadyFor >= p.w.Policy.NotReadyAfter
		switch v := p.lost[name]; {
		case v.lost && armed:
			p.makeFence(name, C1, PeersLost, fmt.Sprintf("reported lost by %v", v.accuse))
		case v.lost:
			p.event(name, true, C9, "NotFenced",
				"reported lost by %v, but it is not armed: to fence it, make a NodeFence with spec.proof once you know that it is off", v.accuse)
		case silent && armed:
			p.makeFence(name, C2, KubeletSilent, fmt.Sprintf("kubelet NotReady for %v", n.NotReadyFor))
		default:
			p.hush(name, "NotFenced")
			p.hush(name, string(PeersLost))
			p.hush(name, string(KubeletSilent))
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
	for _, g := range p.w.Guards {
		if g.Status.PeersLost && p.answers(g) {
			lonely = append(lonely, g.Name)
		}
	}
	if len(lonely) < 2 || 2*len(lonely) < len(p.w.Guards) {
		p.hush("", "PeerPathBroken")
		return
	}
	slices.Sort(lonely)
	p.event("", true, C12, "PeerPathBroken",
		"%d of %d agents reach no quorum of witnesses (%v): is the agents' port open between nodes?",
		len(lonely), len(p.w.Guards), lonely[:min(len(lonely), 10)])
}

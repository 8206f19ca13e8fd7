package plan

import (
	"math/bits"
	"slices"
	"time"

	"github.com/picket-dev/picket/controller/topology"
)

const (
	// pollShare is each agent's share of the API reads: with one read in so
	// much time per node, all agents together stay at 200 reads/s.
	pollShare = 5 * time.Millisecond
	// probeShare spreads the probes of all agents over each witness: 100/s.
	probeShare = 10 * time.Millisecond
)

// rings caches the neighbours of the present nodes.
type rings struct {
	nodes      []topology.Node
	neighbours map[string][]string
	watchers   map[string][]string
}

// neighbours returns whom each node watches.
func (p *step) neighbours() map[string][]string {
	if p.rings.neighbours == nil || !slices.Equal(p.nodes, p.rings.nodes) {
		n := topology.Neighbours(p.nodes)
		p.rings = rings{nodes: p.nodes, neighbours: n, watchers: topology.Watchers(n)}
	}
	return p.rings.neighbours
}

// watchers returns who watches each node.
func (p *step) watchers() map[string][]string {
	p.neighbours()
	return p.rings.watchers
}

// guards writes what each agent must know, and the pace of all of them.
func (p *step) guards() {
	size := powerOfTwo(len(p.w.Nodes))
	p.next.PollEvery = time.Duration(size) * pollShare
	probeEvery := max(2*p.w.Policy.Profile.RollInterval, time.Duration(size)*probeShare)
	agents := p.agents()
	neighbours, callers, witnesses := p.neighbours(), p.watchers(), p.w.Roll.Witnesses()
	for _, name := range p.names {
		n := p.w.Nodes[name]
		g, known := p.w.Guards[name]
		want := g.Spec
		want.NodeUID = n.UID
		want.Profile = p.w.Policy.Profile
		want.ProbeEvery = probeEvery
		want.Watchdog = p.w.Policy.Watchdog
		want.Unarmed = p.unarmed(n)
		want.FencedBoot = ""
		if f := p.open[name]; f != nil && (f.Status.Phase == Fenced || f.Status.Phase == Detached) {
			want.FencedBoot = f.Status.Boot
		}
		if known && want.sameTerms(&g.Spec) && agents.are(neighbours[name], g.Spec.Neighbours) &&
			agents.are(callers[name], g.Spec.Callers) && agents.are(witnesses, g.Spec.Witnesses) {
			continue
		}
		want.Neighbours = agents.of(neighbours[name])
		want.Callers = agents.of(callers[name])
		want.Witnesses = agents.of(witnesses)
		p.do(PutGuard{Node: name, Version: g.Version, Spec: want})
	}
	var gone []string
	for name := range p.w.Guards {
		if _, ok := p.w.Nodes[name]; !ok && p.open[name] == nil {
			gone = append(gone, name)
		}
	}
	slices.Sort(gone)
	for _, name := range gone {
		p.do(DropGuard{Node: name, Version: p.w.Guards[name].Version})
	}
}

// sameTerms reports whether s and t are equal but for the lists of agents.
func (s *GuardSpec) sameTerms(t *GuardSpec) bool {
	return s.NodeUID == t.NodeUID && s.Profile == t.Profile && s.ProbeEvery == t.ProbeEvery &&
		s.Watchdog == t.Watchdog && s.Unarmed == t.Unarmed && s.FencedBoot == t.FencedBoot
}

// agents is what is known of each agent, by node.
type agents map[string]Peer

func (p *step) agents() agents {
	a := make(agents, len(p.w.Guards))
	for name, g := range p.w.Guards {
		if g.Status.Fingerprint != "" {
			a[name] = Peer{Node: name, Addresses: g.Status.Addresses, Fingerprint: g.Status.Fingerprint}
		}
	}
	return a
}

// of returns those of the names that are known.
func (a agents) of(names []string) []Peer {
	var peers []Peer
	for _, n := range names {
		if p, ok := a[n]; ok {
			peers = append(peers, p)
		}
	}
	return peers
}

// are reports whether of would return these peers. It is asked for each node in
// each step, and makes no lists.
func (a agents) are(names []string, peers []Peer) bool {
	for _, n := range names {
		p, ok := a[n]
		if !ok {
			continue
		}
		if len(peers) == 0 || p.Node != peers[0].Node || p.Fingerprint != peers[0].Fingerprint ||
			!slices.Equal(p.Addresses, peers[0].Addresses) {
			return false
		}
		peers = peers[1:]
	}
	return len(peers) == 0
}

// unarmed says why a node must stay unarmed, or nothing.
func (p *step) unarmed(n Node) string {
	switch {
	case p.w.Policy.Observe:
		return "Observe"
	case n.Excluded:
		return "Excluded"
	case len(p.w.Nodes) < 3 && !p.w.Policy.AcceptTwoNodes:
		return "TooFewNodes"
	}
	return ""
}

// powerOfTwo returns the smallest power of two that is at least n: paces then
// change rarely while a cluster grows.
func powerOfTwo(n int) int {
	if n < 2 {
		return 1
	}
	return 1 << bits.Len(uint(n-1))
}

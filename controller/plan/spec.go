package plan

import (
	"maps"
	"math/bits"
	"reflect"
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
	nodes := p.nodes()
	if p.rings.neighbours == nil || !slices.Equal(nodes, p.rings.nodes) {
		n := topology.Neighbours(nodes)
		p.rings = rings{nodes: nodes, neighbours: n, watchers: topology.Watchers(n)}
	}
	return p.rings.neighbours
}

// guards writes what each agent must know, and the pace of all of them.
func (p *step) guards() {
	p.next.PollEvery = time.Duration(powerOfTwo(len(p.w.Nodes))) * pollShare
	neighbours := p.neighbours()
	witnesses := p.peers(p.w.Roll.Witnesses())
	for _, name := range p.names {
		n := p.w.Nodes[name]
		want := GuardSpec{
			NodeUID:    n.UID,
			Neighbours: p.peers(neighbours[name]),
			Callers:    p.peers(p.rings.watchers[name]),
			Witnesses:  witnesses,
			Profile:    p.w.Policy.Profile,
			ProbeEvery: max(2*p.w.Policy.Profile.RollInterval, time.Duration(powerOfTwo(len(p.w.Nodes)))*probeShare),
			Unarmed:    p.unarmed(n),
		}
		if f := p.open[name]; f != nil && (f.Status.Phase == Fenced || f.Status.Phase == Detached) {
			want.FencedBoot = f.Status.Boot
		}
		if g, ok := p.w.Guards[name]; !ok || !reflect.DeepEqual(g.Spec, want) {
			p.do(PutGuard{Node: name, Version: g.Version, Spec: want})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.w.Guards)) {
		if _, ok := p.w.Nodes[name]; !ok && p.open[name] == nil {
			p.do(DropGuard{Node: name, Version: p.w.Guards[name].Version})
		}
	}
}

// peers returns what is known of the agents on these nodes.
func (p *step) peers(names []string) []Peer {
	var peers []Peer
	for _, n := range names {
		if g, ok := p.w.Guards[n]; ok && g.Status.Fingerprint != "" {
			peers = append(peers, Peer{Node: n, Addresses: g.Status.Addresses, Fingerprint: g.Status.Fingerprint})
		}
	}
	return peers
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

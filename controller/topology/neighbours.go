package topology

import "slices"

const (
	// rings is K, the number of neighbours that each node watches in a cluster
	// that is too large for a full mesh. K random rings make an expander: no
	// small group of nodes is watched only from within itself.
	rings = 8
	// domainRings of them run within the node's own failure domain, where the
	// network is best; the others leave it.
	domainRings = 2
	// meshMax is the largest cluster in which everybody watches everybody:
	// twice K and oneself.
	meshMax = 2*rings + 1
	// minDomains is the least number of domains for which rings leave the own
	// domain; with fewer, leaving it starves some nodes of watchers.
	minDomains = 7
	// maxShare is the largest domain, as one part in so many of all nodes,
	// whose nodes leave it: those of a larger one would leave each other
	// unwatched, and all watch the same few nodes outside.
	maxShare = 6
)

// Neighbours returns whom each node watches, by name and sorted. Up to 17 nodes
// all watch each other. In a larger cluster each watches exactly 8: its
// successors on 8 rings, on two of them within its own failure domain (while
// there is anybody left to watch in it), on six outside it. The graph is
// strongly connected whatever the domains are.
//
// A node that leaves costs about 8 new edges, one that joins about 16.
func Neighbours(nodes []Node) map[string][]string {
	members, sizes := enrol(nodes)
	if len(members) <= meshMax {
		return mesh(members)
	}
	g := newGraph(members, sizes)
	watched := make(map[string][]string, len(members))
	for i := range members {
		watched[members[i].Name] = g.neighbours(i)
	}
	return watched
}

// Watchers returns who watches each node, by name and sorted: the inverse of
// Neighbours.
func Watchers(neighbours map[string][]string) map[string][]string {
	watchers := make(map[string][]string, len(neighbours))
	for node, watched := range neighbours {
		if _, known := watchers[node]; !known {
			watchers[node] = nil
		}
		for _, w := range watched {
			watchers[w] = append(watchers[w], node)
		}
	}
	for _, w := range watchers {
		slices.Sort(w)
	}
	return watchers
}

// mesh lets everybody watch everybody else.
func mesh(members []member) map[string][]string {
	watched := make(map[string][]string, len(members))
	for i := range members {
		var others []string
		for j := range members {
			if i != j {
				others = append(others, members[j].Name)
			}
		}
		watched[members[i].Name] = others
	}
	return watched
}

// A graph holds the rings of one set of members.
type graph struct {
	members []member
	whole   [rings]ring         // all members
	parts   [domainRings][]ring // by domain
	leaves  []bool              // by domain: its nodes' other rings leave it
}

func newGraph(members []member, sizes []int) *graph {
	place(members)
	g := &graph{members: members, leaves: make([]bool, len(sizes))}
	for r := range g.whole {
		g.whole[r] = newRing(members, r)
	}
	for r := range g.parts {
		g.parts[r] = g.whole[r].split(members, len(sizes))
	}
	for d, size := range sizes {
		g.leaves[d] = len(sizes) >= minDomains && size*maxShare <= len(members)
	}
	return g
}

// neighbours returns the names of i's successors, one for each ring. Where a
// ring has nobody left that it should take, it takes the next one of all.
func (g *graph) neighbours(i int) []string {
	chosen := make([]int, 0, rings)
	fresh := func(j int) bool { return !slices.Contains(chosen, j) }
	domain := g.members[i].domain
	for r, whole := range g.whole {
		within, suits := whole, fresh
		switch {
		case r < domainRings:
			within = g.parts[r][domain]
		case g.leaves[domain]:
			suits = func(j int) bool { return g.members[j].domain != domain && fresh(j) }
		}
		j, found := within.successor(i, suits)
		if !found {
			j, found = whole.successor(i, fresh)
		}
		if found {
			chosen = append(chosen, j)
		}
	}
	names := make([]string, len(chosen))
	for k, j := range chosen {
		names[k] = g.members[j].Name
	}
	slices.Sort(names)
	return names
}

package plan

import (
	"maps"
	"slices"

	"github.com/picket-dev/picket/controller/topology"
)

// A member is a node of the cluster as this step sees it: with its NodeGuard,
// and with what others say of it.
type member struct {
	Node
	guard    Guard
	guarded  bool     // there is one
	accusers []string // agents that report it lost, sorted
	verdict  verdict
	twin     string // another node that names a boot which this one names; empty: none
}

// answers reports whether the guard speaks for the node's present boot.
func (m *member) answers() bool {
	return m.guard.Status.Boot != "" && m.guard.Status.Boot == m.Boot
}

// lonely reports whether the node's agent runs and reaches no quorum of
// witnesses.
func (m *member) lonely() bool { return m.guard.Status.PeersLost && m.answers() }

// peer is the node's agent as others must know it.
func (m *member) peer() Peer { return m.guard.peer(m.Place) }

// seat is the node as topology sees it.
func (n *Node) seat() topology.Node {
	return topology.Node{Name: n.Name, UID: n.UID, Domain: n.Domain, APIHost: n.ControlPlane}
}

// A roster is all members in the order of their names, and what depends only on
// which nodes there are. It is kept from step to step: most of them find the
// same nodes.
type roster struct {
	members    []member
	place      map[string]int // name → index
	seats      []topology.Node
	neighbours [][]int // by index: whom each watches, sorted
	watchers   [][]int // by index: who watches it, sorted

	claims  map[string]claim // boot → who names it
	renamed bool             // some node names another boot than when that was found out
}

// member returns the node of that name, or nil if there is none.
func (r *roster) member(name string) *member {
	if i, ok := r.place[name]; ok {
		return &r.members[i]
	}
	return nil
}

// call brings every member up to date.
func (r *roster) call(w *World) {
	if !r.answer(w) {
		r.enrol(w.Nodes)
		r.answer(w)
	}
	if r.renamed {
		r.compareBoots()
	}
}

// answer reports whether the members are the world's nodes, in the seats that
// they had. It takes what is known of them now.
func (r *roster) answer(w *World) bool {
	for i := range r.members {
		m := &r.members[i]
		n, ok := w.Nodes[m.Name]
		if !ok || n.seat() != r.seats[i] {
			return false
		}
		node, guard := m.Boot, m.guard.Status.Boot
		m.Node = n
		m.guard, m.guarded = w.Guards[m.Name]
		r.renamed = r.renamed || node != m.Boot || guard != m.guard.Status.Boot
		m.accusers, m.verdict = m.accusers[:0], verdict{}
	}
	return len(r.members) == len(w.Nodes)
}

// enrol makes the roster of these nodes.
func (r *roster) enrol(nodes map[string]Node) {
	*r = roster{
		members: make([]member, len(nodes)), place: make(map[string]int, len(nodes)), claims: make(map[string]claim, len(nodes)),
	}
	for i, name := range slices.Sorted(maps.Keys(nodes)) {
		n := nodes[name]
		r.members[i].Name = name
		r.place[name] = i
		r.seats = append(r.seats, n.seat())
	}
	watched := topology.Neighbours(r.seats)
	watchers := topology.Watchers(watched)
	for _, n := range r.seats {
		r.neighbours = append(r.neighbours, r.places(watched[n.Name]))
		r.watchers = append(r.watchers, r.places(watchers[n.Name]))
	}
}

func (r *roster) places(names []string) []int {
	places := make([]int, len(names))
	for k, name := range names {
		places[k] = r.place[name]
	}
	return places
}

// peers returns those of the members that are known.
func (r *roster) peers(places []int) []Peer {
	var peers []Peer
	for _, i := range places {
		if p := r.members[i].peer(); p.Fingerprint != "" {
			peers = append(peers, p)
		}
	}
	return peers
}

// arePeers reports whether peers would return these. It is asked for each node
// in each step, and makes no lists.
func (r *roster) arePeers(places []int, peers []Peer) bool {
	for _, i := range places {
		p := r.members[i].peer()
		if p.Fingerprint == "" {
			continue
		}
		if len(peers) == 0 || !samePeer(p, peers[0]) {
			return false
		}
		peers = peers[1:]
	}
	return len(peers) == 0
}

package peer

import (
	"maps"
	"slices"
)

// A Peer is another node's agent, as the controller hands it on in NodeGuard
// specs.
type Peer struct {
	Node        string
	Addresses   []string // host:port, the preferred one first
	Fingerprint string   // of the agent's key in its present boot, as Identity.Fingerprint
	Zone, Rack  string   // where the node stands, for people
}

// equal reports whether a kept connection to p serves for q.
func (p Peer) equal(q Peer) bool {
	return p.Node == q.Node && p.Fingerprint == q.Fingerprint && slices.Equal(p.Addresses, q.Addresses)
}

// Peers are the agents that this one has to do with. A node may be listed in
// more than one role.
type Peers struct {
	Neighbours []Peer // whom this agent watches; they may call it too
	Witnesses  []Peer // whose statements it asks for
	Callers    []Peer // who else may send it heartbeats
}

// dialled returns the peers that this agent calls, by node, without itself.
// Where the roles differ, what the controller says of a neighbour counts.
func (p Peers) dialled(self string) map[string]Peer {
	all := make(map[string]Peer, len(p.Neighbours)+len(p.Witnesses))
	for _, q := range slices.Concat(p.Witnesses, p.Neighbours) {
		if q.Node != self {
			all[q.Node] = q
		}
	}
	return all
}

// known returns the nodes whose heartbeats this agent answers.
func (p Peers) known() owners { return ownersOf(slices.Concat(p.Neighbours, p.Callers)) }

// pins returns the nodes that this agent calls.
func pins(peers map[string]Peer) owners { return ownersOf(slices.Collect(maps.Values(peers))) }

// owners are nodes by the fingerprint that they have published, in order. One key
// may have several: a node's token suffices to publish another node's fingerprint
// as one's own, and that must not take the key from the node that has it.
type owners map[string][]string

func ownersOf(peers []Peer) owners {
	o := make(owners, len(peers))
	for _, p := range peers {
		nodes := o[p.Fingerprint]
		if at, found := slices.BinarySearch(nodes, p.Node); p.Fingerprint != "" && !found {
			o[p.Fingerprint] = slices.Insert(nodes, at, p.Node)
		}
	}
	return o
}

// names reports whether the node is an owner of any key.
func (o owners) names(node string) bool {
	for _, nodes := range o {
		if slices.Contains(nodes, node) {
			return true
		}
	}
	return false
}

package peer

import "slices"

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

// known returns the nodes whose heartbeats this agent answers, by fingerprint.
func (p Peers) known() map[string]string {
	nodes := make(map[string]string, len(p.Neighbours)+len(p.Callers))
	for _, q := range slices.Concat(p.Neighbours, p.Callers) {
		if q.Fingerprint != "" {
			nodes[q.Fingerprint] = q.Node
		}
	}
	return nodes
}

// pins returns the nodes by fingerprint.
func pins(peers map[string]Peer) map[string]string {
	nodes := make(map[string]string, len(peers))
	for _, q := range peers {
		if q.Fingerprint != "" {
			nodes[q.Fingerprint] = q.Node
		}
	}
	return nodes
}

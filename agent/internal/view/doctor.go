package view

import peerv1 "github.com/picket-dev/picket/proto/peer/v1"

// A Fault is a link to a peer that is not as it should be.
type Fault struct {
	Peer *peerv1.PeerStatus
	// OneWay says that one of its directions works: a machine that is down has
	// none.
	OneWay bool
	// Why says in a sentence what is wrong with it.
	Why string
}

// Faults returns the links that are not well, in the agent's order.
func Faults(r *peerv1.StatusReply) []Fault {
	var all []Fault
	for _, p := range r.GetPeers() {
		l := linkOf(p, r.GetLostAfter().AsDuration())
		if why := l.why(p); why != "" {
			all = append(all, Fault{Peer: p, OneWay: l == onlyIn || l == onlyOut || l == notUs, Why: why})
		}
	}
	return all
}

// Reachable reports whether the newest question to the API server brought a roll.
func Reachable(e *peerv1.Endpoint) bool { return reachable(e) }

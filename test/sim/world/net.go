package world

import "time"

// A net is who reaches whom. Nodes are numbered from 0; api is the API server,
// as nodes reach it. Each way of a link may be cut more than once.
type net struct {
	cut      [][]int // from, to
	tardy    []int   // the API's answers to this node come late
	mute     []int   // the API refuses this node's writes
	deaf     []int   // heartbeats to this node are refused
	down     int     // the API is away, for everybody
	apart    int     // the API is away, for nodes
	refusing int     // who is away says so at once
	slow     int     // the API is slow
	lossy    int     // any message may get lost
	twice    int     // answers arrive again
}

func newNet(nodes int) net {
	n := net{cut: make([][]int, nodes+1), deaf: make([]int, nodes), tardy: make([]int, nodes), mute: make([]int, nodes)}
	all := make([]int, (nodes+1)*(nodes+1))
	for i := range n.cut {
		n.cut[i], all = all[:nodes+1], all[nodes+1:]
	}
	return n
}

// api is the number of the API server, as nodes know it.
func (w *World) api() int { return len(w.machines) }

// hop is how long a message needs one way.
func (w *World) hop() time.Duration { return w.Hop/16 + w.upTo(w.Hop) }

func (w *World) loses() bool { return w.net.lossy > 0 && w.chance(1, 4) }

// reaches reports whether a message of a node passes now.
func (w *World) reaches(from, to int) bool {
	api := w.api()
	if (from == api || to == api) && (w.net.down > 0 || w.net.apart > 0) {
		return false
	}
	return w.net.cut[from][to] == 0 && !w.loses()
}

// controls reports whether a message between a controller and the API passes.
func (w *World) controls() bool { return w.net.down == 0 && !w.loses() }

// apiHop is one way to or from the API server, which may be slow.
func (w *World) apiHop() time.Duration {
	if w.net.slow > 0 {
		return w.hop() + w.upTo(w.Patience)
	}
	return w.hop()
}

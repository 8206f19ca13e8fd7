package view

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/screen"
)

// A link is how both directions to a peer stand.
type link int

const (
	unheard     link = iota
	ok               // all directions that are to be expected are there
	waiting          // it was not asked long enough
	lost             // by the core's word (A8)
	onlyOut          // it answers, and its own pings do not come
	onlyIn           // its pings come, and it does not answer
	notUs            // it answers, and says that it gets no answers
	silent           // it watches this node, and does not ping
	witnessAway      // a witness out of reach
)

// linkOf judges both directions; a direction is there if it was heard for less
// than lostAfter.
func linkOf(p *peerv1.PeerStatus, lostAfter time.Duration) link {
	in, out := fresh(p.GetInAge(), lostAfter), fresh(p.GetOutAge(), lostAfter)
	switch {
	case p.GetNeighbour() && p.GetLost() && p.GetCaller() && in && outlived(p, lostAfter):
		return onlyIn
	case p.GetNeighbour() && p.GetLost():
		return lost
	case p.GetNeighbour() && !out:
		return waiting
	case p.GetNeighbour() && p.GetCaller() && !in:
		return onlyOut
	case p.GetNeighbour() && p.GetCaller() && p.GetHeardUs() != nil && !fresh(p.GetHeardUs(), lostAfter):
		return notUs
	case p.GetCaller() && !p.GetNeighbour() && !in:
		return silent
	case p.GetWitness() && !p.GetNeighbour() && !p.GetWithinReach():
		return witnessAway
	}
	return ok
}

// outlived reports whether the peer's own pings came for a good while after its
// last answer: those of a node that dies end with its answers, give or take one.
func outlived(p *peerv1.PeerStatus, lostAfter time.Duration) bool {
	return p.GetOutAge() == nil || p.GetOutAge().AsDuration()-p.GetInAge().AsDuration() >= lostAfter/2
}

// fresh reports whether there was a sign for less than lostAfter.
func fresh(age *durationpb.Duration, lostAfter time.Duration) bool {
	return age != nil && age.AsDuration() <= lostAfter
}

// String is what a table shows of the link.
func (l link) String() string {
	switch l {
	case ok:
		return "ok"
	case waiting:
		return "waiting"
	case lost:
		return "lost"
	case onlyOut, onlyIn, notUs:
		return "one-way"
	case silent:
		return "silent"
	case witnessAway:
		return "away"
	case unheard:
	}
	return "unknown"
}

func (l link) tone() screen.Tone {
	switch l {
	case ok:
		return screen.Good
	case lost, onlyIn:
		return screen.Bad
	case onlyOut, notUs, silent, witnessAway:
		return screen.Warn
	case waiting, unheard:
	}
	return screen.Plain
}

// why says in a sentence what is wrong with the link to the peer.
func (l link) why(p *peerv1.PeerStatus) string {
	last := "it has never answered"
	if p.GetOutAge() != nil {
		last = "its last answer came " + since(p.GetOutAge()) + " ago"
	}
	if p.GetError() != "" {
		last += " (" + p.GetError() + ")"
	}
	switch l {
	case lost:
		return last
	case onlyIn:
		return "one-way: its pings come, and it answers none of ours: the way to it or its port is blocked; " + last
	case onlyOut:
		return "one-way: it answers our pings, and its own do not come: the way from it or our port is blocked"
	case notUs:
		return "one-way: its pings come, and by its word our answers do not reach it: it counts this node as lost"
	case silent:
		return "it should watch this node, and its pings do not come: it is down, or its way to us is blocked"
	case witnessAway:
		if p.GetReached() == nil {
			return "a witness out of reach: it has never answered"
		}
		return "a witness out of reach: its last answer to anything came " + since(p.GetReached()) + " ago"
	case ok, waiting, unheard:
	}
	return ""
}

package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/picket-dev/picket/proto/matrix"
	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/screen"
)

// Peers shows every peer with both directions of its link, the worst first.
func Peers(s *screen.Screen, r *peerv1.StatusReply) {
	if len(r.GetPeers()) == 0 {
		s.Line(screen.Say("no peers yet: the controller has not told this agent whom to watch"))
		return
	}
	t := Columns{Of: []Column{
		{Head: "NODE"}, {Head: "STATE"}, {Head: "ROLE", Rank: 5}, {Head: "OUT"}, {Head: "IN"}, {Head: "HEARS US", Rank: 4},
		{Head: "P50", Rank: 1}, {Head: "P95", Rank: 3}, {Head: "P99", Rank: 2}, {Head: "LOSS", Rank: 1},
		{Head: "ROLL", Rank: 1}, {Head: "SINCE", Rank: 1}, {Head: "PATH", Rank: 5}, {Head: "ADDRESSES", Rank: 6},
	}}
	var notes screen.Table
	for _, p := range worstFirst(r) {
		l := linkOf(p, r.GetLostAfter().AsDuration())
		t.Add(screen.Say(p.GetNode()), screen.Cell{Text: l.String(), Tone: l.tone()}, screen.Say(role(p)),
			screen.Say(since(p.GetOutAge())), screen.Say(since(p.GetInAge())), screen.Say(since(p.GetHeardUs())),
			screen.Say(trip(p.GetPings().GetP50())), screen.Say(trip(p.GetPings().GetP95())), screen.Say(trip(p.GetPings().GetP99())),
			loss(p.GetPings()), screen.Say(since(p.GetRollAge())), screen.Say(since(p.GetSince())),
			path(p), screen.Say(strings.Join(p.GetAddresses(), " ")))
		if why := l.why(p); why != "" {
			notes.Add(screen.Cell{Text: p.GetNode(), Tone: l.tone()}, screen.Say(why))
		}
	}
	t.Show(s)
	if notes.Len() > 0 {
		s.Space()
		s.Table(notes)
	}
}

// worstFirst returns the peers by how bad their links are, then by name.
func worstFirst(r *peerv1.StatusReply) []*peerv1.PeerStatus {
	rank := map[screen.Tone]int{screen.Bad: 0, screen.Warn: 1, screen.Plain: 2, screen.Good: 3}
	of := func(p *peerv1.PeerStatus) int { return rank[linkOf(p, r.GetLostAfter().AsDuration()).tone()] }
	all := slices.Clone(r.GetPeers())
	slices.SortStableFunc(all, func(a, b *peerv1.PeerStatus) int {
		return cmp.Or(cmp.Compare(of(a), of(b)), matrix.Compare(a.GetNode(), b.GetNode()))
	})
	return all
}

// role says what the peer is to this node.
func role(p *peerv1.PeerStatus) string {
	var roles []string
	for _, r := range []struct {
		is   bool
		name string
	}{{p.GetNeighbour(), "neighbour"}, {p.GetWitness(), "witness"}, {p.GetCaller(), "watches us"}} {
		if r.is {
			roles = append(roles, r.name)
		}
	}
	return strings.Join(roles, ", ")
}

// path shows the address that answered last. One that is not the preferred one
// says that something is wrong with that.
func path(p *peerv1.PeerStatus) screen.Cell {
	if p.GetPath() == "" {
		return screen.Say(none)
	}
	c := screen.Say(p.GetPath())
	if p.GetPath() != first(p.GetAddresses()) {
		c.Tone = screen.Warn
	}
	return c
}

// loss shows how many of the last pings went unanswered.
func loss(p *peerv1.Pings) screen.Cell {
	if p.GetSent() == 0 {
		return screen.Say(none)
	}
	c := screen.Say(fmt.Sprintf("%d/%d", p.GetLost(), p.GetSent()))
	if p.GetLost() > 0 {
		c.Tone = screen.Warn
	}
	return c
}

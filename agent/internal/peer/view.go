package peer

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"

	"google.golang.org/protobuf/proto"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
)

// A Sight is how an agent sees one of its neighbours, and where that one stands:
// for people, nothing is decided by it.
type Sight struct {
	Node       string
	Lost       bool
	Zone, Rack string
	Address    string // its first one, host:port
}

const (
	// maxSights is how many neighbours a view may tell of: a multiple of any
	// ring's degree.
	maxSights = 64
	// maxText is the longest text of a sight: a DNS subdomain.
	maxText = 253
)

// viewOf returns how an agent sees its neighbours, of which those are lost, with
// the mark of this content.
func viewOf(neighbours []Peer, lost []string) *peerv1.View {
	v := &peerv1.View{}
	for _, p := range neighbours[:min(len(neighbours), maxSights)] {
		s := &peerv1.Sight{Node: p.Node, Lost: slices.Contains(lost, p.Node), Zone: p.Zone, Rack: p.Rack}
		if len(p.Addresses) > 0 {
			s.Address = p.Addresses[0]
		}
		v.Sights = append(v.Sights, s)
	}
	h := fnv.New64a()
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(v)
	if err != nil { // a text that is no UTF-8, which could not be sent either
		v.Sights = nil
	}
	_, _ = h.Write(content) // a hash takes everything
	v.Mark = max(h.Sum64(), 1)
	return v
}

// sightsOf returns what a neighbour's view says, or an error for one that no
// agent makes.
func sightsOf(v *peerv1.View) ([]Sight, error) {
	if len(v.GetSights()) > maxSights {
		return nil, fmt.Errorf("a view of %d nodes, more than %d", len(v.GetSights()), maxSights)
	}
	sights := make([]Sight, 0, len(v.GetSights()))
	for _, s := range v.GetSights() {
		if s.GetNode() == "" || max(len(s.GetNode()), len(s.GetZone()), len(s.GetRack()), len(s.GetAddress())) > maxText {
			return nil, errors.New("a view with a node that has no name, or with a text that is too long")
		}
		sights = append(sights, Sight{
			Node: s.GetNode(), Lost: s.GetLost(), Zone: s.GetZone(), Rack: s.GetRack(), Address: s.GetAddress(),
		})
	}
	return sights, nil
}

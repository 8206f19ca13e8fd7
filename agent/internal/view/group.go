package view

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
)

// A Grouping says which nodes are likely to fail together.
type Grouping struct {
	// Kind is what a group is called, such as rack.
	Kind string
	// Nodes shows single nodes; the groups serve the verdict alone.
	Nodes bool
	of    func(seat) string // nil: whatever the nodes' labels tell
}

// A seat is where a node stands, as far as this one knows.
type seat struct {
	node, zone, rack string
	address          string // its first one
}

// Groupings are the words that --by takes; beside them it takes NAME=REGEXP.
func Groupings() []string { return []string{"node", "rack", "zone", "subnet"} }

// ParseGrouping reads what --by says: one of Groupings, or NAME=REGEXP.
func ParseGrouping(by string) (Grouping, error) {
	switch by {
	case "node":
		return Grouping{Nodes: true}, nil
	case "rack":
		return byRack(), nil
	case "zone":
		return byZone(), nil
	case "subnet":
		return bySubnet(), nil
	}
	kind, pattern, found := strings.Cut(by, "=")
	if !found || kind == "" {
		return Grouping{}, fmt.Errorf("--by %s: use %s, or NAME=REGEXP, such as rack='r[0-9]+'", by, strings.Join(Groupings(), ", "))
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return Grouping{}, fmt.Errorf("--by %s: %w", by, err)
	}
	return Grouping{Kind: kind, of: func(s seat) string {
		m := re.FindStringSubmatch(s.node)
		if len(m) == 0 {
			return ""
		}
		return m[len(m)-1] // the group in parentheses, or all that matched
	}}, nil
}

func byRack() Grouping   { return Grouping{Kind: "rack", of: func(s seat) string { return s.rack }} }
func byZone() Grouping   { return Grouping{Kind: "zone", of: func(s seat) string { return s.zone }} }
func bySubnet() Grouping { return Grouping{Kind: "subnet", of: subnet} }

// settled returns the grouping with what tells these seats apart, where nobody
// has named anything: their racks, or else their zones, or else their subnets.
func (g Grouping) settled(seats []seat) Grouping {
	if g.of != nil {
		return g
	}
	by := bySubnet()
	for _, labels := range []Grouping{byZone(), byRack()} {
		var names []string
		for _, s := range seats {
			if n := labels.of(s); n != "" {
				names = append(names, n)
			}
		}
		slices.Sort(names)
		if len(slices.Compact(names)) > 1 {
			by = labels
		}
	}
	by.Nodes = g.Nodes
	return by
}

// seatOf returns the seat of a peer.
func seatOf(p *peerv1.PeerStatus) seat {
	return seat{node: p.GetNode(), zone: p.GetZone(), rack: p.GetRack(), address: first(p.GetAddresses())}
}

// ownSeat returns the seat of the node itself.
func ownSeat(r *peerv1.StatusReply) seat {
	return seat{node: r.GetNode(), zone: r.GetZone(), rack: r.GetRack(), address: first(r.GetAddresses())}
}

func first(addresses []string) string {
	if len(addresses) == 0 {
		return ""
	}
	return addresses[0]
}

// subnet is the network of the address, by the usual sizes: /24 of IPv4, /64 of
// IPv6. It is empty for an address that is none.
func subnet(s seat) string {
	a, err := netip.ParseAddrPort(s.address)
	if err != nil {
		return ""
	}
	bits := 64
	if ip := a.Addr().Unmap(); ip.Is4() {
		a, bits = netip.AddrPortFrom(ip, 0), 24
	}
	p, err := a.Addr().WithZone("").Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}

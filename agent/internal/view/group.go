package view

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

// A Grouping says which nodes are likely to fail together.
type Grouping struct {
	// Kind is what a group is called, such as rack.
	Kind string
	// Nodes shows single nodes; the groups serve the verdict alone.
	Nodes bool
	of    func(node string, addresses []string) string
}

// ParseGrouping reads what --by says: node, subnet, or NAME=REGEXP.
func ParseGrouping(by string) (Grouping, error) {
	switch by {
	case "node":
		return Grouping{Kind: "subnet", Nodes: true, of: subnet}, nil
	case "subnet":
		return Grouping{Kind: "subnet", of: subnet}, nil
	}
	kind, pattern, found := strings.Cut(by, "=")
	if !found || kind == "" {
		return Grouping{}, fmt.Errorf("--by %s: use node, subnet, or NAME=REGEXP, such as rack='r[0-9]+'", by)
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return Grouping{}, fmt.Errorf("--by %s: %w", by, err)
	}
	return Grouping{Kind: kind, of: func(node string, _ []string) string {
		m := re.FindStringSubmatch(node)
		if len(m) == 0 {
			return ""
		}
		return m[len(m)-1] // the group in parentheses, or all that matched
	}}, nil
}

// subnet is the network of the first address, by the usual sizes: /24 of IPv4,
// /64 of IPv6. It is empty for an address that is none.
func subnet(_ string, addresses []string) string {
	if len(addresses) == 0 {
		return ""
	}
	a, err := netip.ParseAddrPort(addresses[0])
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

package iscsi

import (
	"fmt"
	"net/netip"
	"strings"
)

// RedirectRules is an nft script that sends what arrives for the portals, all of
// one address family, to the proxy's port instead, for the lab's namespace (`nft -f -`). tgtd itself
// listens on the portal, so that what it says of itself in a discovery is the
// address that the initiators use; and the proxy's own connection to it leaves
// by the output path, which the rule does not touch.
//
// The kernel redirects to the first address of the interface that a packet
// came in by: the proxy must listen on that one, or on all.
func RedirectRules(port uint16, portals ...netip.AddrPort) string {
	var rules strings.Builder
	for _, p := range portals {
		fmt.Fprintf(&rules, "\t\tip daddr %s tcp dport %d redirect to :%d\n", p.Addr(), p.Port(), port)
	}
	return fmt.Sprintf(`table ip picket_lab_iscsi {
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
%s	}
}
`, rules.String())
}

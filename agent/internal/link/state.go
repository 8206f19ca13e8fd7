package link

import (
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A state is what was last seen. It turns netlink's messages into events, and
// drops those that change nothing: the kernel repeats itself.
type state struct {
	links     map[int]linkState
	addresses map[address]bool
	lastRoute Event // without its instant
	complete  bool  // links and addresses hold all that there is
}

type linkState struct {
	name string
	up   bool
}

type address struct {
	index int
	cidr  string
}

func newState() *state {
	return &state{links: make(map[int]linkState), addresses: make(map[address]bool)}
}

// link takes in a link, or that it is gone. An interface that is seen for the
// first time without a carrier has lost nothing.
func (s *state) link(l netlink.Link, gone bool) (Event, bool) {
	a := l.Attrs()
	if a == nil || ignored(l) {
		return Event{}, false
	}
	old, seen := s.links[a.Index]
	now := linkState{name: a.Name, up: !gone && a.RawFlags&unix.IFF_UP != 0 && a.RawFlags&unix.IFF_LOWER_UP != 0}
	if gone {
		delete(s.links, a.Index)
	} else {
		s.links[a.Index] = now
	}
	if now.up == old.up {
		return Event{}, false
	}
	name := now.name
	if name == "" && seen {
		name = old.name
	}
	return Event{Kind: Carrier, Interface: name, Up: now.up}, true
}

// address takes in an address that came or went.
func (s *state) address(index int, n net.IPNet, came bool) (Event, bool) {
	if n.IP.IsLoopback() || n.IP.IsLinkLocalUnicast() || n.IP.IsMulticast() {
		return Event{}, false
	}
	a := address{index, n.String()}
	if s.addresses[a] == came {
		return Event{}, false
	}
	if came {
		s.addresses[a] = true
	} else {
		delete(s.addresses, a)
	}
	return Event{Kind: Address, Interface: s.name(index), What: a.cidr, Up: came}, true
}

// route takes in a route that came or went. Only unicast routes of the main
// table to networks count: routes to single hosts come and go with pods.
func (s *state) route(r netlink.Route, came bool) (Event, bool) {
	if r.Table != unix.RT_TABLE_MAIN || r.Type != unix.RTN_UNICAST {
		return Event{}, false
	}
	what := "default"
	if r.Dst != nil {
		ones, bits := r.Dst.Mask.Size()
		if ones == bits || r.Dst.IP.IsLinkLocalUnicast() || r.Dst.IP.IsMulticast() {
			return Event{}, false
		}
		if ones > 0 {
			what = r.Dst.String()
		}
	}
	index := r.LinkIndex
	if index == 0 && len(r.MultiPath) > 0 {
		index = r.MultiPath[0].LinkIndex
	}
	e := Event{Kind: Route, Interface: s.name(index), What: what, Up: came}
	if e == s.lastRoute {
		return Event{}, false
	}
	s.lastRoute = e
	return e, true
}

// resync takes in a full list of links and addresses, and returns what changed
// since the last one, the losses first. Since the beginning nothing changed.
func (s *state) resync(links []netlink.Link, addresses []netlink.Addr) []Event {
	var lost, found []Event
	add := func(e Event, ok bool) {
		switch {
		case ok && e.Up:
			found = append(found, e)
		case ok:
			lost = append(lost, e)
		}
	}
	present := make(map[int]bool, len(links))
	for _, l := range links {
		if a := l.Attrs(); a != nil {
			present[a.Index] = true
			add(s.link(l, false))
		}
	}
	for index, old := range s.links {
		if !present[index] {
			delete(s.links, index)
			if old.up {
				lost = append(lost, Event{Kind: Carrier, Interface: old.name})
			}
		}
	}
	held := make(map[address]bool, len(addresses))
	for _, a := range addresses {
		if a.IPNet != nil {
			held[address{a.LinkIndex, a.IPNet.String()}] = true
			add(s.address(a.LinkIndex, *a.IPNet, true))
		}
	}
	for a := range s.addresses {
		if !held[a] {
			delete(s.addresses, a)
			lost = append(lost, Event{Kind: Address, Interface: s.name(a.index), What: a.cidr})
		}
	}
	first := !s.complete
	s.complete = true
	if first {
		return nil
	}
	return append(lost, found...)
}

// name returns the name of an interface, or its index if it was never seen.
func (s *state) name(index int) string {
	if l, ok := s.links[index]; ok {
		return l.name
	}
	if index == 0 {
		return ""
	}
	return fmt.Sprintf("#%d", index)
}

// ignored reports whether the interface is no link of the host: loopback, or
// the host's end of a pod's veth pair, whose other end is in another network
// namespace.
func ignored(l netlink.Link) bool {
	a := l.Attrs()
	return a.RawFlags&unix.IFF_LOOPBACK != 0 || l.Type() == "veth" && a.NetNsID >= 0
}

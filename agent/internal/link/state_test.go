package link

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	up   = unix.IFF_UP | unix.IFF_LOWER_UP | unix.IFF_RUNNING
	down = unix.IFF_UP // set up, and the cable is out
)

func device(index int, name string, flags uint32) netlink.Link {
	return &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: index, Name: name, RawFlags: flags, NetNsID: -1}}
}

func veth(index int, name string, flags uint32, peerNamespace int) netlink.Link {
	return &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Index: index, Name: name, RawFlags: flags, NetNsID: peerNamespace}}
}

func cidr(t *testing.T, s string) net.IPNet {
	t.Helper()
	ip, n, err := net.ParseCIDR(s)
	if err != nil {
		t.Fatal(err)
	}
	return net.IPNet{IP: ip, Mask: n.Mask}
}

func TestCarrierIsReportedOnChange(t *testing.T) {
	tests := []struct {
		name  string
		links []netlink.Link
		gone  bool // the last one
		want  []Event
	}{
		{name: "first seen with a carrier", links: []netlink.Link{device(2, "eth0", up)},
			want: []Event{{Kind: Carrier, Interface: "eth0", Up: true}}},
		{name: "first seen without", links: []netlink.Link{device(2, "eth0", down)}},
		{name: "cable out", links: []netlink.Link{device(2, "eth0", up), device(2, "eth0", down)},
			want: []Event{{Kind: Carrier, Interface: "eth0", Up: true}, {Kind: Carrier, Interface: "eth0"}}},
		{name: "set down", links: []netlink.Link{device(2, "eth0", up), device(2, "eth0", 0)},
			want: []Event{{Kind: Carrier, Interface: "eth0", Up: true}, {Kind: Carrier, Interface: "eth0"}}},
		{name: "said twice", links: []netlink.Link{device(2, "eth0", up), device(2, "eth0", up), device(2, "eth0", down), device(2, "eth0", down)},
			want: []Event{{Kind: Carrier, Interface: "eth0", Up: true}, {Kind: Carrier, Interface: "eth0"}}},
		{name: "removed", links: []netlink.Link{device(2, "eth0", up), device(2, "", up)}, gone: true,
			want: []Event{{Kind: Carrier, Interface: "eth0", Up: true}, {Kind: Carrier, Interface: "eth0"}}},
		{name: "removed without a carrier", links: []netlink.Link{device(2, "eth0", down), device(2, "eth0", down)}, gone: true},
		{name: "loopback", links: []netlink.Link{device(1, "lo", up|unix.IFF_LOOPBACK)}},
		{name: "a pod's veth", links: []netlink.Link{veth(7, "cali1", up, 0)}},
		{name: "a veth within the host", links: []netlink.Link{veth(7, "v0", up, -1)},
			want: []Event{{Kind: Carrier, Interface: "v0", Up: true}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newState()
			var got []Event
			for i, l := range tt.links {
				if e, ok := s.link(l, tt.gone && i == len(tt.links)-1); ok {
					got = append(got, e)
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("events (-want +got):\n%s", d)
			}
		})
	}
}

func TestAddressIsReportedOnChange(t *testing.T) {
	s := newState()
	s.link(device(2, "eth0", up), false)
	var got []Event
	for _, x := range []struct {
		index int
		cidr  string
		came  bool
	}{
		{2, "192.0.2.7/24", true}, {2, "192.0.2.7/24", true},
		{2, "192.0.2.8/24", false}, // never seen
		{2, "fe80::1/64", true}, {1, "127.0.0.1/8", true},
		{9, "2001:db8::7/64", true},
		{2, "192.0.2.7/24", false}, {2, "192.0.2.7/24", false},
	} {
		if e, ok := s.address(x.index, cidr(t, x.cidr), x.came); ok {
			got = append(got, e)
		}
	}
	want := []Event{
		{Kind: Address, Interface: "eth0", What: "192.0.2.7/24", Up: true},
		{Kind: Address, Interface: "#9", What: "2001:db8::7/64", Up: true},
		{Kind: Address, Interface: "eth0", What: "192.0.2.7/24"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
}

func TestRouteIsReportedOnChange(t *testing.T) {
	route := func(dst string, change func(*netlink.Route)) netlink.Route {
		r := netlink.Route{LinkIndex: 2, Table: unix.RT_TABLE_MAIN, Type: unix.RTN_UNICAST}
		if dst != "" {
			n := cidr(t, dst)
			r.Dst = &n
		}
		if change != nil {
			change(&r)
		}
		return r
	}
	s := newState()
	s.link(device(2, "eth0", up), false)
	var got []Event
	for _, x := range []struct {
		route netlink.Route
		came  bool
	}{
		{route("", nil), true}, {route("", nil), true},
		{route("0.0.0.0/0", nil), false},
		{route("198.51.100.0/24", nil), true},
		{route("198.51.100.9/32", nil), true}, // a pod
		{route("2001:db8::9/128", nil), true},
		{route("fe80::/64", nil), true},
		{route("ff00::/8", nil), true},
		{route("192.0.2.0/24", func(r *netlink.Route) { r.Table = unix.RT_TABLE_LOCAL }), true},
		{route("192.0.2.0/24", func(r *netlink.Route) { r.Type = unix.RTN_BLACKHOLE }), true},
		{route("203.0.113.0/24", func(r *netlink.Route) {
			r.LinkIndex, r.MultiPath = 0, []*netlink.NexthopInfo{{LinkIndex: 2}}
		}), false},
		{route("203.0.113.0/24", func(r *netlink.Route) { r.LinkIndex = 0 }), true},
	} {
		if e, ok := s.route(x.route, x.came); ok {
			got = append(got, e)
		}
	}
	want := []Event{
		{Kind: Route, Interface: "eth0", What: "default", Up: true},
		{Kind: Route, Interface: "eth0", What: "default"},
		{Kind: Route, Interface: "eth0", What: "198.51.100.0/24", Up: true},
		{Kind: Route, Interface: "eth0", What: "203.0.113.0/24"},
		{Kind: Route, What: "203.0.113.0/24", Up: true},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
}

// What changed while nobody looked is found again, losses first.
func TestResyncFindsWhatWasMissed(t *testing.T) {
	s := newState()
	a := func(index int, text string) netlink.Addr {
		n := cidr(t, text)
		return netlink.Addr{IPNet: &n, LinkIndex: index}
	}
	at := s.resync(
		[]netlink.Link{device(2, "eth0", up), device(3, "eth1", up), device(4, "eth2", down)},
		[]netlink.Addr{a(2, "192.0.2.7/24"), a(3, "198.51.100.7/24")})
	if len(at) != 0 {
		t.Errorf("what is there at the start is reported: %v", at)
	}
	got := s.resync(
		[]netlink.Link{device(2, "eth0", down), device(4, "eth2", up)},
		[]netlink.Addr{a(2, "192.0.2.7/24")})
	want := []Event{
		{Kind: Carrier, Interface: "eth0"},
		{Kind: Carrier, Interface: "eth1"},
		{Kind: Address, Interface: "#3", What: "198.51.100.7/24"},
		{Kind: Carrier, Interface: "eth2", Up: true},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	if again := s.resync([]netlink.Link{device(2, "eth0", down), device(4, "eth2", up)}, []netlink.Addr{a(2, "192.0.2.7/24")}); len(again) != 0 {
		t.Errorf("events without a change: %v", again)
	}
}

func TestFollowEndsWhenAStreamBreaks(t *testing.T) {
	broken := errors.New("no buffer space available")
	for name, spoil := range map[string]func(*subscription){
		"error":  func(s *subscription) { s.broken <- broken },
		"closed": func(s *subscription) { close(s.routes) },
	} {
		sub := &subscription{
			links: make(chan netlink.LinkUpdate), addresses: make(chan netlink.AddrUpdate),
			routes: make(chan netlink.RouteUpdate), broken: make(chan error, 1),
		}
		spoil(sub)
		if err := sub.follow(context.Background(), newState(), func(Event) {}); err == nil {
			t.Errorf("%s: follow() has no error", name)
		}
	}
}

package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"

	"github.com/vishvananda/netlink"
)

// A Side is one of a node's two networks.
type Side int

// The networks.
const (
	Cluster Side = iota + 1
	Storage
)

// Host is the last byte of the lab's own address on both networks: that of the
// control plane on one, of the storage target on the other.
const Host = 1

// Second is the last byte of another address of the lab's on both networks: the
// second path to a storage target.
const Second = 2

// String is the name of the network's bridge.
func (s Side) String() string {
	switch s {
	case Cluster:
		return "cluster"
	case Storage:
		return "storage"
	default:
		return fmt.Sprintf("network-%d", int(s))
	}
}

// Addr is the address with that last byte on the network.
func (s Side) Addr(last byte) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 76 + byte(s), 0, last})
}

// Prefix is the network's.
func (s Side) Prefix() netip.Prefix { return netip.PrefixFrom(s.Addr(0), 24) }

// Tap is the name of a node's tap, counted from 1.
func (s Side) Tap(node int) string { return fmt.Sprintf("%s%d", s, node) }

// MAC is the hardware address of a node's card.
func (s Side) MAC(node int) net.HardwareAddr {
	return net.HardwareAddr{0x52, 0x54, 0, 0x76, byte(s), byte(node)}
}

// New makes the bridges and the taps of so many nodes.
func New(ctx context.Context, nodes int) error {
	if err := alone(); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	for _, side := range []Side{Cluster, Storage} {
		if err := addSide(side, nodes); err != nil {
			return fmt.Errorf("make the %s network: %w", side, err)
		}
	}
	return nft(ctx, `
table bridge lab {
	set from { type ifname; }
	set to { type ifname; }
	chain in { type filter hook prerouting priority -300; iifname @from drop; }
	chain out { type filter hook postrouting priority 300; oifname @to drop; }
}`)
}

// alone refuses to work in a namespace that has any link but lo.
func alone() error {
	links, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("list the links: %w", err)
	}
	for _, l := range links {
		if a := l.Attrs(); a.Flags&net.FlagUp != 0 && a.Flags&net.FlagLoopback == 0 {
			return fmt.Errorf("make the lab's networks: %s is up here, so this is no namespace of the lab's own", a.Name)
		}
	}
	return nil
}

func addSide(side Side, nodes int) error {
	// Without spanning tree a port forwards at once.
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: side.String()}}
	if err := netlink.LinkAdd(bridge); err != nil {
		return err
	}
	for _, last := range []byte{Host, Second} {
		addr := &netlink.Addr{IPNet: &net.IPNet{IP: side.Addr(last).AsSlice(), Mask: net.CIDRMask(side.Prefix().Bits(), 32)}}
		if err := netlink.AddrAdd(bridge, addr); err != nil {
			return err
		}
	}
	if err := netlink.LinkSetUp(bridge); err != nil {
		return err
	}
	for node := 1; node <= nodes; node++ {
		tap := &netlink.Tuntap{
			LinkAttrs: netlink.LinkAttrs{Name: side.Tap(node)},
			Mode:      netlink.TUNTAP_MODE_TAP,
			// QEMU opens it as a card with one queue and offloads.
			Flags: netlink.TUNTAP_NO_PI | netlink.TUNTAP_VNET_HDR | netlink.TUNTAP_ONE_QUEUE,
		}
		if err := netlink.LinkAdd(tap); err != nil {
			return err
		}
		for _, fd := range tap.Fds {
			fd.Close()
		}
		if err := errors.Join(netlink.LinkSetMaster(tap, bridge), netlink.LinkSetUp(tap)); err != nil {
			return err
		}
	}
	return nil
}

// Service forwards an address and port that no machine has to another: what
// kube-proxy does for a ClusterIP, for the one service that the lab needs.
func Service(ctx context.Context, from, to netip.AddrPort) error {
	return nft(ctx, fmt.Sprintf(`
table ip lab {
	chain prerouting { type nat hook prerouting priority dstnat; }
}
add rule ip lab prerouting ip daddr %s tcp dport %d dnat to %s`, from.Addr(), from.Port(), to))
}

// A Direction is one way of a cable, or both.
type Direction int

// The directions, as the node sees them.
const (
	Both Direction = iota + 1
	Outgoing
	Incoming
)

// Cut drops every frame of a node's network in a direction. The node's card
// keeps its carrier.
func Cut(ctx context.Context, side Side, node int, d Direction) error {
	return change(ctx, "add", side, node, d)
}

// Heal ends all cuts of a node's network.
func Heal(ctx context.Context, side Side, node int) error {
	// What is not in a set cannot be deleted; what is added twice is there once.
	return errors.Join(change(ctx, "add", side, node, Both), change(ctx, "delete", side, node, Both))
}

func change(ctx context.Context, verb string, side Side, node int, d Direction) error {
	var rules strings.Builder
	for set, not := range map[string]Direction{"from": Incoming, "to": Outgoing} {
		if d != not {
			fmt.Fprintf(&rules, "%s element bridge lab %s { %s }\n", verb, set, side.Tap(node))
		}
	}
	return nft(ctx, rules.String())
}

// nft applies rules, all or none.
func nft(ctx context.Context, rules string) error {
	cmd := exec.CommandContext(ctx, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apply nft rules: %w: %s\n%s", err, out, rules)
	}
	return nil
}

package stage

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
)

// Ports of the agents' protocol, on each node's own address.
const (
	// AdvertisedPort is where agents reach each other: the mesh listens there.
	AdvertisedPort = 9735
	// ListenPort is where an agent really listens.
	ListenPort = 9736
	// blockPort is held on a block's first address while the block is in use.
	blockPort = 9734
)

// block is a /24 of loopback addresses that no other stage uses: 127.x.y.0. Its
// first address is the control plane's, its second the controllers', node i has
// the address 127.x.y.(10+i).
type block struct {
	a, b byte
	held net.Listener
}

// takeBlock finds a free block. Linux routes all of 127.0.0.0/8 to itself, so
// the addresses need no setup and no root.
func takeBlock() (*block, error) {
	var last error
	for range 50 {
		b := &block{a: byte(1 + rand.IntN(254)), b: byte(rand.IntN(256))}
		held, err := net.Listen("tcp", net.JoinHostPort(b.at(1).String(), strconv.Itoa(blockPort)))
		if err == nil {
			b.held = held
			return b, nil
		}
		last = err
	}
	return nil, fmt.Errorf("find a free block of loopback addresses: %w", last)
}

func (b *block) at(host int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, b.a, b.b, byte(host)})
}

// node is the address of node i, from 0.
func (b *block) node(i int) netip.Addr { return b.at(10 + i) }

func (b *block) release() { b.held.Close() }

package peer

import (
	"net"
	"net/netip"
	"sync"
)

// A porch is where connections wait until their handshake is done. Each costs a
// goroutine and its buffers for as long as Server's handshake timeout, whoever it
// is; so there is room for so many only, and more are hung up on. Whoever comes
// from the address of a peer has room of its own, that no stranger can take.
type porch struct {
	strangers int // for all addresses together that are no peer's
	each      int // for each peer's address

	mu      sync.Mutex
	peers   map[netip.Addr]bool
	waiting map[netip.Addr]int // of peers by address; of all others at the zero Addr
}

func newPorch(c Config) *porch {
	return &porch{strangers: c.Strangers, each: perPeer, waiting: make(map[netip.Addr]int)}
}

// perPeer is how many connections of one peer's address may be in their handshakes
// at once: agents need two, and an address may be shared.
const perPeer = 32

// know says whose addresses are peers'.
func (p *porch) know(all Peers) {
	peers := make(map[netip.Addr]bool)
	for _, list := range [][]Peer{all.Neighbours, all.Witnesses, all.Callers} {
		for _, q := range list {
			for _, a := range q.Addresses {
				if at, err := netip.ParseAddrPort(a); err == nil {
					peers[at.Addr().Unmap()] = true
				}
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.peers = peers
}

// enter reports whether there is room for a connection from there, and what its
// place counts as.
func (p *porch) enter(from net.Addr) (place netip.Addr, ok bool) {
	limit := p.strangers
	p.mu.Lock()
	defer p.mu.Unlock()
	if at, err := netip.ParseAddrPort(from.String()); err == nil && p.peers[at.Addr().Unmap()] {
		place, limit = at.Addr().Unmap(), p.each
	}
	if p.waiting[place] >= limit {
		return place, false
	}
	p.waiting[place]++
	return place, true
}

// leave makes room again.
func (p *porch) leave(place netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting[place]--; p.waiting[place] == 0 {
		delete(p.waiting, place)
	}
}

// on returns a listener whose connections wait on the porch.
func (p *porch) on(l net.Listener) net.Listener { return &threshold{l, p} }

// A threshold is a listener in front of a porch.
type threshold struct {
	net.Listener
	porch *porch
}

// Accept returns the next connection that there is room for.
func (t *threshold) Accept() (net.Conn, error) {
	for {
		c, err := t.Listener.Accept()
		if err != nil {
			return nil, err
		}
		place, ok := t.porch.enter(c.RemoteAddr())
		if ok {
			return &visitor{Conn: c, leave: sync.OnceFunc(func() { t.porch.leave(place) })}, nil
		}
		_ = c.Close() // it is nobody's yet
	}
}

// A visitor is a connection on the porch. It leaves it when its handshake is done,
// or when it closes.
type visitor struct {
	net.Conn
	leave func()
}

// Close closes the connection and makes room.
func (v *visitor) Close() error {
	v.leave()
	return v.Conn.Close()
}

// indoors ends a visitor's wait.
func indoors(c net.Conn) {
	if v, ok := c.(*visitor); ok {
		v.leave()
	}
}

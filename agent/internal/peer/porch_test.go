package peer

import (
	"net"
	"testing"
	"time"
)

// Connections that never finish their handshake cost so many places and no more,
// and none of a peer's; they are hung up on when their time is over.
func TestHalfOpenConnectionsAreBounded(t *testing.T) {
	a, _ := onLoopback(t, "a", "127.0.0.2")
	b, address := onLoopback(t, "b", "127.0.0.3")
	b.setPeers(Peers{Callers: []Peer{a.at("127.0.0.2:1")}})
	a.setPeers(Peers{Neighbours: []Peer{b.at(address)}})
	limit := b.config.Strangers
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}, Timeout: time.Second}
	began := time.Now()
	for range limit + 100 {
		c, err := from.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	beat(t, a, "b")
	closed := func(within time.Duration) (n int) {
		for _, c := range conns {
			_ = c.SetReadDeadline(time.Now().Add(within))
			if _, err := c.Read(make([]byte, 1)); err != nil && !isTimeout(err) {
				n++
			}
		}
		return n
	}
	if n := closed(time.Millisecond); time.Since(began) < handshake && n != 100 {
		t.Errorf("%d of %d half-open connections were refused, want 100", n, len(conns))
	}
	beat(t, a, "b")
	if n := closed(2 * handshake); n != len(conns) {
		t.Errorf("%d of %d half-open connections were closed in the end", n, len(conns))
	}
	b.server.porch.mu.Lock()
	defer b.server.porch.mu.Unlock()
	if len(b.server.porch.waiting) != 0 {
		t.Errorf("places are taken for ever: %v", b.server.porch.waiting)
	}
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error) //nolint:errorlint // as net returns it
	return ok && e.Timeout()
}

// A peer's address has room of its own, and not more.
func TestThePorchHasRoomForPeers(t *testing.T) {
	c := Default()
	c.Strangers = 3
	p := newPorch(c)
	p.know(Peers{Witnesses: []Peer{{Addresses: []string{"[::ffff:10.0.0.1]:9735", "nonsense"}}}})
	at := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 1} }
	enters := func(ip string) (n int) {
		for range 100 {
			if _, ok := p.enter(at(ip)); ok {
				n++
			}
		}
		return n
	}
	if n := enters("10.0.0.2") + enters("10.0.0.3"); n != 3 {
		t.Errorf("%d strangers, want 3", n)
	}
	if n := enters("10.0.0.1"); n != perPeer {
		t.Errorf("%d of a peer, want %d", n, perPeer)
	}
	place, _ := p.enter(at("10.0.0.1"))
	p.leave(place)
	if n := enters("10.0.0.1"); n != 1 {
		t.Errorf("%d after one left, want 1", n)
	}
}

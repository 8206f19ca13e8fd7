package proxy

import (
	"net"
	"sync"
)

// heldConn is a client's connection to an API proxy whose bytes wait while the
// link is cut.
type heldConn struct {
	net.Conn
	api    *API
	once   sync.Once
	closed chan struct{}
}

// Read delivers bytes, and the end of the stream, only while the link passes.
func (c *heldConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.api.link.wait(c.closed, link.passes) {
		return 0, net.ErrClosed
	}
	return n, err
}

// Write sends bytes only while the link passes.
func (c *heldConn) Write(p []byte) (int, error) {
	if !c.api.link.wait(c.closed, link.passes) {
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

// Close closes the connection in order; the other side sees a FIN.
func (c *heldConn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.api.forget(c)
	})
	return c.Conn.Close()
}

// reset closes the connection as a host does that knows nothing of it.
func (c *heldConn) reset() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// holdingListener hands out heldConns.
type holdingListener struct {
	net.Listener
	api *API
}

// Accept resets new connections at once where the proxy refuses them.
func (l holdingListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		held := &heldConn{Conn: conn, api: l.api, closed: make(chan struct{})}
		if l.api.admit(held) {
			return held, nil
		}
		held.reset()
	}
}

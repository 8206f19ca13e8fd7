package proxy

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// flow is one forwarded connection. The client's bytes travel there, the
// server's travel back.
type flow struct {
	mesh        *Mesh
	there, back pair

	mu     sync.Mutex
	client net.Conn
	server net.Conn // nil until dialled
	once   sync.Once
	closed chan struct{}
}

// run forwards until both directions have ended.
func (f *flow) run(from, to netip.Addr) {
	defer f.mesh.leave(f)
	defer f.reset()
	// A connection needs both directions to open: a SYN there, one back.
	open := func(l links) bool {
		return l.fault(f.there).kind != kindCut && l.fault(f.back).kind != kindCut
	}
	if !f.mesh.links.wait(f.closed, open) {
		return
	}
	server, err := f.mesh.dial(from, to)
	if err != nil || !f.connected(server) {
		return // nobody listens: the client gets a reset
	}
	var both sync.WaitGroup
	both.Go(func() { f.pump(server, f.client, f.there) })
	both.Go(func() { f.pump(f.client, server, f.back) })
	both.Wait()
	f.end(false)
}

// connected takes the server's side, unless the flow was reset meanwhile.
func (f *flow) connected(server net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.closed:
		server.Close()
		return false
	default:
		f.server = server
		return true
	}
}

// chunk is what one read returned; the last one carries the error.
type chunk struct {
	bytes []byte
	err   error
	due   time.Time
}

// pump moves the bytes of one direction. Reading runs ahead of writing, so
// that a delay adds to each byte's way and not to the one before.
func (f *flow) pump(to, from net.Conn, way pair) {
	chunks := make(chan chunk, 64)
	go func() {
		for last := false; !last; {
			buffer := make([]byte, 16<<10)
			n, err := from.Read(buffer)
			delay := f.mesh.links.get().fault(way).delay
			select {
			case chunks <- chunk{buffer[:n], err, time.Now().Add(delay)}:
			case <-f.closed:
				return
			}
			last = err != nil
		}
	}()
	passes := func(l links) bool { return l.fault(way).kind != kindCut }
	for {
		var c chunk
		select {
		case c = <-chunks:
		case <-f.closed:
			return
		}
		if wait := time.Until(c.due); wait > 0 && !sleep(f.closed, wait) {
			return
		}
		if !f.mesh.links.wait(f.closed, passes) {
			return
		}
		if _, err := to.Write(c.bytes); err != nil {
			f.reset()
			return
		}
		if errors.Is(c.err, io.EOF) {
			if half, ok := to.(*net.TCPConn); ok {
				_ = half.CloseWrite()
			}
			return
		}
		if c.err != nil {
			f.reset()
			return
		}
	}
}

// reset ends the flow; both sides see a reset and lose what is under way.
func (f *flow) reset() { f.end(true) }

// end closes both sides, once.
func (f *flow) end(reset bool) {
	f.once.Do(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		close(f.closed)
		for _, conn := range []net.Conn{f.client, f.server} {
			tcp, ok := conn.(*net.TCPConn)
			if !ok {
				continue
			}
			if reset {
				_ = tcp.SetLinger(0)
			}
			_ = tcp.Close()
		}
	})
}

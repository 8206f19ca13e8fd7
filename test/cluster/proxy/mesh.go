package proxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
)

// Mesh forwards TCP connections between the nodes of a cluster, each of which
// has an address of its own: node i advertises its address with the port that
// the mesh listens on, and really listens on the mesh's target port. A
// connection's source node is known by its source address, which the mesh also
// uses towards the target.
type Mesh struct {
	target    int
	nodes     map[netip.Addr]string
	links     *state[links]
	ctx       context.Context
	stop      context.CancelFunc
	listeners []net.Listener
	running   sync.WaitGroup
	strangers atomic.Int64

	mu    sync.Mutex
	flows map[*flow]struct{}
}

// pair is one direction between two nodes.
type pair struct{ from, to string }

// links is the state of all directions. Its maps are never changed, only
// replaced: readers hold no lock.
type links struct {
	faults    map[pair]Fault
	unpowered map[string]bool
}

// fault is that of one direction; a machine without power cuts all of its.
func (l links) fault(p pair) Fault {
	if l.unpowered[p.from] || l.unpowered[p.to] {
		return Cut()
	}
	return l.faults[p]
}

// NewMesh listens for every node on its address and port, and forwards to the
// same address's target port. The caller must call Close.
func NewMesh(nodes map[string]netip.Addr, port, target int) (*Mesh, error) {
	ctx, stop := context.WithCancel(context.Background())
	m := &Mesh{
		target: target,
		nodes:  make(map[netip.Addr]string, len(nodes)),
		links:  newState(links{faults: make(map[pair]Fault), unpowered: make(map[string]bool)}),
		ctx:    ctx,
		stop:   stop,
		flows:  make(map[*flow]struct{}),
	}
	for name, addr := range nodes {
		m.nodes[addr] = name
	}
	for name, addr := range nodes {
		listener, err := net.Listen("tcp", netip.AddrPortFrom(addr, uint16(port)).String())
		if err != nil {
			m.Close()
			return nil, fmt.Errorf("listen for %s: %w", name, err)
		}
		m.listeners = append(m.listeners, listener)
		m.running.Go(func() { m.accept(listener, name, addr) })
	}
	return m, nil
}

// Set changes the direction from → to: Pass, Cut or Delay.
func (m *Mesh) Set(from, to string, f Fault) {
	m.links.update(func(l *links) {
		l.faults = maps.Clone(l.faults)
		l.faults[pair{from, to}] = f
	})
}

// SetBoth changes both directions between two nodes.
func (m *Mesh) SetBoth(a, b string, f Fault) {
	m.Set(a, b, f)
	m.Set(b, a, f)
}

// Isolate changes all links to and from a node.
func (m *Mesh) Isolate(node string, f Fault) {
	for _, other := range m.nodes {
		if other != node {
			m.SetBoth(node, other, f)
		}
	}
}

// Partition changes all links between the nodes named and the rest.
func (m *Mesh) Partition(side []string, f Fault) {
	in := make(map[string]bool, len(side))
	for _, name := range side {
		in[name] = true
	}
	for _, a := range m.nodes {
		for _, b := range m.nodes {
			if in[a] && !in[b] {
				m.SetBoth(a, b, f)
			}
		}
	}
}

// SetPower tells whether a node has power. Without it all its links are cut,
// whatever their faults; when it gets power again its old connections are
// reset.
func (m *Mesh) SetPower(node string, on bool) {
	if on {
		m.ResetConnections(node)
	}
	m.links.update(func(l *links) {
		l.unpowered = maps.Clone(l.unpowered)
		l.unpowered[node] = !on
	})
}

// ResetConnections ends all connections from and to a node.
func (m *Mesh) ResetConnections(node string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for f := range m.flows {
		if f.there.from == node || f.there.to == node {
			f.reset()
		}
	}
}

// Strangers counts connections from addresses of no node, which the mesh
// refuses: an agent that does not dial from its own address.
func (m *Mesh) Strangers() int64 { return m.strangers.Load() }

// Close ends all connections and listeners.
func (m *Mesh) Close() {
	m.stop()
	for _, l := range m.listeners {
		l.Close()
	}
	m.mu.Lock()
	for f := range m.flows {
		f.reset()
	}
	m.mu.Unlock()
	m.running.Wait()
}

func (m *Mesh) accept(l net.Listener, to string, addr netip.Addr) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		source := conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
		from, known := m.nodes[source]
		if !known {
			m.strangers.Add(1)
			conn.Close()
			continue
		}
		f := &flow{mesh: m, there: pair{from, to}, back: pair{to, from}, client: conn, closed: make(chan struct{})}
		if m.enter(f) {
			m.running.Go(func() { f.run(source, addr) })
		}
	}
}

// enter registers a flow, unless the mesh is closing.
func (m *Mesh) enter(f *flow) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil {
		f.client.Close()
		return false
	}
	m.flows[f] = struct{}{}
	return true
}

func (m *Mesh) leave(f *flow) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.flows, f)
}

// dial reaches a node's agent, from the address of the node that asks.
func (m *Mesh) dial(from, to netip.Addr) (net.Conn, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: from.AsSlice()}}
	return dialer.DialContext(m.ctx, "tcp", net.JoinHostPort(to.String(), strconv.Itoa(m.target)))
}

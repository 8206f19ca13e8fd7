package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bubble runs a test in fake time, and leaves time for what is on its way when
// the test ends.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		defer pass(time.Minute)
		test(t)
	})
}

// pass lets fake time pass.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // within a bubble it takes no time
}

// A wire is a network in memory, for synctest: each address has a link that
// delays or holds what passes through it. What it holds comes through later,
// as TCP's retransmissions would.
type wire struct {
	mu    sync.Mutex
	hosts map[string]*host
}

type host struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	link   *link
	dials  int
	open   int
}

type link struct {
	mu    sync.Mutex
	delay time.Duration
	pass  chan struct{} // closed while the link passes
}

func newWire() *wire { return &wire{hosts: make(map[string]*host)} }

func newLink() *link {
	l := &link{pass: make(chan struct{})}
	close(l.pass)
	return l
}

func (l *link) set(delay time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay = delay
}

func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pass = make(chan struct{})
}

func (l *link) heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.pass)
}

func (l *link) state() (time.Duration, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.delay, l.pass
}

// listen makes the address reachable. A link that it had before stays.
func (w *wire) listen(address string) *host {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := &host{conns: make(chan net.Conn), closed: make(chan struct{}), link: newLink()}
	if old := w.hosts[address]; old != nil {
		h.link = old.link
	}
	w.hosts[address] = h
	return h
}

func (w *wire) link(address string) *link {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hosts[address].link
}

// counts returns how often the address was dialled, and its open connections.
func (w *wire) counts(address string) (dials, open int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hosts[address].dials, w.hosts[address].open
}

func (h *host) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *host) Close() error   { h.once.Do(func() { close(h.closed) }); return nil }
func (h *host) Addr() net.Addr { return &net.UnixAddr{Name: "wire"} }

func (w *wire) dial(ctx context.Context, address string) (net.Conn, error) {
	w.mu.Lock()
	h := w.hosts[address]
	w.mu.Unlock()
	if h == nil {
		return nil, fmt.Errorf("nobody listens on %s", address)
	}
	near, nearPump := net.Pipe()
	far, farPump := net.Pipe()
	select {
	case h.conns <- far:
	case <-h.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	w.mu.Lock()
	h.dials++
	h.open++
	l := h.link
	w.mu.Unlock()
	done := make(chan struct{})
	var once sync.Once
	end := func() {
		once.Do(func() {
			close(done)
			_, _ = nearPump.Close(), farPump.Close()
			w.mu.Lock()
			h.open--
			w.mu.Unlock()
		})
	}
	var readers sync.WaitGroup
	readers.Add(2)
	go func() { readers.Wait(); end() }() // both ends are closed
	go pump(farPump, nearPump, l, done, end, readers.Done)
	go pump(nearPump, farPump, l, done, end, readers.Done)
	return near, nil
}

type chunk struct {
	data []byte
	due  time.Time
}

// pump carries what comes out of from, through the link, into to.
func pump(to, from net.Conn, l *link, done <-chan struct{}, end, closed func()) {
	defer end()
	chunks := make(chan chunk, 1024)
	go func() {
		defer closed()
		defer close(chunks)
		for {
			buf := make([]byte, 32<<10)
			n, err := from.Read(buf)
			if err != nil {
				return
			}
			delay, _ := l.state()
			select {
			case chunks <- chunk{buf[:n], time.Now().Add(delay)}:
			case <-done:
				return
			}
		}
	}()
	for c := range chunks {
		if wait := time.Until(c.due); wait > 0 { // golang/go#78156: no select on a timer that is due
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-done:
				timer.Stop()
				return
			}
		}
		_, pass := l.state()
		select {
		case <-pass:
		case <-done:
			return
		}
		if _, err := to.Write(c.data); err != nil {
			return
		}
	}
}

// An agent is one end of the conversation.
type agent struct {
	t      testing.TB
	wire   *wire
	config Config
	id     *Identity
	client *Client
	server *Server
	served sync.WaitGroup
}

// clock is one ideal clock for all the agents of a test.
func clock() func() timing.Instant {
	start := time.Now()
	return func() timing.Instant { return timing.At(time.Hour + time.Since(start)) }
}

// newAgent starts an agent that listens on its addresses. Its boot is new, and
// so is its key.
func newAgent(t testing.TB, w *wire, now func() timing.Instant, node string, addresses ...string) *agent {
	t.Helper()
	return newAgentWith(t, w, node, addresses, func(c *Config) { c.Now = now })
}

func newAgentWith(t testing.TB, w *wire, node string, addresses []string, set func(*Config)) *agent {
	t.Helper()
	c := Default()
	c.Node, c.Boot, c.Dial = node, "boot-of-"+node, w.dial
	set(&c)
	id, err := LoadIdentity(t.TempDir(), c.Boot)
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{t: t, wire: w, config: c, id: id}
	if a.client, err = NewClient(c, id); err != nil {
		t.Fatal(err)
	}
	if a.server, err = NewServer(c, id, a.client.Answered); err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		l := w.listen(address)
		a.served.Go(func() {
			if err := a.server.Serve(l); err != nil {
				t.Error(err)
			}
		})
	}
	return a
}

func (a *agent) close() {
	a.client.Close()
	a.server.Close()
	a.served.Wait()
}

// at returns the agent as a peer.
func (a *agent) at(addresses ...string) Peer {
	return Peer{Node: a.config.Node, Addresses: addresses, Fingerprint: a.id.Fingerprint()}
}

func (a *agent) setPeers(p Peers) {
	a.client.SetPeers(p)
	a.server.SetPeers(p)
}

func sampleRoll(serial int64) roll.Roll {
	return roll.Roll{
		History: "h1", Serial: serial,
		Epochs:  []roll.Epoch{{Number: 1, Witnesses: []string{"a", "b", "c"}}},
		Entries: []roll.Entry{{Node: "x", UID: "u-x", Boot: "boot-x", Fence: "f1", State: roll.Withheld}},
	}
}

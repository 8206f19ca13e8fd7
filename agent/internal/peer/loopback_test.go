package peer

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// onLoopback starts an agent on a real socket of 127.0.0.x.
func onLoopback(t testing.TB, node, ip string) (*agent, string) {
	t.Helper()
	start := time.Now()
	a := newAgentWith(t, newWire(), node, nil, func(c *Config) {
		c.Dial, c.Source = nil, netip.MustParseAddr(ip)
		c.Now = func() timing.Instant { return timing.At(time.Hour + time.Since(start)) }
		c.StatementRate, c.StatementBurst = 1e6, 1e6
	})
	l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		t.Skipf("cannot listen on %s: %v", ip, err)
	}
	a.served.Go(func() {
		if err := a.server.Serve(l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(a.close)
	return a, l.Addr().String()
}

// spy records where connections to a listener come from.
type spy struct {
	net.Listener
	mu   sync.Mutex
	from []string
}

func (s *spy) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err == nil {
		s.mu.Lock()
		host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		s.from = append(s.from, host)
		s.mu.Unlock()
	}
	return c, err
}

func TestClientDialsFromItsSource(t *testing.T) {
	a, _ := onLoopback(t, "a", "127.0.0.2")
	b, _ := onLoopback(t, "b", "127.0.0.3")
	l, err := net.Listen("tcp", "127.0.0.3:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &spy{Listener: l}
	b.served.Go(func() {
		if err := b.server.Serve(s); err != nil {
			t.Error(err)
		}
	})
	a.setPeers(Peers{Neighbours: []Peer{b.at("[::1]:1", l.Addr().String())}})
	b.setPeers(Peers{Callers: []Peer{a.at()}})
	beat(t, a, "b")
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.from) == 0 || s.from[0] != "127.0.0.2" {
		t.Errorf("connections come from %v, want 127.0.0.2", s.from)
	}
}

// neighbours returns an agent that is connected to its neighbour b, which has a
// roll to relay.
func neighbours(b *testing.B) *agent {
	b.Helper()
	x, _ := onLoopback(b, "a", "127.0.0.2")
	y, address := onLoopback(b, "b", "127.0.0.3")
	x.setPeers(Peers{Neighbours: []Peer{y.at(address)}})
	y.setPeers(Peers{Callers: []Peer{x.at()}})
	y.server.SetAnswers(Answers{Best: &roll.Held{Roll: sampleRoll(1), Sent: y.config.Now()}, RelayFor: 24 * time.Hour})
	if _, err := x.client.Heartbeat(context.Background(), "b"); err != nil {
		b.Fatal(err)
	}
	return x
}

// BenchmarkHeartbeat is one ping with a relay, both ends in one process, over
// TLS on loopback.
func BenchmarkHeartbeat(b *testing.B) {
	x, ctx := neighbours(b), context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x.client.Heartbeat(ctx, "b"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStream is the same through a stream.
func BenchmarkStream(b *testing.B) {
	x := neighbours(b)
	ctx, end := context.WithCancel(context.Background())
	s, err := x.client.openStream(ctx, "b")
	if err != nil {
		b.Fatal(err)
	}
	answered := make(chan Beat)
	var reads sync.WaitGroup
	reads.Go(func() { _, _ = s.run(func(beat Beat) { answered <- beat }) })
	b.ReportAllocs()
	for b.Loop() {
		if !s.ping(time.Second) {
			b.Fatal("the stream takes no ping")
		}
		if beat := <-answered; beat.Err != nil {
			b.Fatal(beat.Err)
		}
	}
	end()
	reads.Wait()
}

// BenchmarkHandshake is a new connection and one statement, both ends.
func BenchmarkHandshake(b *testing.B) {
	x, _ := onLoopback(b, "a", "127.0.0.2")
	y, address := onLoopback(b, "b", "127.0.0.3")
	ctx := context.Background()
	for b.Loop() {
		x.setPeers(Peers{Witnesses: []Peer{y.at(address)}})
		if _, _, err := x.client.Statement(ctx, "b"); err != nil {
			b.Fatal(err)
		}
		x.setPeers(Peers{})
	}
}

package peer

import (
	"context"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A path that is cut while it is in use costs one hedge, not the timeout.
func TestCallFailsOverToTheNextAddress(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b", "b:1", "storage-b:1")
		defer a.close()
		defer b.close()
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1", "storage-b:1")}})
		b.setPeers(Peers{Callers: []Peer{a.at()}})
		beat(t, a, "b")
		if dials, _ := w.counts("storage-b:1"); dials != 0 {
			t.Errorf("%d connections over the second address while the first answers", dials)
		}
		w.link("b:1").cut()
		if rtt := beat(t, a, "b").RTT; rtt > a.config.HedgeAfter+100*time.Millisecond {
			t.Errorf("the first answer after the cut took %v", rtt)
		}
		if rtt := beat(t, a, "b").RTT; rtt > 100*time.Millisecond {
			t.Errorf("the second answer after the cut took %v: the good path is not preferred", rtt)
		}
		w.link("b:1").heal()
		w.link("storage-b:1").cut()
		if rtt := beat(t, a, "b").RTT; rtt > a.config.HedgeAfter+100*time.Millisecond {
			t.Errorf("the first answer after the second cut took %v", rtt)
		}
	})
}

func TestCallSkipsAnAddressThatFails(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(w *wire)
	}{
		{"refuses", func(w *wire) { _ = w.listen("bad:1").Close() }},
		{"is unknown", func(*wire) {}},
		{"accepts nothing", func(w *wire) { w.listen("bad:1") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w, now := newWire(), clock()
				a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b", "b:1")
				defer a.close()
				defer b.close()
				tt.spoil(w)
				a.setPeers(Peers{Neighbours: []Peer{b.at("bad:1", "b:1")}})
				b.setPeers(Peers{Callers: []Peer{a.at()}})
				if rtt := beat(t, a, "b").RTT; rtt > a.config.HedgeAfter {
					t.Errorf("the answer took %v", rtt)
				}
			})
		})
	}
}

// A dead connection behind which the peer is well must not outlast a call,
// with one address as well: behind a proxy no TCP timer ends it.
func TestCallLeavesADeadConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b", "b:1")
		defer a.close()
		defer b.close()
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}})
		b.setPeers(Peers{Callers: []Peer{a.at()}})
		beat(t, a, "b")
		old := w.link("b:1")
		w.mu.Lock()
		w.hosts["b:1"].link = newLink() // new connections pass, the old one hangs
		w.mu.Unlock()
		old.cut()
		if rtt := beat(t, a, "b").RTT; rtt > a.config.HedgeAfter+100*time.Millisecond {
			t.Errorf("the answer took %v", rtt)
		}
		old.heal()
		pass(time.Second)
		if _, open := w.counts("b:1"); open != 1 {
			t.Errorf("%d connections are open, want the good one alone", open)
		}
	})
}

// A slow link is no lost one: answers count as long as Timeout.
func TestSlowAnswersCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b", "b:1")
		defer a.close()
		defer b.close()
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}})
		b.setPeers(Peers{Callers: []Peer{a.at()}})
		beat(t, a, "b")
		w.link("b:1").set(900 * time.Millisecond)
		for range 20 {
			if rtt := beat(t, a, "b").RTT; rtt != 1800*time.Millisecond {
				t.Errorf("round trip = %v, want 1.8 s", rtt)
			}
		}
		// The spare path cannot be made within ConnectTimeout here: one try each.
		if dials, _ := w.counts("b:1"); dials > 1+36/2 {
			t.Errorf("%d connections were made in 36 s", dials)
		}
	})
}

func TestPeerWithANewKeyIsFoundAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b", "b:1")
		defer a.close()
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}})
		b.setPeers(Peers{Callers: []Peer{a.at()}})
		beat(t, a, "b")
		b.close()

		again := newAgent(t, w, now, "b", "b:1")
		defer again.close()
		again.setPeers(Peers{Callers: []Peer{a.at()}})
		for range 10 {
			noBeat(t, a, "b", "")
		}
		noBeat(t, a, "b", "it may have rebooted and not published its new key yet")
		a.setPeers(Peers{Neighbours: []Peer{again.at("b:1")}})
		if rtt := beat(t, a, "b").RTT; rtt > 100*time.Millisecond {
			t.Errorf("the first answer under the new pin took %v", rtt)
		}
	})
}

func TestPeerThatComesBackIsFoundSoon(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b", "b:1")
		defer a.close()
		defer b.close()
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}})
		b.setPeers(Peers{Callers: []Peer{a.at()}})
		w.listen("b:1").Close()
		start := now()
		for start.Age(now()) < time.Minute {
			noBeat(t, a, "b", "connection refused")
		}
		l := w.listen("b:1")
		b.served.Go(func() {
			if err := b.server.Serve(l); err != nil {
				t.Error(err)
			}
		})
		if rtt := beat(t, a, "b").RTT; rtt > a.config.BackoffMax*3/2 {
			t.Errorf("it took %v to find the peer again", rtt)
		}
	})
}

func TestWakeEndsThePause(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a := newAgentWith(t, w, "a", nil, func(c *Config) {
			c.Now, c.BackoffMin, c.BackoffMax = now, time.Hour, time.Hour
		})
		b := newAgent(t, w, now, "b", "b:1")
		defer a.close()
		defer b.close()
		a.setPeers(Peers{Neighbours: []Peer{b.at("later:1")}})
		b.setPeers(Peers{Callers: []Peer{a.at()}})
		noBeat(t, a, "b", "nobody listens")
		l := w.listen("later:1")
		b.served.Go(func() {
			if err := b.server.Serve(l); err != nil {
				t.Error(err)
			}
		})
		noBeat(t, a, "b", "nobody listens")
		a.client.Wake()
		beat(t, a, "b")
	})
}

// What closes the main path while the spare one connects leaves the spare one the
// main path.
func TestWakeWhileTheSparePathConnects(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a := newAgentWith(t, w, "a", nil, func(c *Config) {
			c.Now, c.BackoffMin, c.BackoffMax = now, time.Hour, time.Hour
		})
		b := newAgent(t, w, now, "b", "b:1")
		defer a.close()
		defer b.close()
		a.setPeers(Peers{Neighbours: []Peer{b.at("later:1")}})
		b.setPeers(Peers{Callers: []Peer{a.at()}})
		var waking sync.WaitGroup
		waking.Go(func() {
			pass(a.config.HedgeAfter / 2) // nobody listens: the main path has failed
			l := w.listen("later:1")
			b.served.Go(func() {
				if err := b.server.Serve(l); err != nil {
					t.Error(err)
				}
			})
			w.link("later:1").set(20 * time.Millisecond)
			pass(a.config.HedgeAfter/2 + 10*time.Millisecond) // the spare one has begun
			a.client.Wake()
		})
		beat(t, a, "b")
		waking.Wait()
		beat(t, a, "b")
	})
}

// A call whose path was closed meanwhile goes on by a new one.
func TestTheOtherOfAClosedPathIsANewOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b", "b:1")
		defer a.close()
		defer b.close()
		b.setPeers(Peers{Callers: []Peer{a.at()}})
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}})
		beat(t, a, "b")
		l := a.client.lines["b"]
		closed := l.main
		if !l.change(closed, nil) {
			t.Fatal("there is no other key to show")
		}
		if p, err := l.other(closed); err != nil || p == nil || p == closed || p != l.main {
			t.Errorf("got %p, %v; the main one is %p, %p is closed", p, err, l.main, closed)
		}
		beat(t, a, "b")
	})
}

// A full is a connection that takes nothing more once it is on.
type full struct {
	net.Conn
	on *atomic.Bool
}

func (f full) Write(data []byte) (int, error) {
	if f.on.Load() {
		pass(5 * time.Second)
		return 0, os.ErrDeadlineExceeded
	}
	return f.Conn.Write(data)
}

// The core wakes the lines, and a deadline of its may be near: no line keeps it while
// a connection closes that takes nothing more.
func TestWakeWaitsForNoConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		var on atomic.Bool
		a := newAgentWith(t, w, "a", nil, func(c *Config) {
			c.Now, c.Dial = now, func(ctx context.Context, address string) (net.Conn, error) {
				conn, err := w.dial(ctx, address)
				return full{conn, &on}, err
			}
		})
		b := newAgent(t, w, now, "b", "b:1")
		defer a.close()
		defer b.close()
		b.setPeers(Peers{Callers: []Peer{a.at()}})
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}})
		beat(t, a, "b")
		on.Store(true)
		l := a.client.lines["b"]
		var changing sync.WaitGroup
		changing.Go(func() { l.change(l.main, nil) })
		pass(time.Millisecond)
		if l.mu.TryLock() { // time stands still in a bubble for whoever waits for it
			l.mu.Unlock()
			a.client.Wake()
		} else {
			t.Error("the line waits for a connection to close")
		}
		changing.Wait()
	})
}

func TestIdleConnectionsCloseAndLeavingPeersToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b", "b:1")
		defer a.close()
		defer b.close()
		open := func() int { _, n := w.counts("b:1"); return n }
		if open() != 0 {
			t.Error("connected before the first call")
		}
		b.setPeers(Peers{Callers: []Peer{a.at()}})
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}})
		beat(t, a, "b")
		pass(2*a.config.IdleTimeout + time.Second) // gRPC notices within two of them
		if open() != 0 {
			t.Errorf("%d idle connections after %v", open(), a.config.IdleTimeout)
		}
		beat(t, a, "b")
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}, Witnesses: []Peer{b.at("b:1")}})
		if beat(t, a, "b"); open() != 1 {
			t.Errorf("%d connections to a peer that stayed", open())
		}
		if dials, _ := w.counts("b:1"); dials != 2 {
			t.Errorf("%d connections were made, want 2", dials)
		}
		a.setPeers(Peers{})
		pass(time.Second)
		if open() != 0 {
			t.Errorf("%d connections to a peer that left", open())
		}
		if _, ok := a.client.Answered("b"); ok {
			t.Error("a peer that left still counts as heard")
		}
	})
}

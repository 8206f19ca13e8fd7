package kube

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// watchGuard runs WatchGuard until the test ends and returns what it hands on:
// the guard's spec.unarmed, or "none".
func watchGuard(t *testing.T, a *API) <-chan string {
	t.Helper()
	got := make(chan string, 100)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		a.WatchGuard(ctx, func(g *v1alpha1.NodeGuard) {
			if g == nil {
				got <- "none"
				return
			}
			got <- g.Spec.Unarmed
		})
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return got
}

// expect waits for the next value.
func expect(t *testing.T, got <-chan string, want string) {
	t.Helper()
	select {
	case g := <-got:
		if g != want {
			t.Fatalf("got %q, want %q", g, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("got nothing, want %q", want)
	}
}

func say(s string) func(*v1alpha1.NodeGuard) {
	return func(g *v1alpha1.NodeGuard) { g.Spec.Unarmed = s }
}

func TestWatchGuard(t *testing.T) {
	server := newFakeAPI(t)
	got := watchGuard(t, open(t, config(server)))
	expect(t, got, "none")
	server.put("u1", say("made"))
	expect(t, got, "made")
	server.put("u1", say("changed"))
	expect(t, got, "changed")
	server.remove()
	expect(t, got, "none")
	server.put("u2", say("made again"))
	expect(t, got, "made again")
}

// A NodeGuard that was there and is not, or is another one, was deleted by
// somebody; one that was never there was not.
func TestWatchGuardTellsOfADeletion(t *testing.T) {
	server := newFakeAPI(t)
	cfg := config(server)
	revoked := make(chan string, 10)
	cfg.Revoked = func() { revoked <- "" }
	got := watchGuard(t, open(t, cfg))
	expect(t, got, "none")
	for n, step := range []struct {
		uid  string // none: remove
		want string
		runs int
	}{{"u1", "1", 0}, {"u1", "2", 0}, {"", "none", 1}, {"u2", "3", 0}, {"u3", "4", 1}} {
		if step.uid == "" {
			server.remove()
		} else {
			server.put(step.uid, say(step.want))
		}
		expect(t, got, step.want)
		for range step.runs {
			expect(t, revoked, "")
		}
		if len(revoked) > 0 {
			t.Errorf("step %d: called too often", n)
		}
	}
}

// The watch comes back after each kind of outage, and tells what was missed,
// a deletion too, but nothing twice.
func TestWatchGuardSurvivesOutages(t *testing.T) {
	for _, test := range []struct {
		name   string
		outage http.HandlerFunc
	}{
		{"500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }},
		{"403", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }},
		{"429", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		}},
		{"garbage", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }},
		{"never answers", stall},
		{"cut off", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := newFakeAPI(t)
			server.put("u1", say("before"))
			cfg := config(server)
			cfg.Deadline = 50 * time.Millisecond
			got := watchGuard(t, open(t, cfg))
			expect(t, got, "before")
			server.act(test.outage)
			tried := server.hits.Load()
			server.CloseClientConnections()
			for server.hits.Load() < tried+3 {
				<-time.After(time.Millisecond)
			}
			server.remove()
			server.act(nil)
			expect(t, got, "none")
			server.put("u2", say("after"))
			expect(t, got, "after")
			if len(got) > 0 {
				t.Errorf("and then %q", <-got)
			}
		})
	}
}

// When one endpoint goes, the watch moves to another one.
func TestWatchGuardMoves(t *testing.T) {
	first, second := newFakeAPI(t), newFakeAPI(t)
	first.put("u1", say("first"))
	second.put("u1", say("x"))
	second.put("u1", say("second"))
	got := watchGuard(t, open(t, config(first, second)))
	expect(t, got, "first")
	first.CloseClientConnections()
	first.Close()
	expect(t, got, "second")
}

// A network that swallows everything is found out by pings, long before TCP
// would.
func TestSilentNetworkEndsTheWatch(t *testing.T) {
	server := newFakeAPI(t)
	server.put("u1", say("before"))
	net := newSwallower(t, server.Listener.Addr().String())
	cfg := config(server)
	cfg.Endpoints = []string{"https://" + net.listener.Addr().String()}
	cfg.PingAfter, cfg.PingTimeout = 50*time.Millisecond, 50*time.Millisecond
	got := watchGuard(t, open(t, cfg))
	expect(t, got, "before")
	net.swallow()
	server.put("u1", say("missed"))
	began := time.Now()
	expect(t, got, "missed")
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("took %v", d)
	}
}

// A swallower passes connections on until it is told to swallow what goes
// through the present ones, without closing them.
type swallower struct {
	listener net.Listener
	mu       sync.Mutex
	muted    chan struct{}
}

func newSwallower(t *testing.T, to string) *swallower {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &swallower{listener: l, muted: make(chan struct{})}
	var conns []net.Conn
	var running sync.WaitGroup
	running.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			s.mu.Lock()
			conns = append(conns, in, out)
			muted := s.muted
			s.mu.Unlock()
			for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
				running.Go(func() { pass(way[0], way[1], muted) })
			}
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		s.mu.Unlock()
		running.Wait()
	})
	return s
}

// pass copies from one connection to the other until it is muted.
func pass(from, to net.Conn, muted <-chan struct{}) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		select {
		case <-muted:
		default:
			_, _ = to.Write(buf[:n])
		}
	}
}

func (s *swallower) swallow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.muted)
	s.muted = make(chan struct{})
}

// What the watch says late must not undo what a write has learned.
func TestLastSeen(t *testing.T) {
	guard := func(uid, version string) *v1alpha1.NodeGuard {
		g := &v1alpha1.NodeGuard{}
		g.UID, g.ResourceVersion = uidOf(uid), version
		return g
	}
	for _, test := range []struct {
		name string
		do   func(*lastSeen)
		want string
	}{
		{"nothing", func(*lastSeen) {}, ""},
		{"watched", func(l *lastSeen) { l.watched(guard("u", "9")) }, "9"},
		{"newer", func(l *lastSeen) { l.read(guard("u", "9")); l.watched(guard("u", "10")) }, "10"},
		{"older", func(l *lastSeen) { l.read(guard("u", "10")); l.watched(guard("u", "9")) }, "10"},
		{"older of another object", func(l *lastSeen) { l.read(guard("u", "10")); l.watched(guard("v", "9")) }, "9"},
		{"read after a restore", func(l *lastSeen) { l.read(guard("u", "10")); l.read(guard("u", "9")) }, "9"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var l lastSeen
			test.do(&l)
			if _, got := l.get(); got != test.want {
				t.Error(cmp.Diff(test.want, got))
			}
		})
	}
}

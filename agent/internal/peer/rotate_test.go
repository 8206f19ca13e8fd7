package peer

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/proto/timing"
)

// A pulsetaker keeps the longest time between two answers to an agent's pings.
type pulsetaker struct {
	now func() timing.Instant

	mu    sync.Mutex
	last  timing.Instant
	worst time.Duration
	beats int
}

func (p *pulsetaker) hear(b Beat) {
	if b.Err != nil {
		return
	}
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.beats++; p.beats > 1 {
		p.worst = max(p.worst, p.last.Age(now))
	}
	p.last = now
}

// pings lets the agent ping its neighbour until the function that it returns is
// called.
func pings(a *agent, node string, every time.Duration) (*pulsetaker, func()) {
	p := &pulsetaker{now: a.config.Now}
	h := NewHeartbeater(a.client, p.hear)
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { h.Run(ctx) })
	h.Set(every, []string{node})
	return p, func() { cancel(); done.Wait() }
}

// §9: a key is rotated without a gap, whoever hears of it first: both directions
// of a link beat on, on kept connections and on new ones.
func TestRotationLeavesNoGap(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const every = 500 * time.Millisecond
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a", "a:1"), newAgent(t, w, now, "b", "b:1")
		defer a.close()
		defer b.close()
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}})
		b.setPeers(Peers{Neighbours: []Peer{a.at("a:1")}})
		out, stopOut := pings(a, "b", every)
		in, stopIn := pings(b, "a", every)
		pass(10 * time.Second)
		old := a.id.Fingerprint()

		if _, err := a.id.Rotate(); err != nil {
			t.Fatal(err)
		}
		pass(5 * time.Second) // the API is slow
		if got := a.client.Accepted("b"); got != old {
			t.Errorf("b accepts %.8s before it can know another key than %.8s", got, old)
		}
		b.client.Close() // whatever ends connections now: the new ones need the old key
		client, err := NewClient(b.config, b.id)
		if err != nil {
			t.Fatal(err)
		}
		stopIn()
		b.client = client
		b.client.SetPeers(Peers{Neighbours: []Peer{{Node: "a", Addresses: []string{"a:1"}, Fingerprint: old}}})
		again, stopAgain := pings(b, "a", every)
		pass(5 * time.Second)

		b.setPeers(Peers{Neighbours: []Peer{a.at("a:1")}})
		pass(5 * time.Second)
		if got := a.client.Accepted("b"); got != a.id.Fingerprint() {
			t.Errorf("b has the new pin and accepts %.8s", got)
		}
		if err := a.id.Retire(a.id.Fingerprint()); err != nil {
			t.Fatal(err)
		}
		pass(5 * time.Second)
		stopOut()
		stopAgain()
		for name, p := range map[string]*pulsetaker{"a → b": out, "b → a": in, "b → a anew": again} {
			if p.beats < 8 || p.worst > every+every/2 {
				t.Errorf("%s: %d answers, at most %v apart; pings go every %v", name, p.beats, p.worst, every)
			}
		}
		if d := cmp.Diff([]string{a.id.Fingerprint()}, a.id.Fingerprints()); d != "" {
			t.Error(d)
		}
		if err := heartbeatPinned(b, "a", "a:1", old); err == nil {
			t.Error("a key that was retired is still shown")
		}
	})
}

// heartbeatPinned asks once, over a new connection, with that pin.
func heartbeatPinned(from *agent, node, address, pin string) error {
	c, err := NewClient(from.config, from.id)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetPeers(Peers{Neighbours: []Peer{{Node: node, Addresses: []string{address}, Fingerprint: pin}}})
	_, err = c.Heartbeat(context.Background(), node)
	return err
}

// A witness is asked by nodes that have heard of its new key and by others that
// have not, at the same time.
func TestRotatedWitnessAnswersBothPins(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a", "a:1"), newAgent(t, w, now, "b")
		defer a.close()
		defer b.close()
		var pins []string
		for range maxKeys + 1 {
			pins = append(pins, a.id.Fingerprint())
			if _, err := a.id.Rotate(); err != nil {
				t.Fatal(err)
			}
		}
		pins = append(pins, a.id.Fingerprint())
		r := sampleRoll(7)
		a.server.SetAnswers(Answers{Own: &r})
		for n, pin := range pins {
			b.setPeers(Peers{Witnesses: []Peer{{Node: "a", Addresses: []string{"a:1"}, Fingerprint: pin}}})
			before, _ := w.counts("a:1")
			_, ok, err := b.client.Statement(context.Background(), "a")
			dials, _ := w.counts("a:1")
			if kept := n >= len(pins)-maxKeys; kept != (ok && err == nil) || kept && dials-before != 1 {
				t.Errorf("key %d of %d: %v, %v after %d connections", n+1, len(pins), ok, err, dials-before)
			}
		}
	})
}

// An agent of a version before this one says its peer's name and not which key
// it has pinned: it gets each in its turn.
func TestRotatedServerServesOlderClients(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a", "a:1"), newAgent(t, w, now, "b")
		defer a.close()
		defer b.close()
		if _, err := a.id.Rotate(); err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for range 2 {
			raw, err := w.dial(context.Background(), "a:1")
			if err != nil {
				t.Fatal(err)
			}
			c := clientTLS(b.id.credentials()[0], "")
			c.ServerName, c.VerifyConnection, c.NextProtos = "a", nil, []string{"h2"}
			conn := tls.Client(raw, c)
			if err := conn.Handshake(); err != nil {
				t.Fatal(err)
			}
			got[fingerprint(conn.ConnectionState().PeerCertificates[0])] = true
			_ = conn.Close()
		}
		for _, f := range a.id.Fingerprints() {
			if !got[f] {
				t.Errorf("%.8s was not shown", f)
			}
		}
	})
}

// An agent that restarts in the middle of a rotation goes on with both keys.
func TestRotationSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	id := load(t, dir, "boot-1")
	first := id.Fingerprint()
	second, err := id.Rotate()
	if err != nil {
		t.Fatal(err)
	}
	again := load(t, dir, "boot-1")
	if d := cmp.Diff([]string{second, first}, again.Fingerprints()); d != "" {
		t.Error(d)
	}
	if err := again.Retire(first); err != nil || len(again.Fingerprints()) != 2 {
		t.Errorf("%d keys after a newer one was made, %v", len(again.Fingerprints()), err)
	}
	if err := again.Retire(second); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{second}, load(t, dir, "boot-1").Fingerprints()); d != "" {
		t.Error(d)
	}
	if next := load(t, dir, "boot-2").Fingerprint(); next == first || next == second {
		t.Error("a key outlives its boot")
	}
}

// A key that is refused is said to be so, with whose it might be and what to do:
// once at first, and once more when it lasts.
func TestARefusedKeyIsLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var said bytes.Buffer
		w, now := newWire(), clock()
		server := newAgentWith(t, w, "b", []string{"b:1"}, func(c *Config) {
			c.Now, c.Log = now, slog.New(slog.NewTextHandler(&said, nil))
		})
		defer server.close()
		stale, fresh := newAgent(t, w, now, "x"), newAgent(t, w, now, "x")
		pretender, foreign := newAgent(t, w, now, "x"), newAgent(t, w, now, "y\nlevel=ERROR")
		server.server.SetPeers(Peers{Callers: []Peer{stale.at()}})
		server.server.SetPeers(Peers{Callers: []Peer{fresh.at()}})
		for _, tt := range []struct {
			name string
			who  *agent
			want []string
		}{
			{"of an earlier boot", stale, []string{"stale: it was the key of x until", "restart the agent of x"}},
			{"claims another's name", pretender, []string{"it says that it is x", "kubectl get nodeguard x", "pretends to be x"}},
			{"of nobody", foreign, []string{"foreign: of no node", `claims="y\nlevel=ERROR"`}},
		} {
			for _, level := range []string{"INFO", "WARN", ""} {
				said.Reset()
				for range 3 {
					tt.who.setPeers(Peers{Neighbours: []Peer{server.at("b:1")}})
					noBeat(t, tt.who, "b", "does not know the caller's key")
				}
				pass(lasting)
				text := said.String()
				if level == "" {
					if text != "" {
						t.Errorf("%s: said again: %q", tt.name, text)
					}
					continue
				}
				for _, want := range append(tt.want, "level="+level, "key="+tt.who.id.Fingerprint(), "from=") {
					if !strings.Contains(text, want) {
						t.Errorf("%s: said %q, want %q in it", tt.name, text, want)
					}
				}
				if n := strings.Count(text, "\n"); n != 1 || strings.Contains(text, "nothing if it ends") != (level == "INFO") {
					t.Errorf("%s: %d lines, want one: %q", tt.name, n, text)
				}
			}
			tt.who.close()
		}
		fresh.close()
	})
}

// The same for a server that shows another key than the pinned one.
func TestARefusedServerIsLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var said bytes.Buffer
		w, now := newWire(), clock()
		a := newAgentWith(t, w, "a", nil, func(c *Config) { c.Now, c.Log = now, slog.New(slog.NewTextHandler(&said, nil)) })
		b := newAgent(t, w, now, "b", "b:1")
		defer a.close()
		defer b.close()
		p := b.at("b:1")
		p.Fingerprint = strings.Repeat("0", 64)
		a.setPeers(Peers{Neighbours: []Peer{p}})
		for range 10 {
			noBeat(t, a, "b", "peer's key is")
		}
		text := said.String()
		for _, want := range []string{"level=INFO", "level=WARN", "refused a server's key", "peer=b", "key=" + b.id.Fingerprint(), "pinned=" + p.Fingerprint} {
			if !strings.Contains(text, want) {
				t.Errorf("said %q, want %q in it", text, want)
			}
		}
		if n := strings.Count(text, "\n"); n != 2 {
			t.Errorf("%d lines, want two: %s", n, text)
		}
	})
}

// Whoever makes keys without end fills neither the log nor the memory.
func TestRefusalsAreBounded(t *testing.T) {
	var said bytes.Buffer
	at := timing.At(time.Hour)
	r := newRefusals(Config{Log: slog.New(slog.NewTextHandler(&said, nil)), Now: func() timing.Instant { return at }})
	const seconds, each = 1000, 50
	for s := range seconds {
		at = at.Add(time.Second)
		for n := range each {
			key := fmt.Sprint(s, "-", n)
			r.caller(key, &net.TCPAddr{}, strings.Repeat("x", 4000), nil)
			r.changed(owners{key: {"x"}}, nil)
		}
	}
	lines := strings.Count(said.String(), "\n")
	if limit := tellBurst + seconds*tellRate; lines < tellBurst || float64(lines) > limit {
		t.Errorf("%d lines, want at most %v", lines, limit)
	}
	if len(r.told) > maxTold || len(r.former) > maxTold {
		t.Errorf("%d and %d keys are remembered", len(r.told), len(r.former))
	}
	if !strings.Contains(said.String(), fmt.Sprintf("left_out=%d", each*int(1/tellRate)-1)) {
		t.Errorf("no word of what was left out: %q", said.String()[:1000])
	}
	if longest := said.Len() / lines; longest > 1000 {
		t.Errorf("lines of %d bytes", longest)
	}
}

func TestRotateNeedsAPlaceForItsKey(t *testing.T) {
	id := load(t, t.TempDir(), "boot-1")
	before := id.Fingerprint()
	id.path = "/proc/nowhere/peer.key"
	if _, err := id.Rotate(); err == nil || errors.Unwrap(err) == nil {
		t.Errorf("a key that cannot be kept: %v", err)
	}
	if id.Fingerprint() != before {
		t.Error("a key is used that a restart would lose")
	}
}

// A connection that was lost and woken shows the key that the peer has known, and
// what the peer knows stays known meanwhile.
func TestWakeKeepsTheKeyThatThePeerKnows(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a := newAgentWith(t, w, "a", nil, func(c *Config) {
			c.Now, c.BackoffMin, c.BackoffMax = now, time.Hour, time.Hour
		})
		b := newAgent(t, w, now, "b", "b:1")
		defer a.close()
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}})
		b.setPeers(Peers{Callers: []Peer{a.at()}})
		beat(t, a, "b")
		known := a.client.Accepted("b")
		if _, err := a.id.Rotate(); err != nil {
			t.Fatal(err)
		}
		b.close()
		noBeat(t, a, "b", "connection refused")
		a.client.Wake()
		if got := a.client.Accepted("b"); got != known || got == "" {
			t.Errorf("b knows %q, want %q", got, known)
		}
	})
}

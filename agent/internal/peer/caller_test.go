package peer

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// §9: of each node that calls, an agent knows which of its keys that node has
// pinned, as long as it calls and for as long as it is listed.
func TestCallersShowWhichKeyTheyHavePinned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, c, d := newAgent(t, w, now, "a", "a:1"), newAgent(t, w, now, "c"), newAgent(t, w, now, "d")
		for _, x := range []*agent{a, c, d} {
			defer x.close()
		}
		a.setPeers(Peers{Callers: []Peer{c.at(), d.at()}})
		for _, x := range []*agent{c, d} {
			x.setPeers(Peers{Neighbours: []Peer{a.at("a:1")}})
		}
		h := NewHeartbeater(c.client, func(Beat) {})
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		h.Set(500*time.Millisecond, []string{"a"})
		c.served.Go(func() { h.Run(ctx) })
		old := a.id.Fingerprint()
		pass(10 * time.Second)
		beat(t, d, "a")
		keys := func() map[string]string {
			got := map[string]string{}
			for node, caller := range a.server.Callers() {
				got[node] = caller.Key
			}
			return got
		}
		want := func(when string, want map[string]string) {
			t.Helper()
			if diff := cmp.Diff(want, keys()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", when, diff)
			}
		}
		want("before", map[string]string{"c": old, "d": old})

		newest, err := a.id.Rotate()
		if err != nil {
			t.Fatal(err)
		}
		d.setPeers(Peers{Neighbours: []Peer{a.at("a:1")}}) // the API has told d
		pass(time.Minute)
		beat(t, d, "a")
		want("one has heard of it", map[string]string{"c": old, "d": newest})
		if last := a.server.Callers()["c"].At; last.Age(now()) > time.Second {
			t.Errorf("c was last heard %v ago", last.Age(now()))
		}
		c.client.Wake()
		c.setPeers(Peers{Neighbours: []Peer{a.at("a:1")}})
		pass(time.Second)
		want("both have", map[string]string{"c": newest, "d": newest})

		if err := a.id.Retire(newest); err != nil {
			t.Fatal(err)
		}
		want("the old one is gone", map[string]string{"c": newest, "d": newest})
		a.setPeers(Peers{Callers: []Peer{d.at()}})
		want("c is no caller any more", map[string]string{"d": newest})
		cancel()
	})
}

// A connection that is older than the last rotations says which key it has pinned,
// or that this agent has it no more.
func TestAPinThatIsGoneIsNoKeyOfOurs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, c := newAgent(t, w, now, "a", "a:1"), newAgent(t, w, now, "c")
		defer a.close()
		defer c.close()
		a.setPeers(Peers{Callers: []Peer{c.at()}})
		c.setPeers(Peers{Neighbours: []Peer{a.at("a:1")}})
		old := a.id.Fingerprint()
		for n, want := range []string{old, old, ""} {
			switch n {
			case 1:
				if _, err := a.id.Rotate(); err != nil {
					t.Fatal(err)
				}
			case 2:
				if err := a.id.Retire(a.id.Fingerprint()); err != nil {
					t.Fatal(err)
				}
			}
			beat(t, c, "a")
			if got := a.server.Callers()["c"].Key; got != want {
				t.Errorf("look %d: %.8q, want %.8q", n+1, got, want)
			}
		}
	})
}

// Whoever asks for statements may be anybody, and say any name: what is kept of
// that is one instant for each key, and whoever does not finish a handshake under
// one leaves nothing.
func TestAskedIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, x := newAgent(t, w, now, "a", "a:1"), newAgent(t, w, now, "x")
		defer a.close()
		defer x.close()
		ask := func() {
			t.Helper()
			x.setPeers(Peers{Witnesses: []Peer{a.at("a:1")}})
			if _, _, err := x.client.Statement(context.Background(), "a"); err != nil {
				t.Fatal(err)
			}
			x.setPeers(Peers{})
		}
		for range 3 * maxKeys {
			ask()
			if _, err := a.id.Rotate(); err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
		}
		ask()
		asked := a.server.Asked()
		if len(asked) > maxKeys+1 {
			t.Errorf("%d keys are noted", len(asked))
		}
		for n, key := range a.id.Fingerprints() {
			if diff := cmp.Diff(now().Add(-time.Duration(n)*time.Second), asked[key]); diff != "" {
				t.Errorf("key %d of the newest:\n%s", n+1, diff)
			}
		}

		names := []string{a.id.credentials()[1].name, "a", "", strings.Repeat("0", 32) + wanted, strings.Repeat("x.", 100) + "y"}
		for _, name := range names {
			before := a.server.Asked()
			raw, err := w.dial(context.Background(), "a:1")
			if err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
			conn := tls.Client(raw, &tls.Config{ServerName: name, InsecureSkipVerify: true, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS13})
			_ = conn.Handshake() // shows no key, and calls nothing
			_ = raw.Close()
			pass(time.Second)
			if diff := cmp.Diff(before, a.server.Asked()); diff != "" {
				t.Errorf("a stranger who asks for %q and shows nothing leaves\n%s", name, diff)
			}
		}
	})
}

// An agent of a version before this one cannot say which of several keys it has
// pinned: no key is taken for it.
func TestAskedByName(t *testing.T) {
	id := load(t, t.TempDir(), "boot-1")
	first := id.Fingerprint()
	for name, want := range map[string]string{nameOf(first): first, "a": first, "": first, "0" + wanted: ""} {
		if got := id.asked(name); got != want {
			t.Errorf("one key, %q: %q, want %q", name, got, want)
		}
	}
	second, err := id.Rotate()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{nameOf(first): first, nameOf(second): second, "a": "", "": "", "0" + wanted: ""} {
		if got := id.asked(name); got != want {
			t.Errorf("two keys, %q: %q, want %q", name, got, want)
		}
	}
}

package peer

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A node's token suffices to publish another node's fingerprint as one's own. That
// cuts nobody off: a, which has the key and says that it is a, is answered, in
// whatever order the two are listed, on its open connection and on a new one.
func TestAClaimedFingerprintCutsNobodyOff(t *testing.T) {
	for name, listed := range map[string]func(a, liar Peer) Peers{
		"the liar comes last":      func(a, liar Peer) Peers { return Peers{Neighbours: []Peer{a, liar}} },
		"the liar comes first":     func(a, liar Peer) Peers { return Peers{Neighbours: []Peer{liar, a}} },
		"the liar is a caller":     func(a, liar Peer) Peers { return Peers{Neighbours: []Peer{a}, Callers: []Peer{a, liar}} },
		"the liar is a neighbour":  func(a, liar Peer) Peers { return Peers{Neighbours: []Peer{liar}, Callers: []Peer{a}} },
		"the liar has its own key": func(a, _ Peer) Peers { return Peers{Neighbours: []Peer{a}} },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w, now := newWire(), clock()
				a, b, m := newAgent(t, w, now, "a", "a:1"), newAgent(t, w, now, "b", "b:1"), newAgent(t, w, now, "m", "m:1")
				for _, x := range []*agent{a, b, m} {
					defer x.close()
				}
				a.setPeers(Peers{Neighbours: []Peer{m.at("m:1")}})
				b.setPeers(Peers{Neighbours: []Peer{m.at("m:1")}})
				m.setPeers(Peers{Neighbours: []Peer{a.at("a:1")}})
				beat(t, a, "m")
				liar := Peer{Node: "b", Addresses: []string{"b:1"}, Fingerprint: a.id.Fingerprint()}
				m.setPeers(listed(a.at("a:1"), liar))
				beat(t, a, "m")
				pass(2 * a.config.IdleTimeout) // and on a new connection
				beat(t, a, "m")
				if at := m.server.Heard()["a"]; at != now() {
					t.Errorf("m heard a at %v, it is %v", at, now())
				}
				noBeat(t, b, "m", "does not know the caller's key") // it cannot prove what it claims
				if at, ok := m.server.Heard()["b"]; ok {
					t.Errorf("m heard b at %v", at)
				}
			})
		})
	}
}

// Whoever has a key is no node but those that have published it.
func TestAKeyIsOfThoseThatPublishItAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		m, c, x := newAgent(t, w, now, "m", "m:1"), newAgent(t, w, now, "c"), newAgent(t, w, now, "x")
		for _, z := range []*agent{m, c, x} {
			defer z.close()
		}
		key := x.id.Fingerprint() // x says that it is x
		x.setPeers(Peers{Neighbours: []Peer{m.at("m:1")}})
		m.setPeers(Peers{Callers: []Peer{c.at(), {Node: "b", Fingerprint: key}, {Node: "a", Fingerprint: key}}})
		noBeat(t, x, "m", `the key is that of a, b, not of "x"`)
	})
}

// A key that nobody has any more is said to have been of all that had it.
func TestAFormerKeyIsOfAllThatHadIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var said bytes.Buffer
		w, now := newWire(), clock()
		m := newAgentWith(t, w, "m", []string{"m:1"}, func(c *Config) {
			c.Now, c.Log = now, slog.New(slog.NewTextHandler(&said, nil))
		})
		a := newAgent(t, w, now, "a", "a:1")
		defer m.close()
		defer a.close()
		a.setPeers(Peers{Neighbours: []Peer{m.at("m:1")}})
		liar := Peer{Node: "b", Fingerprint: a.id.Fingerprint()}
		m.setPeers(Peers{Callers: []Peer{a.at("a:1"), liar}})
		beat(t, a, "m")
		m.setPeers(Peers{Callers: []Peer{a.at("a:1")}}) // the liar gives up
		beat(t, a, "m")
		m.setPeers(Peers{Callers: []Peer{liar, a.at("a:1")}})
		m.setPeers(Peers{})
		noBeat(t, a, "m", "does not know the caller's key")
		if text := said.String(); !strings.Contains(text, "stale: it was the key of a, b until") {
			t.Errorf("said %q", text)
		}
	})
}

func TestOwnersOf(t *testing.T) {
	got := ownersOf([]Peer{{Node: "b", Fingerprint: "k"}, {Node: "a", Fingerprint: "k"}, {Node: "b", Fingerprint: "k"}, {Node: "c"}, {Node: "d", Fingerprint: "l"}})
	if d := cmp.Diff(owners{"k": {"a", "b"}, "l": {"d"}}, got); d != "" {
		t.Error(d)
	}
}

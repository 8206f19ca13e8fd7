package daemon

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/picket-dev/picket/agent/internal/clock"
	"github.com/picket-dev/picket/agent/internal/peer"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/timing"
)

// An old key goes a minute after the last node has needed it, and not at all while
// nobody shows that the API has told of the new one.
func TestOldKeysGoWhenNobodyNeedsThem(t *testing.T) {
	var (
		all     = pinning{informed: true}
		waits   = pinning{informed: true, waits: []string{"c"}}
		away    = pinning{informed: true, away: []string{"c"}}
		owed    = pinning{informed: true, away: []string{"c"}, owed: true}
		asked   = pinning{informed: true, asked: true}
		nobody  = pinning{}
		waiting = pinning{waits: []string{"c"}}
	)
	type look struct {
		after time.Duration
		key   string
		who   pinning
		want  bool
	}
	for name, looks := range map[string][]look{
		"all know it":    {{0, "k2", all, false}, {retireAfter - 1, "k2", all, false}, {1, "k2", all, true}},
		"one is late":    {{0, "k2", waits, false}, {24 * time.Hour, "k2", waits, false}, {time.Second, "k2", all, false}, {retireAfter, "k2", all, true}},
		"one goes back":  {{0, "k2", all, false}, {retireAfter / 2, "k2", waits, false}, {retireAfter / 2, "k2", all, false}, {retireAfter, "k2", all, true}},
		"rotated again":  {{0, "k2", all, false}, {retireAfter, "k3", all, false}, {retireAfter, "k3", all, true}},
		"one is away":    {{0, "k2", away, false}, {retireAfter, "k2", away, true}},
		"one may return": {{0, "k2", owed, false}, {24 * time.Hour, "k2", owed, false}, {time.Second, "k2", away, false}, {retireAfter, "k2", away, true}},
		"the API may be away": {
			{0, "k2", nobody, false}, {time.Hour, "k2", nobody, false}, {time.Hour, "k2", waiting, false}, {time.Hour, "k2", all, false}, {retireAfter, "k2", all, true},
		},
		"somebody asks": {
			{0, "k2", asked, false}, {retireAfter, "k2", asked, false}, {time.Second, "k2", all, false}, {retireAfter, "k2", all, true},
		},
		"anybody asks for ever": {
			{0, "k2", asked, false}, {keepLongest - 1, "k2", asked, false}, {1, "k2", asked, false}, {retireAfter, "k2", asked, true},
		},
		"somebody asks after an outage": {
			{0, "k2", nobody, false}, {2 * keepLongest, "k2", asked, false}, {keepLongest - 1, "k2", asked, false}, {1, "k2", asked, false}, {retireAfter, "k2", asked, true},
		},
	} {
		var r retirement
		now := timing.At(time.Hour)
		for n, l := range looks {
			now = now.Add(l.after)
			if got := r.due(l.key, l.who, now); got != l.want {
				t.Errorf("%s, look %d: %v, want %v", name, n+1, got, l.want)
			}
		}
	}
}

// Who needs an old key for long is said after ten minutes, and once an hour then.
func TestAnOldKeyThatStaysIsSaid(t *testing.T) {
	late := pinning{informed: true, waits: []string{"c"}}
	var r retirement
	var said []time.Duration
	for at := time.Duration(0); at < 3*time.Hour; at += time.Second {
		who, now := late, timing.At(time.Hour+at)
		if at < time.Minute {
			who = pinning{waits: late.waits} // the API is slow
		}
		if r.due("k2", who, now) {
			t.Fatalf("forgotten after %v", at)
		}
		if r.remind(who, now) {
			said = append(said, at-time.Minute)
		}
	}
	if d := cmp.Diff([]time.Duration{remindAfter, remindAfter + keepLongest, remindAfter + 2*keepLongest}, said); d != "" {
		t.Errorf("said after (-want +got):\n%s", d)
	}
}

func TestMusterOfWhoKnowsWhichKey(t *testing.T) {
	const within = 2 * time.Second
	now := timing.At(24 * time.Hour)
	ago := func(d time.Duration) timing.Instant { return now.Add(-d) }
	recent, gone, forgotten := ago(within), ago(within+1), ago(keepLongest+1)
	never := timing.Instant{}
	for name, tt := range map[string]struct {
		talks []talk
		want  pinning
	}{
		"nobody":                        {nil, pinning{}},
		"a neighbour knows it":          {[]talk{{"n", true, recent, "k2"}}, pinning{informed: true}},
		"a caller knows it":             {[]talk{{"c", false, recent, "k2"}}, pinning{informed: true}},
		"a neighbour waits":             {[]talk{{"n", true, recent, "k1"}}, pinning{waits: []string{"n"}}},
		"a caller waits":                {[]talk{{"n", true, recent, "k2"}, {"c", false, recent, "k1"}}, pinning{informed: true, waits: []string{"c"}}},
		"a caller cannot say":           {[]talk{{"c", false, recent, ""}}, pinning{waits: []string{"c"}}},
		"both directions wait":          {[]talk{{"n", true, recent, "k1"}, {"n", false, recent, "k1"}}, pinning{waits: []string{"n"}}},
		"one direction waits":           {[]talk{{"n", true, recent, "k2"}, {"n", false, recent, "k1"}}, pinning{informed: true, waits: []string{"n"}}},
		"one waits, the other is cut":   {[]talk{{"n", true, gone, "k1"}, {"n", false, recent, "k1"}}, pinning{waits: []string{"n"}, owed: true}},
		"a neighbour never answered":    {[]talk{{"n", true, never, ""}}, pinning{away: []string{"n"}}},
		"a neighbour is away":           {[]talk{{"n", true, gone, "k2"}}, pinning{away: []string{"n"}}},
		"a neighbour may return":        {[]talk{{"n", true, gone, "k1"}}, pinning{away: []string{"n"}, owed: true}},
		"a neighbour is long gone":      {[]talk{{"n", true, forgotten, "k1"}}, pinning{away: []string{"n"}}},
		"a caller is away":              {[]talk{{"c", false, gone, "k2"}}, pinning{}},
		"a caller may return":           {[]talk{{"c", false, gone, "k1"}}, pinning{away: []string{"c"}, owed: true}},
		"a caller is long gone":         {[]talk{{"c", false, forgotten, "k1"}}, pinning{}},
		"it calls, and was told":        {[]talk{{"n", true, gone, "k1"}, {"n", false, recent, "k2"}}, pinning{informed: true, away: []string{"n"}}},
		"it answers, and calls no more": {[]talk{{"n", true, recent, "k2"}, {"n", false, gone, "k1"}}, pinning{informed: true}},
		"several": {
			[]talk{{"d", true, recent, "k1"}, {"b", true, recent, "k1"}, {"c", true, never, ""}, {"a", true, never, ""}},
			pinning{waits: []string{"b", "d"}, away: []string{"a", "c"}},
		},
	} {
		if d := cmp.Diff(tt.want, muster("k2", tt.talks, within, now), cmp.AllowUnexported(pinning{}), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

// A speaker is a real agent's ear and mouth, on loopback.
type speaker struct {
	node, at string
	id       *peer.Identity
	client   *peer.Client
	server   *peer.Server
}

func speaks(t *testing.T, node string) *speaker {
	t.Helper()
	c := peer.Default()
	c.Node, c.Boot, c.Now = node, "boot-of-"+node, clock.Now
	s := &speaker{node: node}
	var err error
	if s.id, err = peer.LoadIdentity(t.TempDir(), c.Boot); err != nil {
		t.Fatal(err)
	}
	if s.client, err = peer.NewClient(c, s.id); err != nil {
		t.Fatal(err)
	}
	if s.server, err = peer.NewServer(c, s.id, s.client.Answered); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skipf("cannot listen on loopback: %v", err)
	}
	s.at = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.server.Serve(l) }()
	t.Cleanup(func() {
		s.client.Close()
		s.server.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *speaker) peer() peer.Peer {
	return peer.Peer{Node: s.node, Addresses: []string{s.at}, Fingerprint: s.id.Fingerprint()}
}

// asks lets the speaker ask the other one for a sign of life and for a statement.
func (s *speaker) asks(t *testing.T, node string) {
	t.Helper()
	if _, err := s.client.Heartbeat(context.Background(), node); err != nil {
		t.Error(err)
	}
	if _, _, err := s.client.Statement(context.Background(), node); err != nil {
		t.Error(err)
	}
}

// P2: c watches a, and a watches n and not c, as where rings are directed. c has
// lost the API and knows only the old key of a: a keeps it, over every loss of c's
// connection, until c has been told.
func TestARotationCutsNoCallerOff(t *testing.T) {
	a, n, c := speaks(t, "a"), speaks(t, "n"), speaks(t, "c")
	c.client.SetPeers(peer.Peers{Neighbours: []peer.Peer{a.peer()}})
	a.client.SetPeers(peer.Peers{Neighbours: []peer.Peer{n.peer()}})
	a.server.SetPeers(peer.Peers{Callers: []peer.Peer{c.peer()}})
	d := &Daemon{identity: a.id, client: a.client, server: a.server}
	d.spec.Store(&v1alpha1.NodeGuardSpec{Neighbours: []v1alpha1.Peer{{Node: "n"}}, Callers: []v1alpha1.Peer{{Node: "c"}}})
	old := a.peer()
	if _, err := a.id.Rotate(); err != nil {
		t.Fatal(err)
	}
	n.server.SetPeers(peer.Peers{Callers: []peer.Peer{a.peer()}}) // the API has told n alone
	var r retirement
	look := func(when string, want pinning, due bool, pins peer.Peer) {
		t.Helper()
		c.client.SetPeers(peer.Peers{}) // any loss of the connection
		c.client.SetPeers(peer.Peers{Neighbours: []peer.Peer{pins}})
		c.asks(t, "a")
		if _, err := a.client.Heartbeat(context.Background(), "n"); err != nil {
			t.Error(err)
		}
		got, now := d.pinning(), clock.Now()
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(pinning{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
		is := false
		for _, later := range []time.Duration{0, 24 * time.Hour, 24*time.Hour + retireAfter} {
			is = r.due(a.id.Fingerprint(), got, now.Add(later))
		}
		if is != due {
			t.Errorf("%s: the old key may go: %v, want %v", when, is, due)
		}
	}
	for range 3 {
		look("c knows only the old key", pinning{informed: true, waits: []string{"c"}, asked: true}, false, old)
	}
	look("c was told", pinning{informed: true, asked: true}, true, a.peer())
}

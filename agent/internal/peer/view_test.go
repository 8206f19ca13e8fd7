package peer

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
)

// sights counts the views that the beats brought, and returns the last one.
func (l *log) sights() (views int, last []Sight) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.beats {
		if b.Reply.View != nil {
			views++
			last = b.Reply.View
		}
	}
	l.beats = nil
	return views, last
}

// A neighbour tells whom it hears when that changes, and only then: by a call as
// by a stream.
func TestAViewComesWhenItChanges(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b", "b:1")
		defer a.close()
		defer b.close()
		watched := []Peer{
			a.at(), {Node: "c", Addresses: []string{"c:1", "c:2"}, Zone: "z1", Rack: "r1"}, {Node: "d", Zone: "z2"},
		}
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}})
		b.setPeers(Peers{Neighbours: watched})
		want := func(lost ...string) []Sight {
			all := []Sight{{Node: "a"}, {Node: "c", Zone: "z1", Rack: "r1", Address: "c:1"}, {Node: "d", Zone: "z2"}}
			for i, s := range all {
				all[i].Lost = strings.Contains(strings.Join(lost, " "), s.Node)
			}
			return all
		}
		if d := cmp.Diff(want(), beat(t, a, "b").View); d != "" {
			t.Errorf("the first call (-want +got):\n%s", d)
		}
		if v := beat(t, a, "b").View; v != nil {
			t.Errorf("the second call brings the same again: %v", v)
		}
		got := hearts(t, a, "b")
		expect := func(why string, views int, sights []Sight) {
			t.Helper()
			pass(10 * time.Second)
			n, last := got.sights()
			// Questions that are under way when it changes still name the old one.
			if n > 3 || (n > 0) != (views > 0) {
				t.Errorf("%s: %d views in 20 pings", why, n)
			}
			if d := cmp.Diff(sights, last); d != "" {
				t.Errorf("%s (-want +got):\n%s", why, d)
			}
		}
		expect("nothing changed", 0, nil)
		b.server.SetAnswers(Answers{Lost: []string{"c"}})
		expect("c is lost", 1, want("c"))
		b.server.SetAnswers(Answers{Lost: []string{"c"}, RelayFor: time.Second})
		expect("something else changed", 0, nil)
		b.server.SetAnswers(Answers{})
		expect("c is back", 1, want())
		b.setPeers(Peers{Callers: []Peer{a.at()}})
		expect("it watches nobody any more", 1, []Sight{})
	})
}

// A peer that was taken away and given back tells its view anew.
func TestAViewIsForgottenWithItsPeer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b", "b:1")
		defer a.close()
		defer b.close()
		b.setPeers(Peers{Neighbours: []Peer{a.at()}})
		for range 2 {
			a.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}})
			if beat(t, a, "b").View == nil {
				t.Error("no view")
			}
			a.setPeers(Peers{})
		}
	})
}

func TestSightsOfRefusesWhatNoAgentSays(t *testing.T) {
	long := strings.Repeat("x", maxText+1)
	many := make([]*peerv1.Sight, maxSights+1)
	for i := range many {
		many[i] = &peerv1.Sight{Node: fmt.Sprint("n", i)}
	}
	for _, tt := range []struct {
		name   string
		sights []*peerv1.Sight
		ok     bool
	}{
		{"nobody", nil, true},
		{"as many as may be", many[1:], true},
		{"more", many, false},
		{"without a name", []*peerv1.Sight{{Rack: "r1"}}, false},
		{"a long name", []*peerv1.Sight{{Node: long}}, false},
		{"a long zone", []*peerv1.Sight{{Node: "n", Zone: long}}, false},
		{"a long rack", []*peerv1.Sight{{Node: "n", Rack: long}}, false},
		{"a long address", []*peerv1.Sight{{Node: "n", Address: long}}, false},
	} {
		got, err := sightsOf(&peerv1.View{Sights: tt.sights})
		if (err == nil) != tt.ok || tt.ok && len(got) != len(tt.sights) {
			t.Errorf("%s: %d sights, %v", tt.name, len(got), err)
		}
	}
}

// What an agent says of however many neighbours is what others accept.
func TestViewOfIsBounded(t *testing.T) {
	var many []Peer
	for i := range 2 * maxSights {
		many = append(many, Peer{Node: fmt.Sprint("n", i)})
	}
	v := viewOf(many, []string{"n0"})
	if sights, err := sightsOf(v); err != nil || len(sights) != maxSights || !sights[0].Lost {
		t.Errorf("%d sights, %v", len(sights), err)
	}
	if a, b := viewOf(nil, nil).GetMark(), viewOf(many, nil).GetMark(); a == 0 || a == b || b == v.GetMark() {
		t.Errorf("marks %d, %d, %d", a, b, v.GetMark())
	}
	if v := viewOf([]Peer{{Node: "n", Rack: "\xff"}}, nil); len(v.GetSights()) != 0 || v.GetMark() == 0 {
		t.Errorf("a text that cannot be sent is in the view: %v", v)
	}
}

// The path is the address that answered, of a call and of a stream.
func TestThePathIsTheAddressThatAnswered(t *testing.T) {
	a, _ := onLoopback(t, "a", "127.0.0.2")
	b, address := onLoopback(t, "b", "127.0.0.3")
	a.setPeers(Peers{Neighbours: []Peer{b.at("127.0.0.1:1", address)}})
	b.setPeers(Peers{Callers: []Peer{a.at()}})
	if got := beat(t, a, "b").From; got != address {
		t.Errorf("the call was answered from %q, want %q", got, address)
	}
	s, err := a.client.openStream(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	beats := make(chan Beat, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = s.run(func(b Beat) { beats <- b })
	}()
	if !s.ping(time.Minute) {
		t.Fatal("the stream takes no ping")
	}
	if b := <-beats; b.Err != nil || b.Reply.From != address {
		t.Errorf("the stream was answered from %q, %v; want %q", b.Reply.From, b.Err, address)
	}
	s.end(nil)
	<-done
}

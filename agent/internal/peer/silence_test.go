package peer

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/timing"
)

// A neighbour times a boot from its last ping to its last heartbeat, and tells
// the next boot.
func TestNeighbourTimesASelfTest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a", "a:1"), newAgent(t, w, now, "b", "b:1")
		defer a.close()
		defer b.close()
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}})
		b.setPeers(Peers{Neighbours: []Peer{a.at("a:1")}})
		if s := beat(t, a, "b").Silence; s != nil {
			t.Errorf("without a test: %+v", s)
		}
		const boot = "boot-of-a"
		a.client.SetTest(&Test{Boot: boot})
		if s := beat(t, a, "b").Silence; s == nil || *s != (Silence{Boot: boot}) {
			t.Errorf("asked whether it times: %+v", s)
		}
		pet := now()
		a.client.SetTest(&Test{Boot: boot, Pet: pet})
		for _, after := range []int{50, 50, 120, 50} {
			pass(time.Duration(after) * time.Millisecond)
			beat(t, a, "b")
		}
		pass(10 * time.Minute) // the node is reset, and starts
		a.client.config.Boot = "next"
		a.client.SetTest(nil)
		if s := beat(t, a, "b").Silence; s != nil {
			t.Errorf("nobody asked: %+v", s)
		}
		a.client.SetTest(&Test{Boot: boot})
		want := &Silence{Boot: boot, Lasted: 270 * time.Millisecond, Gap: 120 * time.Millisecond, Beats: 4}
		if diff := cmp.Diff(want, beat(t, a, "b").Silence); diff != "" {
			t.Errorf("silence (-want +got):\n%s", diff)
		}
		a.client.SetTest(&Test{Boot: "another"})
		if s := beat(t, a, "b").Silence; s != nil {
			t.Errorf("of a boot that nobody has timed: %+v", s)
		}
		// Only the boot that runs can be timed.
		a.client.SetTest(&Test{Boot: boot, Pet: now()})
		if diff := cmp.Diff(want, beat(t, a, "b").Silence); diff != "" {
			t.Errorf("a later boot changed it (-want +got):\n%s", diff)
		}
	})
}

// A beat that is late makes the last ping look later, and must not shorten the
// silence.
func TestStopwatchTakesTheEarliestPing(t *testing.T) {
	w := stopwatch{nodes: make(map[string]*timed)}
	at := func(d time.Duration) timing.Instant { return timing.At(time.Hour + d) }
	hear := func(now, age time.Duration) *peerv1.Silence {
		return w.hear("a", "boot", &peerv1.SelfTest{BootId: "boot", PetAge: durationpb.New(age)}, at(now))
	}
	const ms = time.Millisecond
	hear(130*ms, 50*ms) // 80 ms late
	hear(150*ms, 100*ms)
	s := hear(200*ms, 150*ms)
	if got := s.Lasted.AsDuration(); got != 150*ms {
		t.Errorf("lasted %v, want 150ms", got)
	}
	for name, x := range map[string]*peerv1.SelfTest{
		"negative": {BootId: "boot", PetAge: durationpb.New(-ms)},
		"absurd":   {BootId: "boot", PetAge: durationpb.New(48 * time.Hour)},
	} {
		if s := w.hear("a", "boot", x, at(time.Second)); s.Beats != 3 {
			t.Errorf("%s age counted: %v", name, s)
		}
	}
	if s := w.hear("b", "boot", &peerv1.SelfTest{BootId: "boot", PetAge: durationpb.New(ms)}, at(30*time.Hour)); s.Beats != 1 || len(w.nodes) != 1 {
		t.Errorf("after a day %d tests are kept", len(w.nodes))
	}
}

func TestDecodeSilence(t *testing.T) {
	for name, c := range map[string]struct {
		from *peerv1.Silence
		want *Silence
	}{
		"nothing":        {nil, nil},
		"no beats yet":   {&peerv1.Silence{BootId: "x"}, &Silence{Boot: "x"}},
		"negative beats": {&peerv1.Silence{BootId: "x", Beats: -4}, &Silence{Boot: "x"}},
		"no time":        {&peerv1.Silence{BootId: "x", Beats: 4}, nil},
		"absurd": {&peerv1.Silence{BootId: "x", Beats: 4, Lasted: durationpb.New(48 * time.Hour),
			Gap: durationpb.New(1)}, nil},
		"negative": {&peerv1.Silence{BootId: "x", Beats: 4, Lasted: durationpb.New(1), Gap: durationpb.New(-1)}, nil},
		"good": {&peerv1.Silence{BootId: "x", Beats: 4, Lasted: durationpb.New(9), Gap: durationpb.New(3)},
			&Silence{Boot: "x", Lasted: 9, Gap: 3, Beats: 4}},
	} {
		if diff := cmp.Diff(c.want, decodeSilence(c.from)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// What comes over the network is bounded before anybody reasons with it.
func FuzzSelfTest(f *testing.F) {
	seed := func(m proto.Message) []byte {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	f.Add(seed(&peerv1.Silence{BootId: "x", Lasted: durationpb.New(time.Second), Gap: durationpb.New(1), Beats: 3}),
		seed(&peerv1.SelfTest{BootId: "x", PetAge: durationpb.New(time.Second)}))
	f.Fuzz(func(t *testing.T, silence, test []byte) {
		var x peerv1.Silence
		if proto.Unmarshal(silence, &x) == nil {
			if s := decodeSilence(&x); s != nil && (s.Lasted < 0 || s.Lasted > timing.MaxTerm || s.Gap < 0 || s.Beats < 0) {
				t.Errorf("%+v", s)
			}
		}
		var y peerv1.SelfTest
		if proto.Unmarshal(test, &y) != nil {
			return
		}
		w := stopwatch{nodes: make(map[string]*timed)}
		for _, now := range []time.Duration{0, time.Second, 3 * time.Second} {
			if s := decodeSilence(w.hear("a", "x", &y, timing.At(48*time.Hour+now))); s != nil && (s.Lasted < 0 || s.Beats > 3) {
				t.Errorf("%+v", s)
			}
		}
	})
}

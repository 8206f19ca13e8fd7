package peer

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A log collects beats.
type log struct {
	mu    sync.Mutex
	beats []Beat
}

func (l *log) add(b Beat) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.beats = append(l.beats, b)
}

// take returns how many pings of each node were answered and how many failed,
// and forgets them.
func (l *log) take() (answered, failed map[string]int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	answered, failed = map[string]int{}, map[string]int{}
	for _, b := range l.beats {
		if b.Err == nil {
			answered[b.Node]++
		} else {
			failed[b.Node]++
		}
	}
	l.beats = nil
	return answered, failed
}

func TestHeartbeaterKeepsItsRhythm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const every = 500 * time.Millisecond
		w, now := newWire(), clock()
		a := newAgent(t, w, now, "a")
		b, c := newAgent(t, w, now, "b", "b:1"), newAgent(t, w, now, "c", "c:1")
		for _, x := range []*agent{a, b, c} {
			defer x.close()
		}
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1"), c.at("c:1")}})
		for _, x := range []*agent{b, c} {
			x.setPeers(Peers{Callers: []Peer{a.at()}})
		}
		var got log
		h := NewHeartbeater(a.client, got.add)
		ctx, cancel := context.WithCancel(context.Background())
		var done sync.WaitGroup
		done.Go(func() { h.Run(ctx) })
		defer done.Wait()
		defer cancel()

		expect := func(why string, d time.Duration, wantAnswered, wantFailed map[string]int) {
			t.Helper()
			got.take()
			pass(d)
			answered, failed := got.take()
			if diff := cmp.Diff(wantAnswered, answered); diff != "" {
				t.Errorf("%s: answered (-want +got):\n%s", why, diff)
			}
			if diff := cmp.Diff(wantFailed, failed); diff != "" {
				t.Errorf("%s: failed (-want +got):\n%s", why, diff)
			}
		}
		none := map[string]int{}
		expect("before Set", 10*time.Second, none, none)
		h.Set(every, []string{"b", "c"})
		pass(time.Second)
		expect("both", 10*time.Second, map[string]int{"b": 20, "c": 20}, none)

		w.link("c:1").cut()
		pass(3 * time.Second) // what is under way fails
		expect("c cut", 10*time.Second, map[string]int{"b": 20}, map[string]int{"c": 20})
		w.link("c:1").heal()
		pass(2 * time.Second)
		expect("c back", 10*time.Second, map[string]int{"b": 20, "c": 20}, none)

		h.Set(2*every, []string{"b"})
		pass(2 * time.Second)
		expect("b alone, slower", 10*time.Second, map[string]int{"b": 10}, none)
		h.Set(0, []string{"b"})
		expect("stopped", 10*time.Second, none, none)
	})
}

// An unanswered ping holds up neither the next one nor other neighbours, and
// no more than inFlight of them are open.
func TestHeartbeaterBoundsWhatIsInFlight(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b", "b:1")
		defer a.close()
		defer b.close()
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}})
		b.setPeers(Peers{Callers: []Peer{a.at()}})
		beat(t, a, "b")
		w.link("b:1").cut()
		var got log
		h := NewHeartbeater(a.client, got.add)
		ctx, cancel := context.WithCancel(context.Background())
		var done sync.WaitGroup
		done.Go(func() { h.Run(ctx) })
		h.Set(50*time.Millisecond, []string{"b"})
		pass(1900 * time.Millisecond)
		w.link("b:1").heal()
		pass(30 * time.Millisecond)
		answered, failed := got.take()
		if answered["b"] < inFlight || answered["b"] > inFlight+1 || len(failed) != 0 {
			t.Errorf("answered %v, failed %v after the cut; want the %d that were open", answered, failed, inFlight)
		}
		cancel()
		done.Wait()
	})
}

func TestPhaseSpreadsTheFleet(t *testing.T) {
	const every = 250 * time.Millisecond
	var phases []time.Duration
	for i := range 1000 {
		p := phase("node-"+time.Duration(i).String(), every)
		if p <= 0 || p > every {
			t.Fatalf("phase %v is not within %v", p, every)
		}
		phases = append(phases, p)
	}
	slices.Sort(phases)
	for i := range 10 { // each tenth of the interval gets its share, roughly
		lo, _ := slices.BinarySearch(phases, time.Duration(i)*every/10)
		hi, _ := slices.BinarySearch(phases, time.Duration(i+1)*every/10)
		if n := hi - lo; n < 60 || n > 140 {
			t.Errorf("%d of 1000 phases in tenth %d", n, i)
		}
	}
}

func TestAskWitnessesReportsEachOnArrival(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a := newAgent(t, w, now, "a")
		quick, slow, mute := newAgent(t, w, now, "quick", "quick:1"), newAgent(t, w, now, "slow", "slow:1"), newAgent(t, w, now, "mute", "mute:1")
		for _, x := range []*agent{a, quick, slow, mute} {
			defer x.close()
		}
		r := sampleRoll(4)
		quick.server.SetAnswers(Answers{Own: &r})
		slow.server.SetAnswers(Answers{Own: &r})
		w.link("slow:1").set(100 * time.Millisecond)
		a.setPeers(Peers{Witnesses: []Peer{
			a.at(), slow.at("slow:1"), quick.at("quick:1"), mute.at("mute:1"),
			{Node: "dead", Addresses: []string{"dead:1"}, Fingerprint: a.id.Fingerprint()}, {Node: "new"},
		}})
		type arrival struct {
			Witness string
			Spoke   bool
			Failed  bool
			After   time.Duration
		}
		start := now()
		arrivals := map[string]arrival{}
		var order []string
		a.client.AskWitnesses(context.Background(), func(x Testimony) {
			order = append(order, x.Witness)
			arrivals[x.Witness] = arrival{x.Witness, x.Spoke, x.Err != nil, start.Age(now()).Round(100 * time.Millisecond)}
			if x.Spoke && x.Statement.Sent != start {
				t.Errorf("statement of %s counts from %v, want %v", x.Witness, x.Statement.Sent, start)
			}
		})
		want := map[string]arrival{
			"quick": {"quick", true, false, 0},
			"mute":  {"mute", false, false, 0},
			"new":   {"new", false, true, 0},
			"slow":  {"slow", true, false, 600 * time.Millisecond},
			"dead":  {"dead", false, true, 2 * time.Second},
		}
		if d := cmp.Diff(want, arrivals); d != "" {
			t.Errorf("arrivals (-want +got):\n%s", d)
		}
		if d := cmp.Diff([]string{"slow", "dead"}, order[3:]); d != "" {
			t.Errorf("order of the last ones (-want +got):\n%s", d)
		}
	})
}

package peer

import (
	"maps"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/timing"
)

// A Test is what this agent's heartbeats say of a self-test of its watchdog.
type Test struct {
	// Boot is the boot that is tested: this one, or an earlier one whose result
	// is wanted.
	Boot string
	// Pet is when the watchdog of this boot got its last ping; zero before
	// that, and for an earlier boot.
	Pet timing.Instant
}

// A Silence is how long a neighbour heard a boot of this node after the last
// ping of its watchdog. Without beats it has heard nothing yet, and will time
// what it hears.
type Silence struct {
	Boot   string
	Lasted time.Duration
	Gap    time.Duration // the longest between two beats
	Beats  int
}

// SetTest says what heartbeats say of a self-test from now on; nil: nothing.
func (c *Client) SetTest(t *Test) { c.test.Store(t) }

// encode returns the test as a heartbeat that is sent now says it.
func (t *Test) encode(now timing.Instant) *peerv1.SelfTest {
	if t == nil {
		return nil
	}
	x := &peerv1.SelfTest{BootId: t.Boot}
	if !t.Pet.IsZero() {
		x.PetAge = durationpb.New(max(t.Pet.Age(now), 0))
	}
	return x
}

// decodeSilence returns what the neighbour said, or nil if that is nothing or
// makes no sense.
func decodeSilence(x *peerv1.Silence) *Silence {
	if x == nil {
		return nil
	}
	s := &Silence{Boot: x.GetBootId(), Beats: int(x.GetBeats())}
	if s.Beats <= 0 {
		s.Beats = 0
		return s
	}
	var lasted, gap bool
	s.Lasted, lasted = peerv1.DecodeAge(x.GetLasted())
	s.Gap, gap = peerv1.DecodeAge(x.GetGap())
	if !lasted || !gap {
		return nil
	}
	return s
}

// A stopwatch times the self-tests of the nodes whose heartbeats it hears. It
// keeps the last one of each node in memory: if this agent restarts meanwhile,
// the other neighbours know.
type stopwatch struct {
	mu    sync.Mutex
	nodes map[string]*timed
}

// timed is one test. All instants are on this host's clocks.
type timed struct {
	boot        string
	began, last timing.Instant
	gap         time.Duration
	beats       int
}

// forgetAfter is how long a test is kept whose result nobody has asked for.
const forgetAfter = 24 * time.Hour

// hear takes a heartbeat of a node in that boot which mentions a test, and
// returns what this agent has timed of it.
func (w *stopwatch) hear(node, boot string, x *peerv1.SelfTest, now timing.Instant) *peerv1.Silence {
	if x == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if age, ok := peerv1.DecodeAge(x.GetPetAge()); ok && x.GetBootId() == boot {
		w.beat(node, boot, now.Add(-age), now)
	}
	t := w.nodes[node]
	if t == nil || t.boot != x.GetBootId() {
		if x.GetBootId() == boot {
			return &peerv1.Silence{BootId: boot}
		}
		return nil
	}
	return &peerv1.Silence{BootId: t.boot, Lasted: durationpb.New(t.began.Age(t.last)), Gap: durationpb.New(t.gap), Beats: int64(t.beats)}
}

// beat notes a sign of life after a last ping at pet. A delay on the way makes
// that ping look later than it was, so the earliest counts.
func (w *stopwatch) beat(node, boot string, pet, now timing.Instant) {
	t := w.nodes[node]
	if t == nil || t.boot != boot {
		maps.DeleteFunc(w.nodes, func(_ string, old *timed) bool { return old.last.Age(now) > forgetAfter })
		w.nodes[node] = &timed{boot: boot, began: pet, last: now, beats: 1}
		return
	}
	t.began = t.began.Earlier(pet)
	t.gap = max(t.gap, t.last.Age(now))
	t.last = t.last.Later(now)
	t.beats++
}

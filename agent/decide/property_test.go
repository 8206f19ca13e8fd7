package decide_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// A stream is any sequence of events, however unlikely, with what each of them
// can at most justify.
type stream struct {
	t    *rapid.T
	now  time.Duration
	v    decide.Verdict
	spec decide.Spec

	history string
	stated  map[string]time.Duration // newest question to each witness
	newest  time.Duration            // newest send time that may let the boot pet
	bound   time.Duration            // so late petUntil may be
	read    map[string]bool          // contents that the API has shown
}

// Whatever happens, in whatever order: the deadline follows evidence and never
// moves back, a latch absorbs, nothing but a gated holder resets, what is
// published is no easier than what is used, and the core can be called again.
func TestCoreLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &stream{t: t, now: 100 * sec, stated: map[string]time.Duration{}, read: map[string]bool{}}
		cfg := decide.Config{Node: rapid.SampledFrom([]string{"x", "a"}).Draw(t, "node"), Boot: boot}
		if rapid.Bool().Draw(t, "memory") {
			cfg.Memory = kept()
			s.history = "h1"
			s.read[cmp.Diff(roll.Roll{}, *cfg.Memory.Roll)] = true
		}
		core := decide.New(cfg, timing.At(s.now))
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			s.now += rapid.SampledFrom([]time.Duration{0, ms, 100 * ms, 250 * ms, sec}).Draw(t, "time")
			e := s.event()
			s.evidence(cfg.Node, e)
			before := s.v
			s.v = core.Step(timing.At(s.now), e)
			s.bound = max(s.bound, s.newest+s.life(before), s.newest+s.life(s.v))
			s.laws(before, e)

			again := core.Step(timing.At(s.now), decide.Tick{})
			if again.Ask != (decide.Ask{}) && again.Ask == s.v.Ask {
				t.Fatalf("at %v: asked twice at once: %+v", s.now, again.Ask)
			}
			s.v = again
		}
	})
}

func (s *stream) event() decide.Event {
	t := s.t
	sent := timing.At(s.now - rapid.SampledFrom([]time.Duration{0, ms, 500 * ms, 3 * sec}).Draw(t, "age"))
	r := s.roll()
	switch rapid.IntRange(0, 15).Draw(t, "event") {
	case 0, 1, 2:
		return decide.RollRead{Roll: r, Sent: sent}
	case 3:
		return decide.RollMissed{Err: "timeout"}
	case 4, 5:
		return decide.Stated{Witness: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "witness"), Roll: &r, Sent: sent}
	case 6, 7:
		return decide.Heard{Node: "a", Sent: sent, Relay: &roll.Held{Roll: r, Sent: sent}}
	case 8, 9:
		return s.held()
	case 10, 11:
		return decide.Published{Status: s.v.Status, Sent: sent}
	case 12, 13:
		s.spec = spec()
		s.spec.Profile = rapid.SampledFrom([]timing.Profile{timing.Standard(), timing.Fast(), timing.Patient(), {}}).Draw(t, "profile")
		s.spec.Unarmed = rapid.SampledFrom([]string{"", "", "Observe"}).Draw(t, "unarmed")
		s.spec.FencedBoot = rapid.SampledFrom([]string{"", "", "", "other", boot}).Draw(t, "fenced")
		return decide.Guided{Spec: s.spec}
	case 14:
		return rapid.SampledFrom([]decide.Event{
			decide.Stop{}, decide.Shutdown{}, decide.Pruned{Field: "x"}, decide.Pruned{},
			decide.Link{Interface: "eth0"}, decide.Link{Interface: "eth1", Storage: true},
		}).Draw(t, "other")
	}
	return decide.Tick{}
}

func (s *stream) roll() roll.Roll {
	r := firstRoll()
	r.Serial = rapid.Int64Range(8, 14).Draw(s.t, "serial")
	r.History = rapid.SampledFrom([]string{"h1", "h1", "h1", "h2"}).Draw(s.t, "history")
	state := rapid.SampledFrom([]roll.State{roll.Unlisted, roll.Unlisted, roll.Suspected, roll.Withheld}).Draw(s.t, "state")
	if state != roll.Unlisted {
		r.Entries = []roll.Entry{{Node: "x", Boot: boot, Fence: "f", State: state}}
	}
	return r
}

func (s *stream) held() decide.Held {
	h := decide.Held{
		Order: s.v.Order, Mode: s.v.Hold, Device: dog(), Timeout: s.v.Timeout, PetUntil: s.v.PetUntil,
	}
	switch rapid.IntRange(0, 9).Draw(s.t, "holder") {
	case 0:
		h.Order = 0
	case 1:
		h.Err = "input/output error"
	case 2:
		h.Mode = rapid.SampledFrom([]decide.HoldMode{
			decide.HoldIdle, decide.HoldArmed, decide.HoldFree, decide.HoldCoast, decide.HoldLatched,
		}).Draw(s.t, "mode")
	case 3:
		h.Timeout += sec
	}
	if h.Mode == decide.HoldArmed && s.v.Phase == decide.PhaseUnknown {
		h.PetUntil, h.Timeout = timing.At(s.now+3*sec), 10*sec
	}
	return h
}

// evidence notes what the event can justify at most.
func (s *stream) evidence(node string, e decide.Event) {
	switch e := e.(type) {
	case decide.RollRead:
		s.read[cmp.Diff(roll.Roll{}, e.Roll)] = true
		if !e.Roll.Withholds(boot) {
			s.newest = max(s.newest, e.Sent.Raw)
		}
	case decide.Stated:
		s.stated[e.Witness] = max(s.stated[e.Witness], e.Sent.Raw)
		if node == "a" {
			s.stated["a"] = s.now // its own statement is of now
		}
		var second time.Duration
		for n, at := range s.stated {
			for m, other := range s.stated {
				if n != m {
					second = max(second, min(at, other))
				}
			}
		}
		s.newest = max(s.newest, second)
	case decide.Heard:
		s.newest = max(s.newest, e.Relay.Sent.Raw)
	case decide.Held:
		if e.Mode == decide.HoldArmed && s.v.Phase == decide.PhaseUnknown {
			s.bound = max(s.bound, e.PetUntil.Raw)
		}
	}
}

// life is the L that a verdict's deadline may count with.
func (s *stream) life(v decide.Verdict) time.Duration {
	if p := v.Memory.Promise; p.Armed {
		return p.RollLife
	}
	if s.spec.Profile.Validate() != nil {
		return 90 * sec // an earlier spec's
	}
	return max(s.spec.Profile.RollLife, v.Status.Promise.RollLife)
}

func (s *stream) laws(before decide.Verdict, e decide.Event) {
	v := s.v
	law := func(ok bool, what string) {
		if !ok {
			s.t.Fatalf("at %v, after %+v: %s\nbefore: %+v\nafter: %+v", s.now, e, what, before, v)
		}
	}
	law(v.PetUntil.Raw >= before.PetUntil.Raw, "petUntil moved back")
	law(v.PetUntil.Raw <= s.bound, "petUntil exceeds the newest evidence + L")
	law(before.Phase != decide.Latched || v.Phase == decide.Latched && v.Hold == decide.HoldLatched && v.PetUntil == before.PetUntil,
		"a latched core did something else")
	if v.Phase == decide.Latched && before.Phase != decide.Latched {
		h, fromHolder := e.(decide.Held)
		fenced := s.spec.FencedBoot == boot
		law(before.Memory.Promise.Armed || fenced || fromHolder && h.Mode != decide.HoldIdle, "a node that is not gated latched")
	}
	law(v.Phase != decide.Armed && v.Phase != decide.Leaving || v.Memory.Promise.Armed, "gated without a promise in use")
	law(v.Hold != decide.HoldFree && v.Hold != decide.HoldIdle || !v.Memory.Promise.Armed, "let go although a promise is in use")
	law(v.Phase == decide.PhaseUnknown || v.Memory.Promise.RollLife == 0 || !v.Status.Promise.Harder(v.Memory.Promise),
		"what is used is harder than what is published")
	law(v.Order >= before.Order, "an order's number went back")
	law(v.Order != before.Order || v.Hold == before.Hold && v.Timeout == before.Timeout, "a new wish under an old number")
	law(v.Wake.Raw >= s.now && v.Wake.Raw <= s.now+sec, "wakes in the past or late")
	if r := v.Memory.Roll; r != nil {
		law(s.read[cmp.Diff(roll.Roll{}, *r)], "states a roll that was not read from the API")
		if b := before.Memory.Roll; b != nil && b.History == r.History {
			law(r.Serial >= b.Serial, "states an older serial than before")
		}
	}
}

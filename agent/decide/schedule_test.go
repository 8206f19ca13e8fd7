package decide_test

import (
	"testing"
	"time"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// counts is what a core did in some time.
type counts struct{ steps, api, witnesses, neighbours int }

// watch ticks the core at each of its wakes for d, and answers each question
// to the API by answer, at once.
func (s *script) watch(d time.Duration, answer func()) counts {
	s.t.Helper()
	var n counts
	for end := s.now + d; ; {
		if s.v.Wake.Raw < s.now || s.v.Wake.Boot < s.now {
			s.t.Fatalf("at %v: wake %v lies in the past", s.now, s.v.Wake)
		}
		if s.now = s.v.Wake.Raw; s.now >= end {
			return n
		}
		s.step(decide.Tick{})
		for n.count(s.v.Ask); s.pending && answer != nil; n.count(s.v.Ask) {
			if n.api > 10000 {
				s.t.Fatalf("at %v: the core asks the API without end", s.now)
			}
			answer()
		}
	}
}

func (n *counts) count(a decide.Ask) {
	n.steps++
	if a.API {
		n.api++
	}
	if a.Witnesses {
		n.witnesses++
	}
	if a.Neighbours {
		n.neighbours++
	}
}

// In each state, time alone costs few steps and few questions.
func TestSchedule_TimeAloneCostsLittle(t *testing.T) {
	for name, test := range map[string]struct {
		make func(*testing.T) *script
		most counts // in 60 s
	}{
		"no spec":   {func(t *testing.T) *script { return start(t).step(decide.Tick{}) }, counts{310, 65, 0, 0}},
		"unarmed":   {func(t *testing.T) *script { return start(t).step(decide.Guided{Spec: spec()}).held(decide.HoldIdle) }, counts{600, 130, 130, 130}},
		"latched":   {func(t *testing.T) *script { return armed(t).held(decide.HoldLatched) }, counts{600, 130, 130, 130}},
		"armed":     {func(t *testing.T) *script { return armed(t) }, counts{600, 130, 130, 130}},
		"coasting":  {coasting, counts{600, 130, 130, 130}},
		"leaving":   {func(t *testing.T) *script { return armed(t).step(decide.Stop{}) }, counts{600, 130, 130, 130}},
		"handshake": {func(t *testing.T) *script { return armed(t).step(decide.Stop{}).publish() }, counts{600, 130, 130, 130}},
		"resumed":   {func(t *testing.T) *script { return resumed(t, kept()) }, counts{600, 130, 130, 130}},
		"gating": {func(t *testing.T) *script {
			s := witness(t)
			s.roll.Entries = []roll.Entry{suspicion("f")}
			s.roll.Serial++
			return s.api()
		}, counts{600, 130, 130, 130}},
	} {
		for how, answer := range map[string]func(*script){
			"in silence":            nil,
			"API refusing at once":  func(s *script) { s.miss() },
			"API answering at once": func(s *script) { s.read(s.roll, 0) },
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				s := test.make(t)
				var f func()
				if answer != nil {
					f = func() { answer(s) }
				}
				n := s.watch(60*sec, f)
				if n.steps > test.most.steps || n.api > test.most.api ||
					n.witnesses > test.most.witnesses || n.neighbours > test.most.neighbours {
					t.Errorf("%+v in 60 s, want at most %+v", n, test.most)
				}
			})
		}
	}
}

// A large cluster: relays keep the roll fresh, and the API is read at its pace.
func TestSchedule_LargeClusterReadsAtPollEvery(t *testing.T) {
	s := armed(t)
	s.roll.PollEvery = 25 * sec
	s.roll.Serial++
	s.api()
	p := spec()
	p.ProbeEvery = 80 * sec
	s.step(decide.Guided{Spec: p}).witnesses()
	n := 0
	s.watchFed(100*sec, func() { s.hear().relay(s.roll, 500*ms) }, func() { n++; s.api() })
	if n < 3 || n > 5 {
		t.Errorf("%d reads in 100 s, want one each 25 s", n)
	}
}

// watchFed is watch with feed before each step.
func (s *script) watchFed(d time.Duration, feed, answer func()) {
	for end := s.now + d; s.now < end; {
		s.now = s.v.Wake.Raw
		feed()
		s.step(decide.Tick{})
		if s.pending {
			answer()
		}
	}
}

// The roll call of a handshake comes at once after the acknowledgement, even
// if the API was asked a moment before, and again if it misses.
func TestSchedule_HandshakeCallsTheRollAtOnce(t *testing.T) {
	s := armed(t).after(sec) // asks now
	s.api().after(10 * ms).step(decide.Stop{}).asks(decide.Ask{})
	s.publish().asks(decide.Ask{API: true})
	s.after(10 * ms).miss().asks(decide.Ask{})
	s.at(s.now + 510*ms)
	if n := s.watch(2*sec, func() { s.miss() }); n.api < 2 {
		t.Errorf("%d reads in 2 s, want more", n.api)
	}

	// A read under way was sent before: another follows it.
	s = armed(t).after(sec).jump(ms).step(decide.Stop{}).publish().asks(decide.Ask{})
	s.after(5*ms).read(s.roll, 6*ms).phase(decide.Leaving).asks(decide.Ask{API: true})
	s.after(5 * ms).api().phase(decide.Unarmed)
}

// The wake of a gated node is never after its deadline.
func TestSchedule_WakesByTheDeadline(t *testing.T) {
	s := armed(t)
	until := s.v.PetUntil
	for s.v.Phase == decide.Armed {
		if s.v.Wake.Raw > until.Raw {
			t.Fatalf("wake %v after petUntil %v", s.v.Wake.Raw, until.Raw)
		}
		s.now = s.v.Wake.Raw
		s.step(decide.Tick{})
	}
	if s.now != until.Raw {
		t.Errorf("latched at %v, want %v", s.now, until.Raw)
	}
	r := start(t, func(c *decide.Config) { c.Memory = kept() }).gates()
	for r.v.Phase == decide.Armed {
		r.now = r.v.Wake.Raw
		r.step(decide.Tick{})
	}
	if r.now != 104*sec {
		t.Errorf("without a spec it latched at %v, want 104 s", r.now)
	}
}

// Nodes ask again at different times.
func TestSchedule_PhasesSpreadTheQuestions(t *testing.T) {
	var at [2]time.Duration
	for i, phase := range []float64{0, 0.9} {
		s := armed(t, func(c *decide.Config) { c.Phase = phase })
		n := 0
		for ; n < 2; s.step(decide.Tick{}) {
			if s.v.Ask.Neighbours {
				n++
				at[i] = s.now
			}
			s.now = s.v.Wake.Raw
		}
	}
	if d := at[1] - at[0]; d < 100*ms || d > timing.Standard().GateInterval() {
		t.Errorf("second questions %v apart", d)
	}
}

package decide_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

const (
	sec  = time.Second
	ms   = time.Millisecond
	boot = "boot-x"
)

// A script drives one core through time, and keeps what it said. Steps read
// like a log: at(2*sec), api(), phase(…).
type script struct {
	t     *testing.T
	core  *decide.Core
	now   time.Duration
	v     decide.Verdict
	rules []decide.Rule // of all notes since the last cites

	pending bool // a read of the API was asked for and not answered

	order  decide.Held // what the holder last confirmed
	device decide.Device
	roll   roll.Roll // what the API says; serial and entries are changed by the script
}

// dog is a watchdog that takes any whole second.
func dog() decide.Device {
	return decide.Device{Usable: true, Min: sec, Max: 1000 * sec, Granule: sec, Kappa: 1020}
}

// spec is the controller's word to node x: neighbours a and b, witnesses a, b, c.
func spec() decide.Spec {
	return decide.Spec{
		Neighbours: []string{"a", "b"}, Witnesses: []string{"a", "b", "c"},
		Profile: timing.Standard(), ProbeEvery: 2 * sec,
	}
}

// firstRoll is a Roll with one epoch of a, b, c that holds nothing against anybody.
func firstRoll() roll.Roll {
	return roll.Roll{History: "h1", Serial: 10, Epochs: []roll.Epoch{{Number: 1, Witnesses: []string{"a", "b", "c"}}}}
}

// promise is what the standard profile and the dog amount to.
func promise() timing.Promise {
	return timing.Promise{Armed: true, RollLife: 5 * sec, PetDelay: sec, Timeout: 10 * sec, Kappa: 1020}
}

// start makes a core at 100 s that has heard of nothing.
func start(t *testing.T, change ...func(*decide.Config)) *script {
	t.Helper()
	cfg := decide.Config{Node: "x", Boot: boot}
	for _, f := range change {
		f(&cfg)
	}
	s := &script{t: t, now: 100 * sec, device: dog(), roll: firstRoll()}
	s.core = decide.New(cfg, timing.At(s.now))
	return s
}

// armed makes a core that is armed and has published it, at 101 s.
func armed(t *testing.T, change ...func(*decide.Config)) *script {
	t.Helper()
	s := start(t, change...)
	s.step(decide.Guided{Spec: spec()})
	s.held(decide.HoldIdle)
	s.api().witnesses()
	s.obey().publish()
	s.after(sec).api().witnesses().hear()
	s.phase(decide.Armed)
	s.promised(promise())
	s.rules = nil
	return s
}

// step hands an event to the core.
func (s *script) step(e decide.Event) *script {
	switch e.(type) {
	case decide.RollRead, decide.RollMissed:
		s.pending = false
	}
	s.v = s.core.Step(timing.At(s.now), e)
	s.pending = s.pending || s.v.Ask.API
	for _, n := range s.v.Notes {
		s.rules = append(s.rules, n.Rule)
	}
	return s
}

// at ticks the core at each of its wakes until d since boot.
func (s *script) at(d time.Duration) *script {
	s.t.Helper()
	for {
		wake := max(s.v.Wake.Raw, s.now+ms)
		if wake >= d {
			break
		}
		s.now = wake
		s.step(decide.Tick{})
	}
	s.now = d
	return s.step(decide.Tick{})
}

// after is at, d later than now.
func (s *script) after(d time.Duration) *script { s.t.Helper(); return s.at(s.now + d) }

// jump moves time on without a tick: the loop is late.
func (s *script) jump(d time.Duration) *script { s.now += d; return s }

// read is a read of the Roll that was sent age ago.
func (s *script) read(r roll.Roll, age time.Duration) *script {
	return s.step(decide.RollRead{Roll: r.Clone(), Sent: timing.At(s.now - age)})
}

// api is a read of the present Roll, sent a moment ago.
func (s *script) api() *script { return s.read(s.roll, ms) }

// miss is a read without an answer.
func (s *script) miss() *script { return s.step(decide.RollMissed{Err: "timeout"}) }

// states is a witness's statement, asked for age ago.
func (s *script) states(w string, r roll.Roll, age time.Duration) *script {
	c := r.Clone()
	return s.step(decide.Stated{Witness: w, Roll: &c, Sent: timing.At(s.now - age)})
}

// witnesses lets all three witnesses state the present Roll.
func (s *script) witnesses() *script {
	for _, w := range []string{"a", "b", "c"} {
		s.states(w, s.roll, ms)
	}
	return s
}

// hear lets both neighbours answer without a relay.
func (s *script) hear() *script {
	s.step(decide.Heard{Node: "a", Sent: timing.At(s.now - ms)})
	return s.step(decide.Heard{Node: "b", Sent: timing.At(s.now - ms)})
}

// relay is neighbour a's best roll with its age.
func (s *script) relay(r roll.Roll, age time.Duration) *script {
	return s.step(decide.Heard{
		Node: "a", Sent: timing.At(s.now - ms),
		Relay: &roll.Held{Roll: r.Clone(), Sent: timing.At(s.now - age)},
	})
}

// held is the holder's word, without an order carried out.
func (s *script) held(mode decide.HoldMode) *script {
	s.order = decide.Held{Mode: mode, Device: s.device}
	return s.step(s.order)
}

// obey carries out the last verdict and says so.
func (s *script) obey() *script {
	s.order = decide.Held{
		Order: s.v.Order, Mode: s.v.Hold, Device: s.device,
		Timeout: s.v.Timeout, PetUntil: s.v.PetUntil,
	}
	return s.step(s.order)
}

// publish stores the status of the last verdict, with a reply at once.
func (s *script) publish() *script {
	return s.step(decide.Published{Status: s.v.Status, Sent: timing.At(s.now)})
}

// lists puts the own boot into the Roll by fence f at the next serial.
func (s *script) lists(state roll.State, fence string) *script {
	s.roll = listed(s.roll, state, fence)
	return s
}

// listed returns the next serial of r, with the own boot in that state.
func listed(r roll.Roll, state roll.State, fence string) roll.Roll {
	r = r.Clone()
	r.Serial++
	r.Entries = nil
	if state != roll.Unlisted {
		r.Entries = []roll.Entry{{Node: "x", UID: "uid", Boot: boot, Fence: fence, State: state}}
	}
	return r
}

func (s *script) phase(want decide.Phase) *script {
	s.t.Helper()
	if s.v.Phase != want {
		s.t.Fatalf("at %v: phase %v (%s %q), want %v", s.now, s.v.Phase, s.v.Reason, s.v.Message, want)
	}
	return s
}

func (s *script) reason(want decide.Reason) *script {
	s.t.Helper()
	if s.v.Reason != want {
		s.t.Fatalf("at %v: reason %q, want %q", s.now, s.v.Reason, want)
	}
	return s
}

func (s *script) hold(want decide.HoldMode) *script {
	s.t.Helper()
	if s.v.Hold != want {
		s.t.Fatalf("at %v: hold %v, want %v (phase %v)", s.now, s.v.Hold, want, s.v.Phase)
	}
	return s
}

// promised checks what the NodeGuard must say.
func (s *script) promised(want timing.Promise) *script {
	s.t.Helper()
	if d := cmp.Diff(want, s.v.Status.Promise); d != "" {
		s.t.Fatalf("at %v: published promise (-want +got):\n%s", s.now, d)
	}
	return s
}

// uses checks what a restart would assume the holder enforces.
func (s *script) uses(want timing.Promise) *script {
	s.t.Helper()
	if d := cmp.Diff(want, s.v.Memory.Promise); d != "" {
		s.t.Fatalf("at %v: promise in use (-want +got):\n%s", s.now, d)
	}
	return s
}

func (s *script) petUntil(want time.Duration) *script {
	s.t.Helper()
	if s.v.PetUntil != timing.At(want) {
		s.t.Fatalf("at %v: petUntil %v, want %v", s.now, s.v.PetUntil.Raw, want)
	}
	return s
}

// cites checks that some note since the last call has the rule.
func (s *script) cites(want decide.Rule) *script {
	s.t.Helper()
	if !slices.Contains(s.rules, want) {
		s.t.Fatalf("at %v: rules %v, want %v among them", s.now, s.rules, want)
	}
	s.rules = nil
	return s
}

// asks checks the questions of the last verdict.
func (s *script) asks(want decide.Ask) *script {
	s.t.Helper()
	if d := cmp.Diff(want, s.v.Ask); d != "" {
		s.t.Fatalf("at %v: questions (-want +got):\n%s", s.now, d)
	}
	return s
}

// says compares the status, but for the number of the offer.
func (s *script) says(want decide.Status) *script {
	s.t.Helper()
	want.Offer = s.v.Status.Offer
	if d := cmp.Diff(want, s.v.Status); d != "" {
		s.t.Fatalf("at %v: status (-want +got):\n%s", s.now, d)
	}
	return s
}

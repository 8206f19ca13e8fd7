package decide_test

import (
	"testing"
	"time"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// guide sends the spec with another profile.
func (s *script) guide(p timing.Profile) *script {
	g := spec()
	g.Profile = p
	return s.step(decide.Guided{Spec: g})
}

// with is the standard profile with another L and another bound on κT.
func with(l, kt time.Duration) timing.Profile {
	p := timing.Standard()
	p.RollLife, p.RealTimeout = l, kt
	return p
}

// pledged is the promise with another L and T.
func pledged(l, t time.Duration) timing.Promise {
	p := promise()
	p.RollLife, p.Timeout = l, t
	return p
}

// Longer L: published, acknowledged, a later roll, adopted. Until then the old
// L counts.
func TestPledge_LongerLifeIsPublishedFirst(t *testing.T) {
	s := armed(t).guide(with(90*sec, 10200*ms))
	s.promised(pledged(90*sec, 10*sec)).uses(promise())
	s.after(500 * ms).api().witnesses().uses(promise()).petUntil(s.now - ms + 5*sec)
	s.publish().uses(promise()).petUntil(s.now - ms + 5*sec)
	s.asks(decide.Ask{API: true})
	s.after(5 * ms).api().uses(pledged(90*sec, 10*sec)).petUntil(s.now - ms + 90*sec)
}

func TestPledge_LongerTimeoutIsPublishedFirst(t *testing.T) {
	s := armed(t).guide(with(5*sec, 20400*ms))
	s.promised(pledged(5*sec, 20*sec)).uses(promise())
	if s.v.Timeout != 10*sec {
		t.Fatalf("T = %v is set before it was published", s.v.Timeout)
	}
	s.publish().after(5 * ms).api().uses(pledged(5*sec, 20*sec))
	if s.v.Timeout != 20*sec {
		t.Fatalf("T = %v after the adoption", s.v.Timeout)
	}
}

// What does not count as the way to a harder promise.
func TestPledge_NotAdopted(t *testing.T) {
	for name, during := range map[string]func(*script){
		"without an acknowledgement": func(s *script) { s.after(5 * ms).api() },
		"without a roll":             func(s *script) { s.publish().after(500 * ms) },
		"on a roll sent before the acknowledgement arrived": func(s *script) {
			s.publish().after(20*ms).read(s.roll, 30*ms)
		},
		"on a roll sent at the very instant of it": func(s *script) {
			s.publish().after(20*ms).read(s.roll, 20*ms)
		},
		"on a witness roll or a relay": func(s *script) {
			s.publish().after(20*ms).witnesses().relay(s.roll, ms)
		},
		"on an acknowledgement of the promise before": func(s *script) {
			old := s.v.Status
			old.Promise = promise()
			s.step(decide.Published{Status: old, Sent: timing.At(s.now)}).after(5 * ms).api()
		},
		"on an acknowledgement sent before the offer": func(s *script) {
			s.step(decide.Published{Status: s.v.Status, Sent: timing.At(s.now - ms)}).after(5 * ms).api()
		},
		"on a roll that withholds": func(s *script) {
			s.publish().lists(roll.Withheld, "f").after(5 * ms).api().phase(decide.Latched)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := armed(t).guide(with(90*sec, 10200*ms))
			during(s)
			s.uses(promise()).promised(pledged(90*sec, 10*sec))
		})
	}
}

// The reply of a publish was lost; the offer was withdrawn and made again. An
// acknowledgement of the first time says nothing about the second: the
// withdrawal may have been stored between them.
func TestPledge_StaleAcknowledgementOfAnEqualOffer(t *testing.T) {
	s := armed(t).guide(with(90*sec, 10200*ms))
	first := decide.Published{Status: s.v.Status, Sent: timing.At(s.now)}
	s.after(300 * ms).guide(timing.Standard()).promised(promise())
	s.after(300 * ms).guide(with(90*sec, 10200*ms)).promised(pledged(90*sec, 10*sec))
	s.after(300 * ms).step(first).after(5 * ms).api().uses(promise())
	s.publish().after(5 * ms).api().uses(pledged(90*sec, 10*sec))
}

// An acknowledgement, then a new offer and back: the same again.
func TestPledge_AcknowledgedOfferThatWasWithdrawn(t *testing.T) {
	s := armed(t).guide(with(90*sec, 10200*ms)).publish()
	s.guide(timing.Standard()).guide(with(90*sec, 10200*ms))
	s.after(5 * ms).api().uses(promise())
}

func TestPledge_ShorterTimeoutIsUsedFirst(t *testing.T) {
	s := armed(t).guide(with(5*sec, 5100*ms)).promised(promise()).uses(promise())
	if s.v.Timeout != 5*sec {
		t.Fatalf("T = %v, want the shorter one at once", s.v.Timeout)
	}
	s.after(500 * ms).api().witnesses().promised(promise()) // the holder has not confirmed
	stale := s.order
	stale.Order-- // confirms an order before
	s.step(stale).promised(promise())
	s.obey().uses(pledged(5*sec, 5*sec)).promised(pledged(5*sec, 5*sec))
}

// A shorter L is published when no deadline of the longer one lies ahead.
func TestPledge_ShorterLifeIsUsedFirst(t *testing.T) {
	s := armed(t).guide(with(90*sec, 10200*ms)).publish().after(5 * ms).api().uses(pledged(90*sec, 10*sec))
	long := s.v.PetUntil.Raw
	s.after(sec).guide(timing.Standard()).promised(pledged(90*sec, 10*sec))
	for s.now < long-6*sec {
		s.after(500 * ms).api().witnesses()
		s.promised(pledged(90*sec, 10*sec)).uses(pledged(90*sec, 10*sec)).petUntil(long)
	}
	for range 4 {
		s.after(500 * ms).api().witnesses()
	}
	s.promised(promise()).uses(promise()).petUntil(s.now - ms + 5*sec)
}

// Longer in one term and shorter in the other: what is published meanwhile
// covers both.
func TestPledge_MixedChangeGoesThroughTheHardest(t *testing.T) {
	s := armed(t).guide(with(4*sec, 20400*ms)).promised(pledged(5*sec, 20*sec)).uses(promise())
	// The shorter L is in use already, the longer T is not.
	s.after(2 * sec).api().witnesses().petUntil(s.now - ms + 4*sec)
	if s.v.Timeout != 10*sec {
		t.Fatalf("T = %v before it was published", s.v.Timeout)
	}
	s.publish().after(5 * ms).api().uses(pledged(5*sec, 20*sec))
	s.obey().uses(pledged(4*sec, 20*sec)).promised(pledged(4*sec, 20*sec))

	s = armed(t).guide(with(90*sec, 5100*ms)).promised(pledged(90*sec, 10*sec)).uses(promise())
	s.publish().after(5 * ms).api().uses(pledged(90*sec, 10*sec))
	s.step(decide.Tick{})
	if s.v.Timeout != 5*sec {
		t.Fatalf("T = %v, want the shorter one", s.v.Timeout)
	}
	s.obey().uses(pledged(90*sec, 5*sec)).promised(pledged(90*sec, 5*sec))
}

func TestPledge_ArmingIsUsedFirstAndPublishedAfter(t *testing.T) {
	s := start(t).step(decide.Guided{Spec: spec()}).held(decide.HoldIdle).api().witnesses()
	s.phase(decide.Arming).hold(decide.HoldArmed).promised(timing.Promise{}).uses(timing.Promise{})
	stale := decide.Held{Order: s.v.Order - 1, Mode: decide.HoldArmed, Device: s.device, Timeout: 60 * sec}
	s.step(stale).phase(decide.Arming).promised(timing.Promise{})
	idle := decide.Held{Order: s.v.Order, Mode: decide.HoldIdle, Device: s.device, Timeout: 60 * sec}
	s.step(idle).phase(decide.Arming).promised(timing.Promise{})
	s.obey().phase(decide.Armed).promised(promise()).uses(promise())
}

// What is published on arming bounds what the holder was granted: a deadline
// under a longer L must not be ahead.
func TestPledge_ArmingWaitsForDeadlinesOfALongerLife(t *testing.T) {
	s := start(t).guide(with(90*sec, 10200*ms)).held(decide.HoldIdle).api().witnesses()
	s.phase(decide.Arming).petUntil(s.now - ms + 90*sec)
	long := s.v.PetUntil.Raw
	s.guide(timing.Standard()).obey()
	for s.now < long-6*sec {
		s.after(500 * ms).api().witnesses().obey().promised(timing.Promise{}).uses(timing.Promise{})
	}
	for range 4 {
		s.after(500 * ms).api().witnesses().obey()
	}
	s.promised(promise()).phase(decide.Armed)
}

// The driver makes 12 s of 10 s: the core promises 12 s, and asks no more.
func TestPledge_DriverThatRoundsUp(t *testing.T) {
	s := start(t).step(decide.Guided{Spec: spec()}).held(decide.HoldIdle).api().witnesses()
	round := func() {
		s.order = decide.Held{Order: s.v.Order, Mode: s.v.Hold, Device: s.device, PetUntil: s.v.PetUntil, Timeout: s.v.Timeout}
		if s.order.Timeout == 10*sec {
			s.order.Timeout = 12 * sec
		}
		s.step(s.order)
	}
	for range 4 {
		round()
	}
	s.promised(pledged(5*sec, 12*sec)).uses(pledged(5*sec, 12*sec))
	order := s.v.Order
	for range 10 {
		s.after(500 * ms).api().witnesses()
		round()
	}
	s.promised(pledged(5*sec, 12*sec))
	if s.v.Order != order {
		t.Errorf("order %d after %d: each one pings the device", s.v.Order, order)
	}
}

// The promised δ covers the holder's.
func TestPledge_PetDelayCoversTheHolders(t *testing.T) {
	want := promise()
	want.PetDelay = 3 * sec
	s := start(t).step(decide.Guided{Spec: spec()})
	s.device.PetDelay = 3 * sec
	s.held(decide.HoldIdle).api().witnesses().obey().promised(want)
}

// A profile that breaks its own inequalities changes nothing: it would reset
// every node that follows it.
func TestPledge_ProfileThatDoesNotHoldIsRefused(t *testing.T) {
	bad := timing.Standard()
	bad.RollLife = 0
	s := armed(t).guide(bad).cites(decide.A12)
	s.after(sec).api().witnesses().uses(promise()).petUntil(s.now - ms + 5*sec)

	first := spec()
	first.Profile = bad
	start(t).step(decide.Guided{Spec: first}).held(decide.HoldIdle).api().witnesses().
		phase(decide.Unarmed).reason(decide.ReasonNoGuard)
}

func TestPledge_UnfitReasonsDisarmByTheHandshake(t *testing.T) {
	for name, event := range map[string]decide.Event{
		"spec":   decide.Guided{Spec: func() decide.Spec { p := spec(); p.Unarmed = "Excluded"; return p }()},
		"pruned": decide.Pruned{Field: "promise"},
		"device": decide.Held{Mode: decide.HoldArmed, Err: "gone"},
	} {
		t.Run(name, func(t *testing.T) {
			s := armed(t).step(event)
			s.phase(decide.Leaving).hold(decide.HoldArmed).uses(promise()).promised(timing.Promise{})
			s.after(500 * ms).api().phase(decide.Leaving).petUntil(s.now - ms + 5*sec)
			s.publish().after(ms).read(s.roll, 2*ms).phase(decide.Leaving)
			s.after(5 * ms).api().phase(decide.Unarmed).uses(timing.Promise{})
		})
	}
}

// An adapter writes when the status changes. An offer that was withdrawn and
// made again before the adapter could write looks the same and is not.
func TestPledge_OfferMadeAgainMustBeWrittenAgain(t *testing.T) {
	s := armed(t).guide(with(90*sec, 10200*ms))
	first := s.v.Status
	s.after(10 * ms).guide(timing.Standard()).guide(with(90*sec, 10200*ms))
	if again := s.v.Status; first.Equal(again) || first.Promise != again.Promise {
		t.Errorf("the second offer's status equals the first one's: nobody would write it")
	}
	if again := s.after(10 * ms).v.Status; !again.Equal(s.after(10 * ms).v.Status) {
		t.Error("the status changes although the offer stands")
	}
}

// A longer life that is not adopted yet does not put the questions off: they
// would come when the deadline does.
func TestA5_StartsAtHalfTheLifeInUse(t *testing.T) {
	longer := spec()
	longer.Profile.RollLife *= 2
	s := armed(t).step(decide.Guided{Spec: longer})
	s.step(decide.RollMissed{})
	s.at(s.now + 2400*ms)
	s.rules = nil
	s.after(150 * ms).cites(decide.A5)
}

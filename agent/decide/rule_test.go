package decide_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

func TestA1_WithheldByTheAPILatches(t *testing.T) {
	s := armed(t)
	until := s.v.PetUntil.Raw
	s.lists(roll.Withheld, "f").after(500 * ms).api()
	s.phase(decide.Latched).reason(decide.ReasonWithheld).hold(decide.HoldLatched).petUntil(until).cites(decide.A1)
	s.lists(roll.Unlisted, "").after(sec).api().witnesses().obey().step(decide.Stop{}).step(decide.Shutdown{})
	s.phase(decide.Latched).hold(decide.HoldLatched).petUntil(until)
}

func TestA1_WithheldByAWitnessRollLatches(t *testing.T) {
	s := resumed(t, decide.Memory{Roll: &roll.Roll{History: "h1", Serial: 9}, Promise: promise()})
	s.lists(roll.Withheld, "f").states("a", s.roll, ms).phase(decide.Armed) // H = 2
	s.states("b", s.roll, ms).phase(decide.Latched).cites(decide.A1)
}

// One witness that has read the withholding is enough where the quorum of the
// others' statements is older: the highest serial counts.
func TestA1_HighestSerialOfAQuorumCounts(t *testing.T) {
	s := armed(t)
	old := s.roll
	s.lists(roll.Withheld, "f").after(4*sec).states("a", old, ms).phase(decide.Armed)
	s.states("c", s.roll, ms).phase(decide.Latched).cites(decide.A1)
}

func TestA1_RelayAloneAsksEverybodyAndExtendsNothing(t *testing.T) {
	s := armed(t)
	until := s.v.PetUntil.Raw
	withheld := listed(s.roll, roll.Withheld, "f")
	s.after(300*ms).relay(withheld, 10*ms)
	s.phase(decide.Armed).petUntil(until).cites(decide.A1)
	s.asks(decide.Ask{API: true, Urgent: true, Witnesses: true, Neighbours: true})
	// Nor does another relay, of an older Roll that withholds nothing.
	s.relay(s.roll, 10*ms).petUntil(until)
	// The API itself may still say that it holds nothing against the boot.
	s.after(100 * ms).api().petUntil(s.now - ms + 5*sec)
}

func TestA1_WithheldWhileCoastingLatches(t *testing.T) {
	s := coasting(t).lists(roll.Withheld, "f").api()
	s.phase(decide.Latched).hold(decide.HoldLatched)
}

func TestA1_UnarmedNeverLatches(t *testing.T) {
	s := start(t).step(decide.Guided{Spec: spec()}).held(decide.HoldIdle)
	s.lists(roll.Withheld, "f").api().witnesses()
	s.phase(decide.Unarmed).reason(decide.ReasonWithheld).hold(decide.HoldIdle)
	s.after(60 * sec).phase(decide.Unarmed).hold(decide.HoldIdle)
}

func TestA2_PetUntilIsSentPlusL(t *testing.T) {
	s := armed(t).after(300*ms).read(s0(), 200*ms)
	s.petUntil(s.now - 200*ms + 5*sec)
	// An older read moves nothing back.
	s.read(s0(), 900*ms).petUntil(s.now - 200*ms + 5*sec)
	// A witness roll counts from the H-th newest question.
	s.after(sec).states("a", s0(), 10*ms).states("b", s0(), 40*ms).petUntil(s.now - 40*ms + 5*sec)
	// A relay counts from its age.
	s.after(sec).relay(s0(), 700*ms).petUntil(s.now - 700*ms + 5*sec)
}

func s0() roll.Roll { return firstRoll() }

func TestA3_SuspectedIsRefutedAtOnce(t *testing.T) {
	for name, tell := range map[string]func(*script){
		"by the API":   func(s *script) { s.api() },
		"by a relay":   func(s *script) { s.relay(s.roll, 10*ms) },
		"by witnesses": func(s *script) { s.states("a", s.roll, ms).states("b", s.roll, ms) },
	} {
		t.Run(name, func(t *testing.T) {
			s := armed(t).lists(roll.Suspected, "f1").after(300 * ms)
			tell(s)
			s.phase(decide.Armed).reason(decide.ReasonSuspected).petUntil(s.v.PetUntil.Raw).cites(decide.A3)
			if s.v.Status.Refutes != "f1" {
				t.Errorf("refutes %q, want f1", s.v.Status.Refutes)
			}
			s.after(sec).lists(roll.Unlisted, "").api().reason(decide.ReasonNone)
			if s.v.Status.Refutes != "" {
				t.Errorf("refutes %q after the fence was dropped", s.v.Status.Refutes)
			}
			s.lists(roll.Suspected, "f2").after(sec).api().cites(decide.A3)
			if s.v.Status.Refutes != "f2" {
				t.Errorf("refutes %q, want the new fence f2", s.v.Status.Refutes)
			}
		})
	}
}

func TestA3_SuspectedNodeReadsTheRollEachInterval(t *testing.T) {
	s := armed(t)
	s.roll.PollEvery = 25 * sec
	s.lists(roll.Suspected, "f").api()
	if got := reads(s, 10*sec, nil); got < 9 {
		t.Errorf("%d reads in 10 s, want one each second", got)
	}
}

func TestA4_SuspectedWithoutTheAPIGoesOn(t *testing.T) {
	s := armed(t).after(300*ms).miss().lists(roll.Suspected, "f").relay(s0next(roll.Suspected), 10*ms)
	s.phase(decide.Armed).cites(decide.A4)
	for range 30 {
		s.after(sec).miss().relay(s.roll, 100*ms)
	}
	s.phase(decide.Armed).reason(decide.ReasonSuspected).petUntil(s.now - 100*ms + 5*sec)
}

func s0next(state roll.State) roll.Roll { return listed(firstRoll(), state, "f") }

func TestA5_NoRollYoungerThanHalfItsLifeAsksEverybody(t *testing.T) {
	s := armed(t).after(100 * ms)
	for range 3 { // the read under way, and the following ones, bring nothing
		s.miss()
	}
	begin := s.now
	asked := 0
	for s.v.Phase != decide.Latched {
		s.now = s.v.Wake.Raw
		s.step(decide.Tick{})
		if s.v.Ask.Neighbours && s.v.Ask.Witnesses {
			asked++
		}
		if s.v.Ask.API {
			s.miss()
		}
		if s.now-begin > 10*sec {
			t.Fatal("it neither asks nor latches")
		}
	}
	s.cites(decide.A5)
	if asked < 4 || asked > 10 {
		t.Errorf("asked everybody %d times between L/2 and L, want about one each gate interval", asked)
	}
}

func TestA5_StartsAtHalfALife(t *testing.T) {
	s := armed(t) // the newest roll was asked for 1 ms ago
	s.step(decide.RollMissed{})
	s.at(s.now + 2400*ms)
	s.rules = nil
	s.after(150 * ms).cites(decide.A5)
}

// The only witness of an epoch is a quorum, and asks nobody but itself.
func TestA5_ASoleWitnessOutlivesAnOutage(t *testing.T) {
	s := armed(t, func(c *decide.Config) { c.Node = "a" })
	s.roll.Epochs = []roll.Epoch{{Number: 2, Witnesses: []string{"a"}}}
	s.roll.Serial++
	alone := spec()
	alone.Witnesses = []string{"a"}
	s.step(decide.Guided{Spec: alone}).api().publish()
	for end := s.now + time.Minute; s.now < end; {
		s.after(500 * ms)
		if s.v.Ask.API || s.pending {
			s.miss()
		}
	}
	s.phase(decide.Armed)
}

func TestA5_LinkDownAsksEverybodyAtOnce(t *testing.T) {
	s := armed(t).api().after(100 * ms).step(decide.Link{Interface: "eth0", Up: false})
	s.asks(decide.Ask{API: true, Urgent: true, Witnesses: true, Neighbours: true}).cites(decide.A5).phase(decide.Armed)
}

// Relays whose content withholds the boot bring no roll that lets it pet: the
// questions go on although each relay is fresh.
func TestA5_RelaysThatWithholdDoNotEndTheQuestions(t *testing.T) {
	s := armed(t)
	withheld := s0next(roll.Withheld)
	asked := 0
	for end := s.now + 4500*ms; s.now < end; {
		s.after(250 * ms)
		if s.v.Ask.Witnesses {
			asked++
		}
		s.relay(withheld, 10*ms).miss()
	}
	s.phase(decide.Armed)
	if asked < 4 {
		t.Errorf("asked the witnesses %d times in 4.5 s, want at each gate interval from L/2 on", asked)
	}
}

func TestA6_DeadlinePassedLatches(t *testing.T) {
	s := armed(t)
	until := s.v.PetUntil.Raw
	s.at(until - 1).phase(decide.Armed)
	s.at(until).phase(decide.Latched).reason(decide.ReasonDeadline).hold(decide.HoldLatched).cites(decide.A6)
	s.api().witnesses().phase(decide.Latched).petUntil(until)
}

func TestA6_RollInTheStepAfterTheDeadlineIsTooLate(t *testing.T) {
	s := armed(t)
	until := s.v.PetUntil.Raw
	s.now = until // no tick came between
	s.read(s.roll, 4*sec).phase(decide.Latched).petUntil(until).cites(decide.A6)
}

func TestA6_EitherClockEndsTheDeadline(t *testing.T) {
	s := armed(t)
	now := timing.Instant{Raw: s.now, Boot: s.v.PetUntil.Boot} // suspended meanwhile
	if v := s.core.Step(now, decide.Tick{}); v.Phase != decide.Latched {
		t.Errorf("phase %v after CLOCK_BOOTTIME passed petUntil, want Latched", v.Phase)
	}
}

func TestA6_HolderThatLatchedByItselfIsLatched(t *testing.T) {
	s := armed(t).held(decide.HoldLatched)
	s.phase(decide.Latched).hold(decide.HoldLatched).cites(decide.A6)
}

func TestA7_NoQuorumOfWitnessesAbstainsThenUnarmsThenArmsAgain(t *testing.T) {
	s := armed(t)
	lonely := func(d time.Duration) *script {
		for end := s.now + d; s.now < end; {
			s.after(500 * ms).api()
		}
		return s
	}
	lonely(9 * sec) // reach window: 3·2 s + 2.25 s
	s.phase(decide.Armed).cites(decide.A7)
	if !s.v.Status.PeersLost || s.v.Status.Lost != nil {
		t.Errorf("status %+v, want PeersLost and no judgement about others", s.v.Status)
	}
	lonely(29 * sec).phase(decide.Armed).promised(promise())
	lonely(2 * sec).phase(decide.Leaving).reason(decide.ReasonPeersLost).hold(decide.HoldArmed).promised(timing.Promise{})
	s.publish().phase(decide.Leaving).after(10 * ms).api()
	s.phase(decide.Unarmed).reason(decide.ReasonPeersLost).hold(decide.HoldFree).cites(decide.A7)
	s.obey()
	lonely(20 * sec).phase(decide.Unarmed).hold(decide.HoldFree)

	s.witnesses().phase(decide.Arming).hold(decide.HoldArmed).promised(timing.Promise{})
	s.obey().phase(decide.Armed).promised(promise())
}

func TestA7_APIOutageDoesNotCount(t *testing.T) {
	patient := spec()
	patient.Profile = timing.Patient()
	s := armed(t).step(decide.Guided{Spec: patient}).publish().after(5 * ms).api()
	if s.v.Memory.Promise.RollLife != 90*sec {
		t.Fatalf("in use: %+v", s.v.Memory.Promise)
	}
	for range 60 { // the switch reboots: neither the API nor any peer answers
		s.after(sec).miss()
	}
	s.after(sec).api() // the API is back a moment before the peers
	s.phase(decide.Armed).after(500 * ms).api().witnesses().phase(decide.Armed)
	if s.v.Status.PeersLost {
		t.Error("PeersLost although the witnesses answer")
	}
}

func TestA8_LostNeighboursArePublishedAndTheRollIsReadEachInterval(t *testing.T) {
	s := armed(t)
	s.roll.PollEvery = 25 * sec
	s.roll.Serial++
	s.api().witnesses()
	if got := reads(s, 20*sec, func() { s.hear().witnesses().relay(s.roll, 10*ms) }); got > 1 {
		t.Errorf("%d reads in 20 s, want at most one: PollEvery is 25 s", got)
	}
	onlyB := func() {
		s.witnesses().step(decide.Heard{Node: "b", Sent: timing.At(s.now), Relay: &roll.Held{Roll: s.roll.Clone(), Sent: timing.At(s.now)}})
	}
	got := reads(s, 12*sec, onlyB)
	if got < 8 {
		t.Errorf("%d reads in 12 s with a neighbour lost, want about one each second", got)
	}
	s.says(decide.Status{
		Phase: decide.Armed, Promise: promise(), History: "h1", Lost: []string{"a"},
	}).cites(decide.A8)
	s.hear().cites(decide.A8)
	if s.v.Status.Lost != nil {
		t.Errorf("lost %v after the answer", s.v.Status.Lost)
	}
}

// A neighbour that answers all pings but the last ones is lost after
// LostAfter, not earlier.
func TestA8_LostExactlyAfterTheMisses(t *testing.T) {
	s := armed(t)
	heard := s.now - ms
	s.at(heard + timing.Standard().LostAfter() - 1)
	if s.v.Status.Lost != nil {
		t.Fatalf("lost %v too early", s.v.Status.Lost)
	}
	s.at(heard + timing.Standard().LostAfter())
	if len(s.v.Status.Lost) != 2 {
		t.Errorf("lost %v, want a and b", s.v.Status.Lost)
	}
}

func TestA9_LateLoopDoesNotJudgeOthers(t *testing.T) {
	s := armed(t).jump(4 * sec).step(decide.Tick{}) // LostAfter is 2.25 s
	s.cites(decide.A9)
	if s.v.Status.Lost != nil {
		t.Errorf("lost %v after a pause of the own loop", s.v.Status.Lost)
	}
	s.phase(decide.Armed) // rolls count all the same: 4 s < L
	s.after(2300 * ms)
	s.phase(decide.Latched) // and so does the deadline
}

func TestA9_NeighboursLostBeforeStayLost(t *testing.T) {
	s := armed(t)
	for range 6 {
		s.after(500 * ms).api().witnesses().step(decide.Heard{Node: "b", Sent: timing.At(s.now)})
	}
	s.jump(2 * sec).step(decide.Tick{}).cites(decide.A9)
	if len(s.v.Status.Lost) != 1 || s.v.Status.Lost[0] != "a" {
		t.Errorf("lost %v, want a still", s.v.Status.Lost)
	}
}

func TestA10_StorageNetworkLostIsOnlyReported(t *testing.T) {
	s := armed(t).api().after(100 * ms).step(decide.Link{Interface: "eth1", Storage: true})
	s.phase(decide.Armed).cites(decide.A10).asks(decide.Ask{})
	if !s.v.Status.StorageUnreachable {
		t.Error("not reported")
	}
	s.step(decide.Link{Interface: "eth1", Storage: true, Up: true})
	if s.v.Status.StorageUnreachable {
		t.Error("still reported")
	}
}

func TestA11_FailingWatchdogUnarmsByTheHandshake(t *testing.T) {
	s := armed(t)
	s.order.Err = "ping: input/output error"
	s.step(s.order).cites(decide.A11)
	s.phase(decide.Leaving).reason(decide.ReasonDeviceFailed).hold(decide.HoldArmed).promised(timing.Promise{})
	s.publish().after(10 * ms).api().phase(decide.Unarmed).hold(decide.HoldFree)
}

func TestA11_CannotUnarmResetsByPetUntil(t *testing.T) {
	s := armed(t)
	s.order.Err = "device gone"
	s.step(s.order).phase(decide.Leaving).miss()
	s.after(6 * sec).phase(decide.Latched).cites(decide.A6)
}

// A device that fails whenever it is armed looks well once it is let go. Asked
// again at once, it would fail as often as the loop turns.
func TestA11_FailedArmingWaitsBeforeItArmsAgain(t *testing.T) {
	s := start(t).step(decide.Guided{Spec: spec()}).held(decide.HoldIdle).api().witnesses().hear()
	s.phase(decide.Arming)
	s.order = decide.Held{Order: s.v.Order, Mode: decide.HoldIdle, Device: s.device, Err: "set timeout: input/output error"}
	s.step(s.order).phase(decide.Unarmed).reason(decide.ReasonDeviceFailed).cites(decide.A11)
	failed := s.now
	told := s.v.Status
	for s.now+500*ms < failed+decide.RearmAfter {
		s.obey().phase(decide.Unarmed).reason(decide.ReasonDeviceFailed).hold(decide.HoldIdle).promised(timing.Promise{})
		if d := cmp.Diff(told, s.v.Status); d != "" {
			t.Fatalf("at %v: the status changes, and is written, though nothing did (-want +got):\n%s", s.now, d)
		}
		s.after(500 * ms).api().witnesses().hear()
	}
	if want := "set timeout: input/output error; arming again 10s after its last failure"; s.v.Message != want {
		t.Errorf("message %q, want %q", s.v.Message, want)
	}
	s.at(failed + decide.RearmAfter - ms).phase(decide.Unarmed)
	if want := timing.At(failed + decide.RearmAfter); s.v.Wake != want {
		t.Errorf("wakes at %v, want %v", s.v.Wake.Raw, want.Raw)
	}
	s.at(failed + decide.RearmAfter).phase(decide.Arming).hold(decide.HoldArmed)
	s.obey().phase(decide.Armed).promised(promise())
}

// The controller's word for why a node must not be armed may be one that this
// agent does not know, with something for people behind it.
func TestA12_TheControllersWordMayBeUnknown(t *testing.T) {
	for said, want := range map[string][2]string{
		"Excluded": {"Excluded", "the controller says so"},
		"SharedBoot: node n3 names the same boot ID": {"SharedBoot", "node n3 names the same boot ID"},
		"Strange: a: b": {"Strange", "a: b"},
	} {
		p := spec()
		p.Unarmed = said
		s := armed(t).step(decide.Guided{Spec: p}).phase(decide.Leaving).reason(decide.Reason(want[0]))
		if s.v.Message != want[1] {
			t.Errorf("%q: %q, want %q", said, s.v.Message, want[1])
		}
		s.publish().after(5 * ms).api().phase(decide.Unarmed).reason(decide.Reason(want[0])).uses(timing.Promise{})
	}
}

// What is missing keeps a node from arming, with a reason, and nothing resets it.
func TestA12_UnfitNodesStayUnarmedAndSayWhy(t *testing.T) {
	for _, test := range []struct {
		why    decide.Reason
		config func(*decide.Config)
		spec   func(*decide.Spec)
		before func(*script)
		after  func(*script)
	}{
		{why: decide.ReasonNone},
		{why: "BreakGlass", config: func(c *decide.Config) { c.Forbidden = "BreakGlass" }},
		{why: "Observe", spec: func(p *decide.Spec) { p.Unarmed = "Observe" }},
		{why: decide.ReasonNoWatchdog, before: func(s *script) { s.device = decide.Device{} }},
		{why: decide.ReasonPruned, after: func(s *script) { s.step(decide.Pruned{Field: "promise"}) }},
		{why: decide.ReasonDeviceFailed, after: func(s *script) { s.order.Err = "busy"; s.step(s.order) }},
		{why: decide.ReasonWithheld, before: func(s *script) { s.lists(roll.Withheld, "f") }},
		{why: decide.ReasonStopping, before: func(s *script) { s.step(decide.Stop{}) }},
		{why: decide.ReasonShutdown, before: func(s *script) { s.step(decide.Shutdown{}) }},
	} {
		t.Run(string(test.why)+" ", func(t *testing.T) {
			var change []func(*decide.Config)
			if test.config != nil {
				change = append(change, test.config)
			}
			s := start(t, change...)
			if test.before != nil {
				test.before(s)
			}
			p := spec()
			if test.spec != nil {
				test.spec(&p)
			}
			s.step(decide.Guided{Spec: p}).held(decide.HoldIdle).api().witnesses()
			if test.after != nil {
				test.after(s)
			}
			if test.why == decide.ReasonNone {
				s.phase(decide.Arming).hold(decide.HoldArmed)
				return
			}
			for range 20 {
				s.after(500 * ms).api().witnesses()
				s.phase(decide.Unarmed).reason(test.why).hold(decide.HoldIdle).promised(timing.Promise{})
			}
			s.after(60 * sec).phase(decide.Unarmed).hold(decide.HoldIdle)
		})
	}
}

// Arming needs all of these; without any one of them it does not begin.
func TestA12_ArmingNeedsASpecTheHolderAnAPIRollAndAQuorum(t *testing.T) {
	parts := map[string]func(*script){
		"spec":   func(s *script) { s.step(decide.Guided{Spec: spec()}) },
		"holder": func(s *script) { s.held(decide.HoldIdle) },
		"roll":   func(s *script) { s.api() },
		"quorum": func(s *script) { s.states("a", s.roll, ms).states("c", s.roll, ms) },
	}
	order := []string{"spec", "holder", "roll", "quorum"}
	for _, missing := range append(order, "") {
		t.Run("without "+missing, func(t *testing.T) {
			s := start(t)
			for _, part := range order {
				if part != missing {
					parts[part](s)
				}
			}
			if got := s.v.Phase == decide.Arming; got != (missing == "") {
				t.Errorf("phase %v (%s)", s.v.Phase, s.v.Reason)
			}
		})
	}
	t.Run("a relay is no API roll", func(t *testing.T) {
		m := firstRoll()
		s := start(t, func(c *decide.Config) { c.Memory.Roll = &m })
		s.step(decide.Guided{Spec: spec()}).held(decide.HoldIdle).witnesses().relay(s.roll, ms)
		s.phase(decide.Unarmed).reason(decide.ReasonNoRoll)
	})
	t.Run("one witness is no quorum", func(t *testing.T) {
		s := start(t).step(decide.Guided{Spec: spec()}).held(decide.HoldIdle).api().states("a", firstRoll(), ms)
		s.phase(decide.Unarmed).reason(decide.ReasonPeersLost)
	})
	t.Run("nothing is published before the holder spoke", func(t *testing.T) {
		s := start(t).step(decide.Guided{Spec: spec()}).api().witnesses()
		s.phase(decide.PhaseUnknown).hold(decide.HoldUnknown)
	})
}

func TestA13_StopUnarmsByTheHandshakeAndThenIsDone(t *testing.T) {
	for uninstall, mode := range map[bool]decide.HoldMode{false: decide.HoldFree, true: decide.HoldIdle} {
		s := armed(t).step(decide.Stop{Uninstall: uninstall})
		s.phase(decide.Leaving).reason(decide.ReasonStopping).hold(decide.HoldArmed).promised(timing.Promise{})
		s.publish().phase(decide.Leaving).after(5 * ms).api()
		s.phase(decide.Unarmed).hold(mode).cites(decide.A13)
		if s.v.Done {
			t.Fatal("done before the holder let go")
		}
		if !s.obey().v.Done {
			t.Fatal("not done after the holder let go")
		}
	}
}

// An uninstall first has all nodes become unarmed, and then has them leave: a node
// that pets freely by then stops its device, and asks nobody for it.
func TestA13_ObservedFirstAndThenUninstalled(t *testing.T) {
	told := func(word string) decide.Guided {
		p := spec()
		p.Unarmed = word
		return decide.Guided{Spec: p}
	}
	s := armed(t).step(told("Observe")).phase(decide.Leaving)
	s.publish().after(5 * ms).api().phase(decide.Unarmed).reason("Observe").hold(decide.HoldFree).obey()
	s.after(60 * sec).step(told("Uninstall")).phase(decide.Unarmed).reason("Uninstall").hold(decide.HoldFree)
	s.step(decide.Stop{Uninstall: true}).phase(decide.Unarmed).hold(decide.HoldIdle)
	if s.v.Done {
		t.Fatal("done before the holder stopped its device")
	}
	if !s.obey().v.Done {
		t.Fatal("not done after the holder stopped its device")
	}
}

func TestA13_WithoutAnAcknowledgementNothingIsDisarmed(t *testing.T) {
	s := armed(t).step(decide.Stop{})
	for range 60 { // the API reads well and stores nothing
		s.after(500 * ms).api().witnesses()
		s.phase(decide.Leaving).hold(decide.HoldArmed).uses(promise())
		if s.v.Done {
			t.Fatal("done")
		}
	}
	s.petUntil(s.now - ms + 5*sec)
}

// A host that shuts down publishes a long T, sets it, and coasts: armed to the end.
func TestA13_ShutdownCoastsUnderAPublishedLongTimeout(t *testing.T) {
	s := coasting(t)
	if s.v.Done {
		t.Fatal("done before the holder coasts")
	}
	if !s.obey().v.Done {
		t.Fatal("not done although the holder coasts")
	}
	order := s.v.Order
	s.after(60 * sec).phase(decide.Armed).hold(decide.HoldCoast) // A6 is the device's now
	if s.v.Order != order {
		t.Error("a second order would ping the device once more")
	}
}

// coasting is a node that has gone through a shutdown up to the order to coast.
func coasting(t *testing.T) *script {
	t.Helper()
	long := promise()
	long.Timeout = 294 * sec // κT ≤ 5 min
	long.Ungated = 1         // the service manager's close
	s := armed(t).step(decide.Shutdown{})
	s.phase(decide.Armed).reason(decide.ReasonShutdown).hold(decide.HoldArmed).promised(long).uses(promise())
	if s.v.Timeout != 10*sec {
		t.Fatalf("T = %v is used before it was published", s.v.Timeout)
	}
	s.publish().uses(promise()).after(5 * ms).api().uses(long)
	s.step(decide.Tick{}).hold(decide.HoldCoast)
	if s.v.Timeout != 294*sec {
		t.Fatalf("coasting under T = %v", s.v.Timeout)
	}
	return s
}

// A device whose longest T is in use already: the promise stays the same, and
// yet nothing coasts before it is acknowledged and the roll was called.
func TestA13_ShutdownUnderAnUnpublishedPromiseDoesNotCoast(t *testing.T) {
	s := start(t).step(decide.Guided{Spec: spec()})
	s.device.Max, s.device.Ungated = 10*sec, 1
	s.held(decide.HoldIdle).api().witnesses().obey().phase(decide.Armed)
	s.step(decide.Shutdown{}).step(decide.Tick{}).hold(decide.HoldArmed)
	s.after(500 * ms).api().hold(decide.HoldArmed)
	s.publish().hold(decide.HoldArmed).after(5 * ms).api().hold(decide.HoldCoast)
}

func TestA13_ShutdownWithoutTheAPIStaysGated(t *testing.T) {
	s := armed(t).step(decide.Shutdown{}).miss()
	for range 20 {
		s.after(500 * ms).witnesses()
		s.phase(decide.Armed).hold(decide.HoldArmed).uses(promise())
	}
}

func TestA14_FencedBootResetsWhateverThePhase(t *testing.T) {
	fenced := spec()
	fenced.FencedBoot = boot
	for name, s := range map[string]*script{
		"new":      start(t),
		"unarmed":  start(t).step(decide.Guided{Spec: spec()}).held(decide.HoldIdle),
		"armed":    armed(t),
		"coasting": coasting(t),
	} {
		s.step(decide.Guided{Spec: fenced}).phase(decide.Latched).reason(decide.ReasonFenced).hold(decide.HoldLatched).cites(decide.A14)
		t.Log(name)
	}
	other := spec()
	other.FencedBoot = "another boot of this node"
	armed(t).step(decide.Guided{Spec: other}).phase(decide.Armed)
}

// A core that does not know its boot ID matches nothing, not even a missing one.
func TestA14_NoBootIDMatchesNoFence(t *testing.T) {
	start(t, func(c *decide.Config) { c.Boot = "" }).step(decide.Guided{Spec: spec()}).phase(decide.PhaseUnknown)
}

// reads lets time pass in quarter seconds, answers each question to the API,
// and counts them.
func reads(s *script, d time.Duration, each func()) int {
	n := 0
	for end := s.now + d; s.now < end; {
		s.after(250 * ms)
		if s.pending {
			n++
			s.api()
		}
		if each != nil {
			each()
		}
	}
	return n
}

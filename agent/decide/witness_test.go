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

// suspicion is an entry against another boot.
func suspicion(fence string) roll.Entry {
	return roll.Entry{Node: "y", UID: "uid-y", Boot: "boot-y", Fence: fence, State: roll.Suspected}
}

// witness is node a, armed.
func witness(t *testing.T) *script {
	t.Helper()
	return armed(t, func(c *decide.Config) { c.Node = "a" })
}

func TestWitness_PublishesSerialFencesAndStreak(t *testing.T) {
	s := witness(t).hear()
	s.says(decide.Status{Phase: decide.Armed, Promise: promise(), History: "h1", Serial: 10})
	s.roll.Entries = []roll.Entry{suspicion("f2"), {Node: "z", Boot: "boot-z", Fence: "f1", State: roll.Withheld}}
	s.roll.Serial++
	for n := range int64(4) {
		s.after(500 * ms).api().hear().witnesses()
		s.says(decide.Status{
			Phase: decide.Armed, Promise: promise(), History: "h1", Serial: 11, Fences: []string{"f1"}, Streak: n + 1,
		})
	}
	s.roll.Serial++
	s.roll.Entries = s.roll.Entries[1:]
	s.after(500 * ms).api()
	if s.v.Status.Streak != 0 {
		t.Errorf("streak %d after the suspicion was gone", s.v.Status.Streak)
	}
}

// The gate counts consecutive fresh reads. What breaks the row starts it anew.
func TestWitness_StreakBreaks(t *testing.T) {
	for name, test := range map[string]struct {
		event func(*script)
		want  int64
	}{
		"nothing": {func(s *script) { s.after(500 * ms).api() }, 4},
		"three endpoints answering one question": {func(s *script) {
			s.after(500*ms).read(s.roll, 3*ms).read(s.roll, 2*ms).after(1100*ms).read(s.roll, 1104*ms)
		}, 4},
		"a miss":              {func(s *script) { s.after(250 * ms).miss().after(250 * ms).api() }, 1},
		"a gap":               {func(s *script) { s.after(1100 * ms).api() }, 1},
		"a reply that is old": {func(s *script) { s.after(1600*ms).read(s.roll, 1100*ms) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := witness(t)
			s.roll.Entries = []roll.Entry{suspicion("f")}
			s.roll.Serial++
			for range 3 {
				s.after(500 * ms).api()
			}
			test.event(s)
			if s.v.Status.Streak != test.want {
				t.Errorf("streak %d, want %d", s.v.Status.Streak, test.want)
			}
		})
	}
}

func TestWitness_OthersPublishNoSerial(t *testing.T) {
	s := armed(t)
	s.roll.Entries = []roll.Entry{suspicion("f"), {Node: "z", Boot: "boot-z", Fence: "f1", State: roll.Withheld}}
	s.roll.Serial++
	s.after(500 * ms).api().after(500 * ms).api()
	s.says(decide.Status{Phase: decide.Armed, Promise: promise(), History: "h1"})
}

// Acknowledgements count in a retiring epoch, too.
func TestWitness_OfARetiringEpochAcknowledges(t *testing.T) {
	s := witness(t)
	s.roll.Serial++
	s.roll.Epochs = []roll.Epoch{
		{Number: 1, Retiring: true, Witnesses: []string{"a", "b", "c"}},
		{Number: 2, Witnesses: []string{"b", "c", "d"}},
	}
	s.after(500 * ms).api()
	if s.v.Status.Serial != 11 {
		t.Errorf("serial %d, want 11", s.v.Status.Serial)
	}
	if s.v.Ask.API || reads(s, 5*sec, nil) < 4 {
		t.Error("it does not read each interval any more")
	}
}

// Only own reads are stated: neither a quorum's roll nor a relay.
func TestWitness_StatesOwnReadsOnly(t *testing.T) {
	s := witness(t)
	newer := listed(s.roll, roll.Suspected, "f")
	s.after(500*ms).states("b", newer, ms).states("c", newer, ms).relay(newer, ms)
	if s.v.Status.Serial != 10 || s.v.Memory.Roll.Serial != 10 {
		t.Errorf("states serial %d, want 10", s.v.Status.Serial)
	}
	s.read(s.roll, 200*ms) // a reply that is older than what others have told
	if s.v.Memory.Roll.Serial != 10 {
		t.Errorf("states serial %d, want 10", s.v.Memory.Roll.Serial)
	}
	s.after(100*ms).read(newer, ms).read(s.roll, 300*ms)
	if s.v.Memory.Roll.Serial != 11 {
		t.Errorf("states serial %d after 11: never an older one than before", s.v.Memory.Roll.Serial)
	}
}

func TestWitness_ReadsAtTheGatesPaceWhileASuspicionIsOpen(t *testing.T) {
	s := witness(t)
	s.roll.PollEvery = 25 * sec
	s.roll.Serial++
	s.api()
	if got := reads(s, 10*sec, func() { s.hear().witnesses() }); got < 9 || got > 11 {
		t.Errorf("%d reads in 10 s, want one each second", got)
	}
	s.roll.Entries = []roll.Entry{suspicion("f")}
	s.roll.Serial++
	s.api()
	if got := reads(s, 10*sec, func() { s.hear().witnesses() }); got < 18 || got > 21 {
		t.Errorf("%d reads in 10 s, want one each half second", got)
	}
}

// The relay is the newest send time with the newest content.
func TestRelay_IsTheBestRoll(t *testing.T) {
	s := armed(t).after(500 * ms)
	newer := listed(s.roll, roll.Unlisted, "")
	s.relay(newer, 300*ms).after(100*ms).states("a", s0(), 20*ms).states("b", s0(), 20*ms)
	want := &roll.Held{Roll: newer, Sent: timing.At(s.now - 20*ms)}
	if d := cmp.Diff(want, s.v.Relay); d != "" {
		t.Errorf("relay (-want +got):\n%s", d)
	}
	if s.v.Via != "witness" {
		t.Errorf("via %s, want witness", s.v.Via)
	}
}

func TestRelay_NoneWithoutARoll(t *testing.T) {
	if s := start(t).step(decide.Guided{Spec: spec()}).held(decide.HoldIdle); s.v.Relay != nil {
		t.Errorf("relay %+v", s.v.Relay)
	}
}

// Relays extend only when neither the proven nor the rumoured content withholds.
func TestRelay_DoesNotOverruleWhatIsProven(t *testing.T) {
	s := start(t).step(decide.Guided{Spec: spec()}).held(decide.HoldIdle)
	s.lists(roll.Withheld, "f").api().witnesses().phase(decide.Unarmed)
	dropped := listed(s.roll, roll.Unlisted, "")
	s.after(500*ms).relay(dropped, 10*ms).phase(decide.Unarmed).reason(decide.ReasonWithheld)
	s.step(decide.Tick{}).phase(decide.Unarmed).petUntil(0)
	s.read(dropped, ms).witnesses().phase(decide.Arming)
}

// A witness set that changes does not count as silence to an armed node.
func TestA7_NewWitnessesGetTheTimeToAnswer(t *testing.T) {
	s := armed(t)
	s.roll.Serial++
	s.roll.Epochs = []roll.Epoch{
		{Number: 1, Retiring: true, Witnesses: []string{"a", "b", "c"}},
		{Number: 2, Witnesses: []string{"d", "e", "f"}},
	}
	p := spec()
	p.Witnesses = []string{"a", "b", "c", "d", "e", "f"}
	s.step(decide.Guided{Spec: p}).after(500 * ms).api()
	if s.v.Status.PeersLost || slices.Contains(s.rules, decide.A7) {
		t.Error("PeersLost although the new witnesses were never asked")
	}
}

// The controller counts a witness whose last boot is dead as having heard. So a
// later boot states only what it has read after the API server knew of it.
func TestWitness_StatesOnlyWhatItReadAfterItWasAnnounced(t *testing.T) {
	s := start(t).step(decide.Guided{Spec: spec()}).held(decide.HoldIdle).api()
	if s.v.Memory.Roll != nil {
		t.Fatalf("memory %+v of a boot that nobody knows of", s.v.Memory.Roll)
	}
	if s.publish(); s.v.Memory.Roll != nil {
		t.Errorf("memory %+v was read before the boot was announced", s.v.Memory.Roll)
	}
	if s.after(10*ms).read(s.roll, 11*ms); s.v.Memory.Roll != nil {
		t.Errorf("memory %+v was asked for before the boot was announced", s.v.Memory.Roll)
	}
	if s.after(time.Second).api(); s.v.Memory.Roll == nil {
		t.Error("no memory of a roll that was read after the boot was announced")
	}
}

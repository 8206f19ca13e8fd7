package decide_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// next is a Roll of another history.
func next() roll.Roll {
	r := firstRoll()
	r.History, r.Serial = "h2", 1
	return r
}

func TestHistory_NewOneVoidsMemoryAndIsGoodForPetting(t *testing.T) {
	s := armed(t).after(500*ms).read(next(), 10*ms)
	s.phase(decide.Armed).petUntil(s.now - 10*ms + 5*sec)
	if s.v.Memory.Roll != nil {
		t.Errorf("memory %+v before this boot was announced under the new history", s.v.Memory.Roll)
	}
	s.publish().after(500*ms).read(next(), 10*ms)
	if d := cmp.Diff(next(), *s.v.Memory.Roll); d != "" {
		t.Errorf("memory (-want +got):\n%s", d)
	}
	if s.v.Status.History != "h2" || s.v.Status.HistoryBroken != "" {
		t.Errorf("status %+v", s.v.Status)
	}
}

func TestHistory_OldStatementsAndRelaysAreRefused(t *testing.T) {
	s := armed(t).after(500*ms).read(next(), 10*ms)
	until := s.v.PetUntil.Raw
	old := listed(s.roll, roll.Withheld, "f")
	s.after(500*ms).states("a", s.roll, ms).states("b", s.roll, ms).relay(s.roll, ms).petUntil(until)
	s.states("a", old, ms).states("b", old, ms).relay(old, ms).phase(decide.Armed)
	s.states("a", next(), ms).petUntil(until).states("b", next(), ms).petUntil(s.now - ms + 5*sec)
}

// A read of the old history that was sent before the new one was read comes
// late: the history does not go back.
func TestHistory_DelayedReplyOfTheOldOne(t *testing.T) {
	s := armed(t).after(500*ms).read(next(), 10*ms).publish().after(200*ms).read(next(), 10*ms).after(20 * ms)
	until := s.v.PetUntil.Raw
	s.read(s.roll, 100*ms).petUntil(until)
	if s.v.Status.History != "h2" || s.v.Memory.Roll == nil || s.v.Memory.Roll.History != "h2" {
		t.Errorf("history %s, memory %+v", s.v.Status.History, s.v.Memory.Roll)
	}
}

// A relay pairs a content with a send time. The send time of an old history's
// roll says nothing about the new one's content.
func TestHistory_RelayDoesNotMixHistories(t *testing.T) {
	s := armed(t).after(800*ms).states("a", s0(), 10*ms).states("b", s0(), 10*ms).relay(s0(), 5*ms)
	s.read(next(), 700*ms)
	want := &roll.Held{Roll: next(), Sent: s.v.Relay.Sent}
	want.Sent.Raw, want.Sent.Boot = s.now-700*ms, s.now-700*ms
	if d := cmp.Diff(want, s.v.Relay); d != "" {
		t.Errorf("relay (-want +got):\n%s", d)
	}
}

func TestHistory_LowerSerialOfALaterQuestionIsBroken(t *testing.T) {
	s := armed(t).after(500 * ms)
	back := s.roll
	back.Serial = 7
	s.read(back, 10*ms).phase(decide.Armed).petUntil(s.now - 10*ms + 5*sec)
	if s.v.Status.HistoryBroken == "" || s.v.Memory.Roll != nil {
		t.Errorf("status %+v, memory %+v: want it reported and no statement", s.v.Status, s.v.Memory.Roll)
	}
	s.after(500*ms).read(next(), 10*ms).publish().after(500*ms).read(next(), 10*ms)
	if s.v.Status.HistoryBroken != "" || s.v.Memory.Roll == nil {
		t.Error("a new history mends it")
	}
}

// A witness told a higher serial while the read was under way: nothing is broken.
func TestHistory_DelayedReplyWithALowerSerialIsNotBroken(t *testing.T) {
	s := armed(t).after(500 * ms)
	newer := s.roll
	newer.Serial = 12
	s.states("a", newer, 50*ms).states("b", newer, 50*ms)
	s.after(50*ms).read(s.roll, 200*ms)
	if s.v.Status.HistoryBroken != "" || s.v.Memory.Roll == nil {
		t.Errorf("broken: %s", s.v.Status.HistoryBroken)
	}
	if s.v.Memory.Roll.Serial != 10 {
		t.Errorf("states serial %d, want 10: a quorum's roll is not an own read", s.v.Memory.Roll.Serial)
	}
}

// After a restored backup the API's line and the one in others' memories go on
// side by side. What the API says counts, whatever higher serial others state.
func TestHistory_InABrokenOneTheAPIsContentCounts(t *testing.T) {
	s := armed(t).after(500 * ms)
	back := s.roll
	back.Serial = 7
	s.read(back, 10*ms).after(100 * ms)
	s.states("a", s.roll, ms).states("b", s.roll, ms).relay(s.roll, ms)
	s.phase(decide.Armed).petUntil(s.now - ms + 5*sec) // an outage right now resets nobody
	s.after(100*ms).read(listed(back, roll.Suspected, "f"), ms)
	if s.v.Status.Refutes != "f" {
		t.Errorf("refutes %q, want f", s.v.Status.Refutes)
	}
	s.after(100*ms).read(listed(back, roll.Withheld, "f"), ms).phase(decide.Latched).cites(decide.A1)
}

// In a broken history a relay's send time comes from the API alone.
func TestHistory_BrokenOneRelaysTheAPIAlone(t *testing.T) {
	s := armed(t).after(500 * ms)
	back := s.roll
	back.Serial = 7
	s.read(back, 10*ms)
	sent := s.v.Relay.Sent
	s.after(100*ms).states("a", s.roll, ms).states("b", s.roll, ms).relay(s.roll, ms)
	if s.v.Relay.Sent != sent || s.v.Relay.Roll.Serial != 7 {
		t.Errorf("relays serial %d of %v, want 7 of %v", s.v.Relay.Roll.Serial, s.v.Relay.Sent, sent)
	}
}

// The backup may have taken the acknowledged promise with it: publish again.
func TestHistory_NewOneNeedsANewAcknowledgement(t *testing.T) {
	back := firstRoll()
	back.Serial = 7
	for name, r := range map[string]roll.Roll{"new": next(), "broken": back} {
		t.Run(name, func(t *testing.T) {
			s := armed(t).step(decide.Stop{}).publish().after(20*ms).read(r, ms)
			s.phase(decide.Leaving).uses(promise())
			s.publish().after(20*ms).read(r, ms).phase(decide.Unarmed)
		})
	}
}

// An acknowledgement that was sent before the history began does not announce
// this boot under it: the backup may not know the boot.
func TestHistory_NewOneNeedsANewAnnouncement(t *testing.T) {
	s := armed(t)
	before := decide.Published{Status: s.v.Status, Sent: timing.At(s.now)}
	s.after(100*ms).read(next(), ms).step(before).after(100*ms).read(next(), ms)
	if s.v.Memory.Roll != nil {
		t.Errorf("states %+v on an acknowledgement of the old history", s.v.Memory.Roll)
	}
	if s.publish().after(100*ms).read(next(), ms); s.v.Memory.Roll == nil {
		t.Error("states nothing after a new acknowledgement")
	}
}

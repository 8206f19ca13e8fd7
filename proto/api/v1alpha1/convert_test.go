package v1alpha1

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

func aRoll() roll.Roll {
	return roll.Roll{
		History: "h", Serial: 7, PollEvery: 2 * time.Second,
		Epochs: []roll.Epoch{
			{Number: 1, Retiring: true, Witnesses: []string{"a", "b", "c"}},
			{Number: 2, Witnesses: []string{"b", "c", "d"}},
		},
		Entries: []roll.Entry{
			{Node: "a", UID: "u", Boot: "b1", Fence: "f1", State: roll.Withheld},
			{Node: "b", UID: "v", Boot: "b2", Fence: "f2", State: roll.Suspected},
		},
	}
}

func TestRollSpec(t *testing.T) {
	spec := RollSpecOf(aRoll())
	want := RollSpec{
		History: "h", Serial: 7, PollEvery: metav1.Duration{Duration: 2 * time.Second},
		Epochs: []Epoch{
			{Number: 1, State: EpochRetiring, Witnesses: []string{"a", "b", "c"}},
			{Number: 2, State: EpochActive, Witnesses: []string{"b", "c", "d"}},
		},
		Entries: []RollEntry{
			{Node: "a", NodeUID: "u", BootID: "b1", Fence: "f1", State: "Withheld"},
			{Node: "b", NodeUID: "v", BootID: "b2", Fence: "f2", State: "Suspected"},
		},
	}
	if diff := cmp.Diff(want, spec); diff != "" {
		t.Error(diff)
	}
	got, err := spec.Roll()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(aRoll(), got); diff != "" {
		t.Error(diff)
	}
	got.Epochs[0].Witnesses[0] = "z"
	if spec.Epochs[0].Witnesses[0] != "a" {
		t.Error("the Roll shares memory with the spec")
	}
}

// A Roll that no controller writes must not become evidence.
func TestRollSpecRefuses(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*RollSpec)
		want   string
	}{
		{"no history", func(s *RollSpec) { s.History = "" }, "history"},
		{"no serial", func(s *RollSpec) { s.Serial = 0 }, "serial 0"},
		{"unknown epoch state", func(s *RollSpec) { s.Epochs[0].State = "Gone" }, `"Gone"`},
		{"no epoch state", func(s *RollSpec) { s.Epochs[0].State = "" }, "unknown state"},
		{"no witnesses", func(s *RollSpec) { s.Epochs[0].Witnesses = nil }, "0 witnesses"},
		{"unknown entry state", func(s *RollSpec) { s.Entries[0].State = "withheld" }, "state"},
		{"unlisted entry state", func(s *RollSpec) { s.Entries[0].State = "Unlisted" }, "state"},
		{"no boot", func(s *RollSpec) { s.Entries[0].BootID = "" }, "boot ID"},
		{"boot twice", func(s *RollSpec) { s.Entries[1].BootID = "b1" }, "twice"},
	} {
		t.Run(test.name, func(t *testing.T) {
			spec := RollSpecOf(aRoll())
			test.change(&spec)
			got, err := spec.Roll()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
			if diff := cmp.Diff(roll.Roll{}, got); diff != "" {
				t.Error("an error came with a Roll", diff)
			}
		})
	}
}

func TestPromise(t *testing.T) {
	armed := timing.Promise{
		Armed: true, RollLife: 5 * time.Second, PetDelay: time.Second,
		Timeout: 10 * time.Second, Kappa: 1020, Ungated: 1,
	}
	for _, test := range []struct {
		name string
		wire Promise
		want timing.Promise
		err  string
	}{
		{"armed", PromiseOf(armed), armed, ""},
		{"unarmed", PromiseOf(timing.Promise{}), timing.Promise{}, ""},
		{"unarmed promises nothing", Promise{Kappa: 1020, Timeout: metav1.Duration{Duration: time.Hour}}, timing.Promise{}, ""},
		{"armed without terms", Promise{Armed: true}, timing.Promise{}, "rollLife"},
		{"negative", func() Promise {
			p := PromiseOf(armed)
			p.Timeout.Duration = -time.Second
			return p
		}(), timing.Promise{}, "timeout"},
		{"κ below one", func() Promise {
			p := PromiseOf(armed)
			p.Kappa = 999
			return p
		}(), timing.Promise{}, "999"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.wire.Pure()
			if (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v, want one with %q", err, test.err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Every field of a Profile is on the wire, and each stands for itself.
func TestTimingIsWholeProfile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		duration := rapid.Map(rapid.Int64(), func(n int64) time.Duration { return time.Duration(n) })
		count := rapid.IntRange(-1<<31, 1<<31-1)
		p := timing.Profile{
			Heartbeat:       duration.Draw(t, "heartbeat"),
			Misses:          count.Draw(t, "misses"),
			RollInterval:    duration.Draw(t, "rollInterval"),
			RollLife:        duration.Draw(t, "rollLife"),
			RealTimeout:     duration.Draw(t, "realTimeout"),
			GateReads:       count.Draw(t, "gateReads"),
			PetDelay:        duration.Draw(t, "petDelay"),
			ResetLatency:    duration.Draw(t, "resetLatency"),
			Drain:           duration.Draw(t, "drain"),
			RejoinGuard:     duration.Draw(t, "rejoinGuard"),
			ShutdownTimeout: duration.Draw(t, "shutdownTimeout"),
		}
		if diff := cmp.Diff(p, TimingOf(p).Resolve(timing.Standard())); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestTimingOverrides(t *testing.T) {
	want := timing.Fast()
	want.RollLife = 7 * time.Second
	want.Misses = 3
	got := Timing{RollLife: &metav1.Duration{Duration: 7 * time.Second}, Misses: new(int32(3))}.Resolve(timing.Fast())
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(timing.Patient(), Timing{}.Resolve(timing.Patient())); diff != "" {
		t.Error("no override changed something", diff)
	}
}

var sameIfEmpty = cmpopts.EquateEmpty()

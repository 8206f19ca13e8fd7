package peerv1

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

func sample() roll.Roll {
	return roll.Roll{
		History: "h1", Serial: 7, PollEvery: 1500 * time.Millisecond,
		Epochs: []roll.Epoch{
			{Number: 1, Retiring: true, Witnesses: []string{"a", "b", "c"}},
			{Number: 2, Witnesses: []string{"b", "c", "d"}},
		},
		Entries: []roll.Entry{
			{Node: "x", UID: "u-x", Boot: "boot-x", Fence: "f1", State: roll.Suspected},
			{Node: "y", UID: "u-y", Boot: "boot-y", Fence: "f2", State: roll.Withheld},
		},
	}
}

// wire sends x through its wire form.
func wire(t testing.TB, x *Roll) *Roll {
	t.Helper()
	b, err := proto.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	var y Roll
	if err := proto.Unmarshal(b, &y); err != nil {
		t.Fatal(err)
	}
	return &y
}

func TestRollSurvivesTheWire(t *testing.T) {
	got, err := DecodeRoll(wire(t, EncodeRoll(sample())))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(sample(), got); d != "" {
		t.Errorf("roll after the wire (-sent +got):\n%s", d)
	}
}

func TestRollSurvivesTheWireProperty(t *testing.T) {
	name := rapid.StringMatching(`[a-z][a-z0-9.-]{0,40}`)
	rapid.Check(t, func(t *rapid.T) {
		r := roll.Roll{
			History:   name.Draw(t, "history"),
			Serial:    rapid.Int64Range(1, math.MaxInt64).Draw(t, "serial"),
			PollEvery: time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "poll")),
		}
		for i, b := range rapid.SliceOfNDistinct(name, 0, 5, rapid.ID).Draw(t, "boots") {
			r.Entries = append(r.Entries, roll.Entry{
				Node: name.Draw(t, "node"), UID: name.Draw(t, "uid"), Boot: b, Fence: name.Draw(t, "fence"),
				State: roll.State(1 + i%2),
			})
		}
		b, err := proto.Marshal(EncodeRoll(r))
		if err != nil {
			t.Fatal(err)
		}
		var x Roll
		if err := proto.Unmarshal(b, &x); err != nil {
			t.Fatal(err)
		}
		got, err := DecodeRoll(&x)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(r, got); d != "" {
			t.Errorf("roll after the wire (-sent +got):\n%s", d)
		}
	})
}

func TestDecodeRollRefusesNonsense(t *testing.T) {
	long := strings.Repeat("n", maxText+1)
	tests := []struct {
		name string
		bend func(*Roll)
		want string
	}{
		{"no history", func(x *Roll) { x.History = "" }, "history"},
		{"serial 0", func(x *Roll) { x.Serial = 0 }, "serial 0"},
		{"negative serial", func(x *Roll) { x.Serial = -1 }, "serial -1"},
		{"negative poll interval", func(x *Roll) { x.PollEvery = durationpb.New(-1) }, "poll interval"},
		{"endless poll interval", func(x *Roll) { x.PollEvery = &durationpb.Duration{Seconds: math.MaxInt64} }, "poll interval"},
		{"nanos without sense", func(x *Roll) { x.PollEvery = &durationpb.Duration{Nanos: math.MaxInt32} }, "poll interval"},
		{"epoch twice", func(x *Roll) { x.Epochs[1].Number = 1 }, "twice"},
		{"nil epoch", func(x *Roll) { x.Epochs[0] = nil }, "0 witnesses"},
		{"witnesses out of order", func(x *Roll) { x.Epochs[0].Witnesses = []string{"b", "a", "c"} }, "sorted"},
		{"witness without a name", func(x *Roll) { x.Epochs[0].Witnesses = []string{"", "a", "b"} }, "empty witness"},
		{"nil entry", func(x *Roll) { x.Entries[0] = nil }, "lacks a boot ID"},
		{"unknown state", func(x *Roll) { x.Entries[0].State = 3 }, "a state"},
		{"no state", func(x *Roll) { x.Entries[0].State = Entry_STATE_UNSPECIFIED }, "a state"},
		{"boot twice", func(x *Roll) { x.Entries[1].BootId = "boot-x" }, "twice"},
		{"long history", func(x *Roll) { x.History = long }, "bytes"},
		{"long witness", func(x *Roll) { x.Epochs[0].Witnesses[2] = long }, "bytes"},
		{"long fence", func(x *Roll) { x.Entries[0].Fence = long }, "bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := EncodeRoll(sample())
			tt.bend(x)
			got, err := DecodeRoll(x)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("DecodeRoll() = %v, %v; want an error with %q", got, err, tt.want)
			}
		})
	}
	if _, err := DecodeRoll(nil); err == nil {
		t.Error("DecodeRoll(nil) accepts nothing at all")
	}
}

// §3.3: s = own send time − age.
func TestRelayCountsFromTheSendTime(t *testing.T) {
	sent := timing.Instant{Raw: 100 * time.Second, Boot: 130 * time.Second}
	held, err := DecodeRelay(EncodeRelay(EncodeRoll(sample()), 3*time.Second), sent)
	if err != nil {
		t.Fatal(err)
	}
	want := timing.Instant{Raw: 97 * time.Second, Boot: 127 * time.Second}
	if held.Sent != want {
		t.Errorf("relay counts from %v, want %v", held.Sent, want)
	}
}

func TestDecodeRelayRefusesNonsense(t *testing.T) {
	x := EncodeRoll(sample())
	for name, r := range map[string]*Relay{
		"nil":           nil,
		"no roll":       {Age: durationpb.New(time.Second)},
		"no age":        {Roll: x},
		"negative age":  {Roll: x, Age: durationpb.New(-time.Nanosecond)},
		"endless age":   {Roll: x, Age: &durationpb.Duration{Seconds: 315576000000}},
		"overflow":      {Roll: x, Age: &durationpb.Duration{Seconds: math.MaxInt64, Nanos: 1}},
		"mixed signs":   {Roll: x, Age: &durationpb.Duration{Seconds: 1, Nanos: -1}},
		"nonsense roll": {Roll: &Roll{}, Age: durationpb.New(time.Second)},
	} {
		if held, err := DecodeRelay(r, timing.At(time.Hour)); err == nil {
			t.Errorf("%s: DecodeRelay() = %v, want an error", name, held)
		}
	}
	if got := EncodeRelay(x, -time.Second).GetAge().AsDuration(); got != 0 {
		t.Errorf("EncodeRelay of a negative age sends %v, want 0", got)
	}
}

// FuzzReplies feeds foreign bytes to everything that an agent decodes from a
// peer: it must never panic, and what it accepts must be valid and keep its
// meaning on the way out.
func FuzzReplies(f *testing.F) {
	for _, m := range []proto.Message{
		&HeartbeatReply{Node: "a", BootId: "b", Relay: EncodeRelay(EncodeRoll(sample()), time.Second), HeardYou: durationpb.New(time.Second)},
		&StatementReply{Node: "a", BootId: "b", Roll: EncodeRoll(sample())},
		&HeartbeatReply{}, &StatementReply{},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		sent := timing.At(time.Hour)
		var beat HeartbeatReply
		if proto.Unmarshal(b, &beat) == nil {
			if held, err := DecodeRelay(beat.GetRelay(), sent); err == nil {
				if held.Sent.After(sent) {
					t.Errorf("relay of the future: %v, asked at %v", held.Sent, sent)
				}
				checkAccepted(t, held.Roll)
			}
			if age, ok := DecodeAge(beat.GetHeardYou()); ok && age < 0 {
				t.Errorf("heard in the future: %v", age)
			}
		}
		var said StatementReply
		if proto.Unmarshal(b, &said) == nil {
			if r, err := DecodeRoll(said.GetRoll()); err == nil {
				checkAccepted(t, r)
			}
		}
	})
}

func checkAccepted(t *testing.T, r roll.Roll) {
	t.Helper()
	if err := r.Validate(); err != nil {
		t.Errorf("decoded an invalid roll: %v", err)
	}
	again, err := DecodeRoll(wire(t, EncodeRoll(r)))
	if err != nil {
		t.Errorf("a decoded roll does not survive the wire: %v", err)
	}
	if d := cmp.Diff(r, again); d != "" {
		t.Errorf("a decoded roll changes on the wire (-was +is):\n%s", d)
	}
}

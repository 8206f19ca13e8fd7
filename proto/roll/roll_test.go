package roll_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/proto/roll"
)

// epoch returns an active epoch of these witnesses.
func epoch(number int64, witnesses ...string) roll.Epoch {
	return roll.Epoch{Number: number, Witnesses: witnesses}
}

func retiring(e roll.Epoch) roll.Epoch {
	e.Retiring = true
	return e
}

// entry holds a state against a boot by a fence named after it.
func entry(boot string, state roll.State) roll.Entry {
	return roll.Entry{Node: "node-" + boot, UID: "uid-" + boot, Boot: boot, Fence: "fence-" + boot, State: state}
}

// valid returns a Roll with something of everything.
func valid() roll.Roll {
	return roll.Roll{
		History: "h", Serial: 7,
		Epochs:  []roll.Epoch{retiring(epoch(1, "a", "b", "c")), epoch(2, "b", "c", "d")},
		Entries: []roll.Entry{entry("s", roll.Suspected), entry("w", roll.Withheld), entry("v", roll.Withheld)},
	}
}

func TestEpochQuorumAndCoverOverlap(t *testing.T) {
	for n, want := range map[int][2]int{1: {1, 1}, 2: {2, 1}, 3: {2, 2}, 4: {3, 2}, 5: {3, 3}, 7: {4, 4}, 9: {5, 5}} {
		e := roll.Epoch{Witnesses: make([]string, n)}
		if got := [2]int{e.Quorum(), e.Cover()}; got != want {
			t.Errorf("n=%d: H and C are %v, want %v", n, got, want)
		}
		if e.Quorum()+e.Cover() != n+1 {
			t.Errorf("n=%d: H + C is %d, want n + 1: they overlap by one", n, e.Quorum()+e.Cover())
		}
	}
}

func TestRollEntryIsMatchedByBootAlone(t *testing.T) {
	r := valid()
	for boot, want := range map[string]roll.Entry{
		"s": entry("s", roll.Suspected), "w": entry("w", roll.Withheld), "node-w": {}, "uid-w": {}, "": {},
	} {
		if diff := cmp.Diff(want, r.Entry(boot)); diff != "" {
			t.Errorf("entry of boot %q (-want +got):\n%s", boot, diff)
		}
		if got := r.Withholds(boot); got != (want.State == roll.Withheld) {
			t.Errorf("withholds boot %q: %v", boot, got)
		}
	}
}

func TestRollAnswers(t *testing.T) {
	type answers struct {
		Fences, Witnesses []string
		Gating            bool
	}
	suspicion := roll.Roll{Entries: []roll.Entry{entry("s", roll.Suspected)}}
	withheld := roll.Roll{Entries: []roll.Entry{entry("w", roll.Withheld)}}
	for name, test := range map[string]struct {
		roll roll.Roll
		want answers
	}{
		"empty":          {roll.Roll{}, answers{}},
		"of everything":  {valid(), answers{[]string{"fence-v", "fence-w"}, []string{"a", "b", "c", "d"}, true}},
		"only withheld":  {withheld, answers{Fences: []string{"fence-w"}}},
		"only suspected": {suspicion, answers{Gating: true}},
	} {
		got := answers{test.roll.Fences(), test.roll.Witnesses(), test.roll.Gating()}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestRollCloneSharesNothing(t *testing.T) {
	r := valid()
	c := r.Clone()
	if diff := cmp.Diff(r, c); diff != "" {
		t.Fatalf("clone (-want +got):\n%s", diff)
	}
	c.Epochs[0].Witnesses[0] = "changed"
	c.Epochs[1].Retiring = true
	c.Entries[0].State = roll.Withheld
	if diff := cmp.Diff(valid(), r); diff != "" {
		t.Errorf("changing the clone changed the roll (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(roll.Roll{}, roll.Roll{}.Clone()); diff != "" {
		t.Errorf("clone of the empty roll (-want +got):\n%s", diff)
	}
}

func TestStateNames(t *testing.T) {
	for state, want := range map[roll.State]string{
		roll.Unlisted: "Unlisted", roll.Suspected: "Suspected", roll.Withheld: "Withheld", roll.State(9): "Unlisted",
	} {
		if got := state.String(); got != want {
			t.Errorf("state %d is %q, want %q", int(state), got, want)
		}
	}
}

func TestRollValidate(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*roll.Roll)
		want   string // "" for none
	}{
		"of everything":      {func(*roll.Roll) {}, ""},
		"nothing open":       {func(r *roll.Roll) { r.Entries = nil }, ""},
		"no epoch yet":       {func(r *roll.Roll) { r.Epochs = nil }, ""},
		"the first":          {func(r *roll.Roll) { r.Serial = 1 }, ""},
		"no history":         {func(r *roll.Roll) { r.History = "" }, "history"},
		"no serial":          {func(r *roll.Roll) { r.Serial = 0 }, "serial 0"},
		"negative serial":    {func(r *roll.Roll) { r.Serial = -3 }, "serial -3"},
		"negative poll":      {func(r *roll.Roll) { r.PollEvery = -1 }, "poll interval"},
		"epochs without end": {func(r *roll.Roll) { r.Epochs = make([]roll.Epoch, 9) }, "9 epochs"},
		"entries without end": {
			func(r *roll.Roll) { r.Entries = make([]roll.Entry, 10001) }, "10001 entries",
		},
		"an epoch twice": {
			func(r *roll.Roll) { r.Epochs[1].Number = 1 }, "epoch 1 twice",
		},
		"an epoch of nobody":   {func(r *roll.Roll) { r.Epochs[0].Witnesses = nil }, "epoch 1 has 0 witnesses"},
		"an epoch of too many": {func(r *roll.Roll) { r.Epochs[0].Witnesses = many(100) }, "epoch 1 has 100 witnesses"},
		"an epoch of 99":       {func(r *roll.Roll) { r.Epochs[0].Witnesses = many(99) }, ""},
		"witnesses not sorted": {func(r *roll.Roll) { r.Epochs[0].Witnesses = []string{"b", "a", "c"} }, "sorted"},
		"a witness twice":      {func(r *roll.Roll) { r.Epochs[0].Witnesses = []string{"a", "a", "b"} }, "once"},
		"an entry of no boot":  {func(r *roll.Roll) { r.Entries[0].Boot = "" }, "boot ID"},
		"an entry of no fence": {func(r *roll.Roll) { r.Entries[0].Fence = "" }, "fence ID"},
		"an entry of no state": {func(r *roll.Roll) { r.Entries[0].State = roll.Unlisted }, "state"},
		"an unknown state":     {func(r *roll.Roll) { r.Entries[0].State = 9 }, "state"},
		"a boot twice":         {func(r *roll.Roll) { r.Entries[0].Boot = "w" }, "boot w twice"},
	} {
		t.Run(name, func(t *testing.T) {
			r := valid()
			test.change(&r)
			err := r.Validate()
			switch {
			case test.want == "" && err != nil:
				t.Errorf("error %q, want none", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

// many returns n sorted names.
func many(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%03d", i)
	}
	return names
}

package watchdog

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const ms = time.Millisecond

var key = Key{Driver: "softdog", Identity: "Software Watchdog", Kernel: "6.1.0"}

func trial() Trial {
	return Trial{Boot: "old", Key: key, Timeout: 10 * sec, Neighbours: []string{"n2", "n3"}}
}

func TestJudge(t *testing.T) {
	heard := func(lasted, gap time.Duration) Silence {
		return Silence{Boot: "old", Lasted: lasted, Gap: gap, Beats: 100}
	}
	for _, tt := range []struct {
		name   string
		boot   string
		change func(*Trial)
		heard  []Silence
		kappa  int
		lasted time.Duration
		err    string
	}{
		{name: "one neighbour", heard: []Silence{heard(10*sec, 40*ms)}, kappa: 1005, lasted: 10*sec + 50*ms},
		{name: "rounded up", heard: []Silence{heard(10*sec+1, 0)}, kappa: 1006, lasted: 10*sec + 50*ms + 1},
		{name: "the longest counts", heard: []Silence{heard(9*sec, 50*ms), heard(10*sec, 80*ms)}, kappa: 1008, lasted: 10*sec + 80*ms},
		{name: "iTCO", heard: []Silence{heard(18900*ms, 60*ms)}, kappa: 1896, lasted: 18960 * ms},
		{name: "a gap counts as life", heard: []Silence{heard(10*sec, sec)}, kappa: 1100, lasted: 11 * sec},
		{name: "who heard coarsely, but longer", heard: []Silence{heard(10*sec, 50*ms), heard(12*sec, 5*sec)}, kappa: 1205, lasted: 12050 * ms},
		{name: "early, and never less than 1", heard: []Silence{heard(9500*ms, 50*ms)}, kappa: 1000, lasted: 9550 * ms},
		{name: "another boot's silence", heard: []Silence{{Boot: "older", Lasted: 30 * sec, Beats: 9}, heard(10*sec, 50*ms)}, kappa: 1005, lasted: 10050 * ms},

		{name: "nobody", err: "no neighbour"},
		{name: "all coarse", heard: []Silence{heard(10*sec, 1001*ms)}, err: "no neighbour timed it well"},
		{name: "one beat only", heard: []Silence{{Boot: "old", Lasted: 10 * sec, Beats: 1}}, err: "no neighbour"},
		{name: "too early", heard: []Silence{heard(8900*ms, 50*ms)}, err: "not the watchdog's doing"},
		{name: "too late", heard: []Silence{heard(40*sec, 50*ms)}, err: "not the watchdog's doing"},
		{name: "the same boot", boot: "old", heard: []Silence{heard(10*sec, 50*ms)}, err: "was not reset yet"},
		{name: "spoilt", change: func(t *Trial) { t.Spoilt = "the agent was restarted" }, heard: []Silence{heard(10*sec, 50*ms)}, err: "restarted"},
		{name: "no timeout", change: func(t *Trial) { t.Timeout = 0 }, heard: []Silence{heard(10*sec, 50*ms)}, err: "not tested"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := trial()
			if tt.change != nil {
				tt.change(&x)
			}
			boot := "new"
			if tt.boot != "" {
				boot = tt.boot
			}
			got, err := Judge(x, boot, tt.heard)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("%+v, error %v, want %q", got, err, tt.err)
				}
				return
			}
			if err != nil || got.Kappa != tt.kappa || got.Lasted != tt.lasted || !got.Resets || got.Key != key {
				t.Errorf("%+v, %v, want κ %d after %v", got, err, tt.kappa, tt.lasted)
			}
		})
	}
}

// A node that beats until its dog bites is never measured as dying earlier than
// it did, whatever is delayed or lost on the way, as long as one neighbour hears
// its last beat: κ in the promise is what P1 rests on.
func TestJudgeNeverMeasuresLessThanTheTruth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		timeout := time.Duration(rapid.IntRange(2, 60).Draw(t, "T")) * sec
		truth := timeout * time.Duration(rapid.IntRange(950, 3500).Draw(t, "κ")) / 1000
		stall := time.Duration(rapid.IntRange(0, 60).Draw(t, "stall")) * ms
		var heard []Silence
		for i := range rapid.IntRange(1, 3).Draw(t, "neighbours") {
			s := Silence{Boot: "old"}
			var began, last time.Duration
			for sent := time.Duration(0); sent < truth; sent += TestBeat + stall {
				final := sent+TestBeat+stall >= truth
				if lost := rapid.IntRange(0, 9).Draw(t, "lost") == 0; lost && !(i == 0 && final) {
					continue
				}
				at := sent + time.Duration(rapid.IntRange(0, 20).Draw(t, "delay"))*ms
				if s.Beats == 0 {
					began = at - sent
				} else {
					began, s.Gap = min(began, at-sent), max(s.Gap, at-last)
				}
				last = max(last, at)
				s.Beats++
			}
			s.Lasted = last - began
			heard = append(heard, s)
		}
		f, err := Judge(Trial{Boot: "old", Key: key, Timeout: timeout}, "new", heard)
		if err != nil {
			return // too coarse to tell
		}
		// The beats are late by the stall, which the gaps show unless a single one
		// hides it behind its delay.
		if measured := timeout * time.Duration(f.Kappa) / 1000; measured < truth-20*ms {
			t.Fatalf("measured %v (κ %d), the truth is %v", measured, f.Kappa, truth)
		}
		if f.Lasted > truth+timeout/coarse+200*ms {
			t.Fatalf("measured %v, the truth is %v", f.Lasted, truth)
		}
	})
}

func TestOverdue(t *testing.T) {
	x := trial()
	if x.Overdue(45*sec) || !x.Overdue(45*sec+1) {
		t.Error("a dog of T=10s has 45s")
	}
	if f := x.Failed(); f.Resets || !strings.Contains(f.String(), "did not reset the node within 45s") {
		t.Errorf("%v", f)
	}
}

func TestRecord(t *testing.T) {
	found := func(k Key, kappa int) Finding { return Finding{Key: k, Resets: kappa > 0, Kappa: kappa, Timeout: sec} }
	other := Key{Driver: key.Driver, Identity: key.Identity, Kernel: "6.2.0"}
	r := Record{}.With(found(key, 1100)).With(found(other, 1030)).With(found(key, 1050))
	want := []Finding{found(other, 1030), found(key, 1100)}
	if diff := cmp.Diff(want, r.Findings); diff != "" {
		t.Errorf("the larger κ stays (-want +got):\n%s", diff)
	}
	if err := r.Validate(); err != nil {
		t.Error(err)
	}
	list := func() []Candidate {
		return []Candidate{{Info: Info{Identity: "Software Watchdog"}}, {Info: Info{Identity: "iTCO_wdt"}}, {}}
	}
	for kernel, measured := range map[string]int{"6.1.0": 1100, "6.2.0": 1030, "6.3.0": 0} {
		all := list()
		r.Apply(all, kernel)
		if all[0].Measured != measured || all[1].Measured != 0 || all[2].Measured != 0 {
			t.Errorf("kernel %s: %+v", kernel, all)
		}
	}
	all := list()
	r = r.With(found(key, 0))
	if r.Apply(all, "6.1.0"); all[0].Failed == "" || all[0].Measured != 0 {
		t.Errorf("a dog that did not bite: %+v", all[0])
	}
	for range 40 {
		r = r.With(found(Key{Identity: "x", Kernel: strings.Repeat("k", len(r.Findings))}, 1000))
	}
	if len(r.Findings) > keep {
		t.Errorf("%d findings", len(r.Findings))
	}
	for name, bad := range map[string]Record{
		"trial":   {Trial: &Trial{Timeout: sec}},
		"years":   {Trial: &Trial{Boot: "old", Key: key, Timeout: 25 * time.Hour}},
		"kappa":   {Findings: []Finding{found(key, 999)}},
		"timeout": {Findings: []Finding{{Key: key}}},
	} {
		if bad.Validate() == nil {
			t.Errorf("%s is valid", name)
		}
	}
}

// The record lies on a disk that anybody may have edited.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"trial":{"boot":"old","driver":"softdog","identity":"Software Watchdog","kernel":"6.1.0","timeout":10000000000}}`))
	f.Add([]byte(`{"findings":[{"driver":"softdog","identity":"Software Watchdog","kernel":"6.1.0","resets":true,"kappa":1031,"timeout":1}]}`))
	f.Add([]byte(`{"trial":{"timeout":-1},"at":"x"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var r Record
		if json.Unmarshal(text, &r) != nil || r.Validate() != nil {
			return
		}
		for _, x := range r.Findings {
			facts := Facts{Driver: x.Driver, Identity: x.Identity, Kappa: 1020}
			if found, ok := r.Of(facts, x.Kernel); ok && found.Resets && found.Kappa < 1000 {
				t.Errorf("κ·1000 = %d", found.Kappa)
			}
		}
		if r.Trial == nil {
			return
		}
		found, err := Judge(*r.Trial, "new", []Silence{{Boot: r.Trial.Boot, Lasted: r.Trial.Timeout % (24 * time.Hour), Beats: 9}})
		if err == nil && (found.Kappa < 1000 || found.Kappa > kappaMost || r.With(found).Validate() != nil) {
			t.Errorf("%+v", found)
		}
	})
}

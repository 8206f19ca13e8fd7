package watchdog

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/picket-dev/picket/proto/timing"
)

// device makes a candidate that can be used as it is.
func device(name, identity string, change ...func(*Candidate)) Candidate {
	c := Candidate{
		Info: Info{Name: name, Identity: identity, Options: unix.WDIOF_MAGICCLOSE | unix.WDIOF_SETTIMEOUT, HasOptions: true,
			Active: No, Nowayout: No},
		Path: "/dev/" + name, Number: 1,
	}
	for _, f := range change {
		f(&c)
	}
	return c
}

func keptBy(pid int, name string) func(*Candidate) {
	return func(c *Candidate) { c.Active, c.Keepers = Yes, append(c.Keepers, Keeper{PID: pid, Name: name}) }
}

func TestChoose(t *testing.T) {
	const i6300, itco, soft, strange = "i6300ESB timer", "iTCO_wdt", "Software Watchdog", "Something New"
	init, holder := keptBy(1, "systemd"), keptBy(77, Holder)
	nowayout := func(c *Candidate) { c.Nowayout = Yes }
	for _, tt := range []struct {
		name       string
		candidates []Candidate
		prefer     Preference
		want       string // chosen
		t          time.Duration
		takeOver   bool
		load       bool
		says       map[string]string // by device, what its verdict says
	}{
		{name: "hardware before softdog", candidates: []Candidate{device("watchdog0", soft), device("watchdog1", i6300)},
			want: "watchdog1", t: 10 * sec, says: map[string]string{"watchdog0": "a hardware watchdog is preferred"}},
		{name: "softdog preferred", candidates: []Candidate{device("watchdog0", i6300), device("watchdog1", soft)},
			prefer: Preference{Softdog: true, MayLoad: true}, want: "watchdog1", t: 10 * sec},
		{name: "softdog preferred and absent", candidates: []Candidate{device("watchdog0", i6300)},
			prefer: Preference{Softdog: true, MayLoad: true}, load: true, says: map[string]string{"watchdog0": "softdog is preferred"}},
		{name: "softdog preferred, and loading failed", candidates: []Candidate{device("watchdog0", i6300)},
			prefer: Preference{Softdog: true}, want: "watchdog0", t: 10 * sec},
		{name: "nothing there", prefer: Preference{MayLoad: true}, load: true},
		{name: "nothing there, and loading failed"},
		{name: "by name", candidates: []Candidate{device("watchdog0", i6300), device("watchdog1", soft)},
			prefer: Preference{Device: "watchdog1"}, want: "watchdog1", t: 10 * sec,
			says: map[string]string{"watchdog0": "the policy names watchdog1"}},
		{name: "by name, and not there", candidates: []Candidate{device("watchdog0", i6300)},
			prefer: Preference{Device: "watchdog7", MayLoad: true}},
		{name: "T by κ", candidates: []Candidate{device("watchdog0", itco)}, want: "watchdog0", t: 5 * sec,
			says: map[string]string{"watchdog0": "κ=2.00"}},
		{name: "T by measured κ", candidates: []Candidate{device("watchdog0", i6300, func(c *Candidate) { c.Measured = 1300 })},
			want: "watchdog0", t: 7 * sec},
		{name: "a small measured κ lowers nothing", candidates: []Candidate{device("watchdog0", itco, func(c *Candidate) { c.Measured = 1010 })},
			want: "watchdog0", t: 5 * sec},
		{name: "smaller κ first", candidates: []Candidate{device("watchdog0", itco), device("watchdog1", i6300)}, want: "watchdog1", t: 10 * sec,
			says: map[string]string{"watchdog0": "κ is smaller"}},
		{name: "known driver first", candidates: []Candidate{device("watchdog0", strange), device("watchdog1", itco)}, want: "watchdog1", t: 5 * sec},
		{name: "ours already", candidates: []Candidate{device("watchdog0", i6300), device("watchdog1", i6300, holder, init)},
			want: "watchdog1", t: 10 * sec, says: map[string]string{"watchdog0": "Picket has that one already"}},
		{name: "ours, only the FD store has it", candidates: []Candidate{device("watchdog0", i6300, init)},
			prefer: Preference{Mine: "watchdog0"}, want: "watchdog0", t: 10 * sec},
		{name: "watchdog2 before watchdog10", candidates: []Candidate{device("watchdog10", i6300), device("watchdog2", i6300)},
			want: "watchdog2", t: 10 * sec, says: map[string]string{"watchdog10": "comes first"}},
		{name: "a minimum beyond the bound", candidates: []Candidate{device("watchdog0", "z Watchdog")}, want: "watchdog0", t: 15 * sec,
			says: map[string]string{"watchdog0": "waits that much longer"}},
		{name: "a minimum beyond the profile", candidates: []Candidate{device("watchdog0", strange, func(c *Candidate) { c.Min = 160 * sec })},
			says: map[string]string{"watchdog0": "shortest timeout is 2m40s, 5m20s"}},
		{name: "a maximum within δ", candidates: []Candidate{device("watchdog0", strange, func(c *Candidate) { c.Max = sec })},
			prefer: Preference{Profile: func() timing.Profile { p := timing.Standard(); p.PetDelay = 3 * sec; return p }()},
			says:   map[string]string{"watchdog0": "petDelay"}},

		{name: "init has it, cooperate", candidates: []Candidate{device("watchdog0", i6300, init)},
			prefer: Preference{MayLoad: true}, load: true, says: map[string]string{"watchdog0": "systemd (pid 1)"}},
		{name: "init has it, another one", candidates: []Candidate{device("watchdog0", i6300, init), device("watchdog1", itco)},
			want: "watchdog1", t: 5 * sec},
		{name: "init has it, softdog is there", candidates: []Candidate{device("watchdog0", i6300, init), device("watchdog1", soft)},
			want: "watchdog1", t: 10 * sec},
		{name: "init has it, take over", candidates: []Candidate{device("watchdog0", i6300, init), device("watchdog1", soft)},
			prefer: Preference{Systemd: TakeOver}, want: "watchdog0", t: 10 * sec, takeOver: true},
		{name: "init has it, a free one first", candidates: []Candidate{device("watchdog0", i6300, init), device("watchdog1", itco)},
			prefer: Preference{Systemd: TakeOver}, want: "watchdog1", t: 5 * sec},
		{name: "init has it, nowayout", candidates: []Candidate{device("watchdog0", i6300, init, nowayout)},
			prefer: Preference{Systemd: TakeOver, Outlives: true}, says: map[string]string{"watchdog0": "init cannot stop it"}},
		{name: "a daemon has it", candidates: []Candidate{device("watchdog0", i6300, keptBy(412, "watchdog"))},
			prefer: Preference{Systemd: TakeOver}, says: map[string]string{"watchdog0": "watchdog (pid 412)"}},
		{name: "ours and a daemon's", candidates: []Candidate{device("watchdog0", i6300, holder, keptBy(412, "watchdog"))},
			says: map[string]string{"watchdog0": "watchdog (pid 412)"}},
		{name: "active, nobody seen", candidates: []Candidate{device("watchdog0", i6300, func(c *Candidate) { c.Active = Yes })},
			says: map[string]string{"watchdog0": "cannot see"}},

		{name: "alarm only", candidates: []Candidate{device("watchdog0", strange, func(c *Candidate) { c.Options |= unix.WDIOF_ALARMONLY })},
			prefer: Preference{MayLoad: true}, load: true, says: map[string]string{"watchdog0": "WDIOF_ALARMONLY"}},
		{name: "soft_noboot", candidates: []Candidate{device("watchdog0", soft, func(c *Candidate) { c.SoftNoboot = Yes })},
			prefer: Preference{MayLoad: true}, says: map[string]string{"watchdog0": "soft_noboot=0"}},
		{name: "stops when its holder dies", candidates: []Candidate{device("watchdog0", strange, func(c *Candidate) { c.Options = 0 })},
			says: map[string]string{"watchdog0": "stops when its holder dies"}},
		{name: "nowayout", candidates: []Candidate{device("watchdog0", i6300, nowayout)}, says: map[string]string{"watchdog0": "outlives: true"}},
		{name: "nowayout, outlives", candidates: []Candidate{device("watchdog0", i6300, nowayout)},
			prefer: Preference{Outlives: true}, want: "watchdog0", t: 10 * sec},
		{name: "no node", candidates: []Candidate{device("watchdog0", i6300, func(c *Candidate) { c.Path = "" })},
			says: map[string]string{"watchdog0": "no device node"}},
		{name: "failed its self-test", candidates: []Candidate{device("watchdog0", i6300, func(c *Candidate) { c.Failed = "no reset" })},
			prefer: Preference{MayLoad: true}, load: true, says: map[string]string{"watchdog0": "test again"}},
		{name: "trouble", candidates: []Candidate{device("watchdog0", i6300, func(c *Candidate) { c.Trouble = "parse state" })},
			says: map[string]string{"watchdog0": "parse state"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.prefer.Profile == (timing.Profile{}) {
				tt.prefer.Profile = timing.Standard()
			}
			choice, verdicts := Choose(tt.candidates, tt.prefer)
			got := Choice{Name: choice.Name, Timeout: choice.Timeout, TakeOver: choice.TakeOver, LoadSoftdog: choice.LoadSoftdog}
			want := Choice{Name: tt.want, Timeout: tt.t, TakeOver: tt.takeOver, LoadSoftdog: tt.load}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("choice (-want +got):\n%s%+v", diff, verdicts)
			}
			if choice.Why == "" {
				t.Error("the choice does not say why")
			}
			for _, v := range verdicts {
				if v.Why == "" || !strings.Contains(v.Why, tt.says[v.Candidate.Name]) {
					t.Errorf("%s: %q, want %q", v.Candidate.Name, v.Why, tt.says[v.Candidate.Name])
				}
				if (v.Outcome == Chosen) != (v.Candidate.Name == tt.want) {
					t.Errorf("%s is %v", v.Candidate.Name, v.Outcome)
				}
			}
		})
	}
}

// Any order of any devices gives the same choice, and it is never one that must
// not be used.
func TestChooseIsDeterministicAndSafe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []Candidate
		for i := range rapid.IntRange(0, 5).Draw(t, "devices") {
			all = append(all, drawDevice(t, "watchdog"+string(rune('0'+i))))
		}
		p := Preference{
			Softdog: rapid.Bool().Draw(t, "softdog"), Outlives: rapid.Bool().Draw(t, "outlives"), MayLoad: rapid.Bool().Draw(t, "may load"),
			Device:  rapid.SampledFrom([]string{"", "", "watchdog1"}).Draw(t, "device"),
			Systemd: rapid.SampledFrom([]Stance{Cooperate, TakeOver}).Draw(t, "stance"), Profile: timing.Standard(),
		}
		choice, verdicts := Choose(all, p)
		again, _ := Choose(rapid.Permutation(all).Draw(t, "order"), p)
		if diff := cmp.Diff(choice, again); diff != "" {
			t.Fatalf("another order, another choice (-first +second):\n%s", diff)
		}
		if choice.LoadSoftdog && (choice.Name != "" || !p.MayLoad) {
			t.Fatalf("loads softdog: %+v", choice)
		}
		for _, v := range verdicts {
			if v.Outcome == Chosen {
				judgeChosen(t, v.Candidate, p, choice)
			}
		}
		chosen := slices.ContainsFunc(verdicts, func(v Verdict) bool { return v.Outcome == Chosen })
		if chosen != (choice.Name != "") {
			t.Fatalf("chosen %q, and the verdicts say %v", choice.Name, chosen)
		}
	})
}

func drawDevice(t *rapid.T, name string) Candidate {
	identity := rapid.SampledFrom([]string{"Software Watchdog", "i6300ESB timer", "iTCO_wdt", "", "Something New"}).Draw(t, "identity")
	answer := rapid.SampledFrom([]Answer{Unknown, No, Yes})
	return device(name, identity, func(c *Candidate) {
		c.Options = rapid.SampledFrom([]uint32{0, unix.WDIOF_MAGICCLOSE, unix.WDIOF_MAGICCLOSE | unix.WDIOF_ALARMONLY}).Draw(t, "options")
		c.Active, c.Nowayout = answer.Draw(t, "active"), answer.Draw(t, "nowayout")
		c.SoftNoboot = answer.Draw(t, "noboot")
		for pid, comm := range map[int]string{1: "systemd", 7: Holder, 9: "wdmd"} {
			if rapid.IntRange(0, 4).Draw(t, comm) == 0 {
				keptBy(pid, comm)(c)
			}
		}
	})
}

func judgeChosen(t *rapid.T, c Candidate, p Preference, choice Choice) {
	held := func(name string) bool {
		return slices.ContainsFunc(c.Keepers, func(k Keeper) bool { return k.Name == name })
	}
	switch {
	case held("wdmd"):
		t.Fatal("another process has it")
	case held("systemd") && !held(Holder) && !(p.Systemd == TakeOver && choice.TakeOver):
		t.Fatal("init has it")
	case c.Active == Yes && len(c.Keepers) == 0:
		t.Fatal("it runs, and for nobody knows whom")
	case c.Options&unix.WDIOF_ALARMONLY != 0:
		t.Fatal("it only raises an alarm")
	case c.Facts().Kind == KindSoftdog && c.SoftNoboot == Yes:
		t.Fatal("it resets nothing")
	case c.Options&unix.WDIOF_MAGICCLOSE == 0 && c.Nowayout != Yes:
		t.Fatal("it stops when its holder dies")
	case p.Device != "" && p.Device != c.Name:
		t.Fatal("the policy names another one")
	}
}

package main

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestVerdicts runs some quick cases: one that keeps the rules in each of three
// models, and rules broken. make model runs all.
func TestVerdicts(t *testing.T) {
	if err := findTools(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	for _, name := range []string{"fence-2-dead", "break-w", "break-remove-c", "epoch-2-overlap", "gate-2", "break-r", "pet", "break-second-check"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chosen, err := choose(options{name: name})
			if err != nil {
				t.Fatal(err)
			}
			result, err := search(t.Context(), chosen[0], false)
			if err != nil {
				t.Fatal(err)
			}
			t.Log(result.Line(chosen[0]))
			if result.Verdict != chosen[0].Want {
				t.Errorf("verdict %s, want %s", result.Verdict, chosen[0].Want)
			}
		})
	}
}

// TestTrail replays a counterexample, whose last step must be the broken one.
func TestTrail(t *testing.T) {
	if err := findTools(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-case", "break-second-check", "-trail"}, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"TICK", "holder  checks that petUntil has not passed", "this breaks claim 8"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the trail has no %q:\n%s", want, out.String())
		}
	}
}

// TestSwitches holds the models and the table together: each switch that breaks a
// rule has a case, and each case names switches that its model knows.
func TestSwitches(t *testing.T) {
	used := map[string]bool{}
	for _, c := range Cases() {
		source := read(t, c.Model+".pml")
		if strings.Contains(source, `#include "roll.pml"`) {
			source += read(t, "roll.pml")
		}
		for _, define := range c.Defines {
			name, _, _ := strings.Cut(define, "=")
			used[name] = true
			if !regexp.MustCompile(`\b` + name + `\b`).MatchString(source) {
				t.Errorf("case %s switches %s, which %s.pml does not know", c.Name, name, c.Model)
			}
		}
	}
	files, err := models.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		for _, name := range regexp.MustCompile(`\bBREAK_\w+`).FindAllString(read(t, file.Name()), -1) {
			if name != "BREAK_" && !used[name] {
				t.Errorf("%s: no case breaks the rule that %s switches off", file.Name(), name)
			}
		}
	}
}

// TestCases pins what scripts and readers rely on: names are unique, a broken rule is
// named as such, and what is expected of it is either a violation or "harmless".
func TestCases(t *testing.T) {
	claims := map[int]bool{}
	var names []string
	for _, c := range Cases() {
		names = append(names, c.Name)
		breaks := slices.ContainsFunc(c.Defines, func(d string) bool { return strings.HasPrefix(d, "BREAK_") })
		if want := strings.HasPrefix(c.Name, "harmless-"); breaks && (c.Want == Safe) != want {
			t.Errorf("case %s breaks a rule and expects %s", c.Name, c.Want)
		}
		if c.What == "" || c.Property == "" {
			t.Errorf("case %s does not say what it checks", c.Name)
		}
		for _, n := range c.Claims {
			claims[n] = true
		}
	}
	slices.Sort(names)
	if unique := slices.Compact(slices.Clone(names)); !slices.Equal(unique, names) {
		t.Error("two cases have one name:", names)
	}
	for n := 1; n <= 13; n++ {
		if !claims[n] {
			t.Errorf("no case checks claim %d", n)
		}
	}
}

func TestParsePan(t *testing.T) {
	const (
		whole = `
State-vector 116 byte, depth reached 139, errors: 0
    83723 states, stored
   264137 states, matched
`
		broken = `pan:1: assertion violated (x==3) (at depth 52)
pan: wrote gate.pml.trail
Warning: Search not completed
State-vector 116 byte, depth reached 128, errors: 1
      542 states, stored
`
	)
	for _, test := range []struct {
		name, said string
		want       Result
		err        string
	}{
		{"everything seen", whole, Result{Verdict: Safe, States: 83723, Depth: 139}, ""},
		{"property broken", broken, Result{Verdict: Violated, States: 542, Depth: 128,
			Failed: "assertion violated (x==3) (at depth 52)"}, ""},
		{"path cut", "error: max search depth too small\n" + whole, Result{}, "incomplete"},
		{"out of memory", "pan: out of memory\n\nWarning: Search not completed\n" + whole, Result{}, "incomplete"},
		{"another error", strings.Replace(broken, "assertion violated", "invalid end state", 1), Result{}, "no broken property"},
		{"no report", "pan: cannot do that", Result{}, "found no"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := parsePan(test.said)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("error %v, want one with %q", err, test.err)
			}
		})
	}
}

func TestParseTrail(t *testing.T) {
	const said = "spin: warning, \"fence.pml\" is newer than fence.pml.trail\n@X|gets a roll|A2   @tick  @tick@controller 0|withholds X: serial 1|§6.3spin: pet.pml:87, Error: assertion violated\n@X|is not printed by a step|"
	want := []step{{0, "X", "gets a roll", "A2"}, {2, "controller 0", "withholds X: serial 1", "§6.3"}}
	got, end := parseTrail(said)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(step{})); diff != "" || end != 2 {
		t.Errorf("it ends at tick %d, want 2; steps (-want +got):\n%s", end, diff)
	}
}

func TestLine(t *testing.T) {
	c := Case{Name: "break-w", Want: Violated}
	got := Result{Verdict: Violated, States: 7, Depth: 3}.Line(c)
	want := "RESULT model=break-w states=7 depth=3 verdict=violated expected=violated seconds=0.0"
	if got != want {
		t.Errorf("line %q, want %q", got, want)
	}
}

func TestParse(t *testing.T) {
	for _, args := range [][]string{{"fence-2"}, {"-trail"}, {"-j", "0"}, {"-case"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}

func TestChoose(t *testing.T) {
	if _, err := choose(options{name: "no-such"}); err == nil {
		t.Error("an unknown case is chosen")
	}
	quick, err := choose(options{})
	if err != nil {
		t.Fatal(err)
	}
	full, err := choose(options{full: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(quick) >= len(full) || slices.ContainsFunc(quick, func(c Case) bool { return c.Full }) {
		t.Errorf("%d cases without -full, %d with", len(quick), len(full))
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := models.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/picket-dev/picket/proto/timing"
	"github.com/picket-dev/picket/test/cluster/fleet"
)

// TestScenarios plays every scenario with the scaled-down profile, each on a
// control plane of its own. A single one: -run 'TestScenarios/power-cut'.
func TestScenarios(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a real control plane; -short is set")
	}
	dir := t.ArtifactDir() // go test -artifacts keeps the logs
	bin, err := fleet.Build(t.Context(), dir, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			o := options{profile: testProfileName, dir: dir, bin: bin, progress: os.Stderr}
			if err := o.buildPrevious(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			t.Parallel() // two at a time on two cores: most of a scenario is waiting
			ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
			defer cancel()
			var timeline bytes.Buffer
			started := time.Now()
			o.progress = &timeline
			res := play(ctx, s, o)
			fmt.Printf("%s seconds=%.0f\n", res, time.Since(started).Seconds())
			if res.err != nil {
				t.Errorf("%s: %v\n%s", s.about, res.err, timeline.String())
			}
		})
	}
}

func TestProfileHoldsAllInequalities(t *testing.T) {
	if err := testProfile().Validate(); err != nil {
		t.Error(err)
	}
}

func TestResultLine(t *testing.T) {
	r := result{name: "power-cut", verdict: "pass", failover: 29 * time.Second, bound: timing.Failover(timing.Promise{
		Armed: true, RollLife: 5 * time.Second, PetDelay: time.Second, Timeout: 10 * time.Second, Kappa: 1020,
	}, timing.Standard()), writers: 1, writes: 900}
	want := "RESULT scenario=power-cut verdict=pass failover_s=29.00 bound_s=29.47 ratio=0.984 two_writers=0 resets_of_healthy=0"
	if r.String() != want {
		t.Errorf("got  %s\nwant %s", r, want)
	}
	want = "RESULT scenario=two-nodes verdict=pass failover_s=- bound_s=- ratio=- two_writers=- resets_of_healthy=0"
	if r := (result{name: "two-nodes", verdict: "pass"}); r.String() != want {
		t.Errorf("got  %s\nwant %s", r, want)
	}
}

// What is promised of every scenario is broken by a second writer, by the reset of a
// healthy node, and by a judge that saw nothing.
func TestResultIsJudged(t *testing.T) {
	for _, tt := range []struct {
		name   string
		result result
		want   string
	}{
		{"one writer", result{writers: 1, writes: 7}, ""},
		{"nobody was to write", result{}, ""},
		{"a second writer", result{writers: 1, writes: 7, twoWriters: 2}, "2 writes by two writers"},
		{"a reset", result{healthyResets: 1}, "1 resets of healthy nodes"},
		{"a judge that saw nothing", result{writers: 1}, "blind"},
	} {
		got := ""
		if err := tt.result.broken(); err != nil {
			got = err.Error()
		}
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// Without a sample there is no least time that was left.
func TestWatcherTakesTheLeastSample(t *testing.T) {
	w := &watcher{}
	for _, left := range []time.Duration{3 * time.Second, time.Second, 2 * time.Second} {
		w.take(left)
	}
	if w.samples != 3 || w.left != time.Second {
		t.Errorf("%d samples, %v left", w.samples, w.left)
	}
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
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
	}, timing.Standard())}
	want := "RESULT scenario=power-cut verdict=pass failover_s=29.00 bound_s=29.47 ratio=0.984 two_writers=0 resets_of_healthy=0"
	if r.String() != want {
		t.Errorf("got  %s\nwant %s", r, want)
	}
	want = "RESULT scenario=two-nodes verdict=pass failover_s=- bound_s=- ratio=- two_writers=0 resets_of_healthy=0"
	if r := (result{name: "two-nodes", verdict: "pass"}); r.String() != want {
		t.Errorf("got  %s\nwant %s", r, want)
	}
}

package timing_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/proto/timing"
)

func TestShippedProfilesAreValid(t *testing.T) {
	for name, want := range map[string]timing.Profile{
		"standard": timing.Standard(), "fast": timing.Fast(), "patient": timing.Patient(),
	} {
		got, err := timing.Named(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if err := got.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := timing.Named("turbo"); err == nil || !strings.Contains(err.Error(), "standard, fast or patient") {
		t.Errorf("an unknown name: %v, want an error that lists the known ones", err)
	}
}

// The design's table.
func TestProfileTimes(t *testing.T) {
	type times struct{ Lost, Gate, Detection time.Duration }
	for name, want := range map[string]times{
		"standard": {2250 * time.Millisecond, 500 * time.Millisecond, 6250 * time.Millisecond},
		"fast":     {2250 * time.Millisecond, 250 * time.Millisecond, 4250 * time.Millisecond},
		"patient":  {2250 * time.Millisecond, 500 * time.Millisecond, 6250 * time.Millisecond},
	} {
		p, err := timing.Named(name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, times{p.LostAfter(), p.GateInterval(), p.Detection()}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A case breaks one inequality by as little as can be; "" keeps it just so.
func TestProfileValidateNamesTheInequality(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*timing.Profile)
		want   string
	}{
		"one miss":              {func(p *timing.Profile) { p.Misses = 1 }, "misses ≥ 2"},
		"two misses":            {func(p *timing.Profile) { p.Misses = 2 }, ""},
		"misses without end":    {func(p *timing.Profile) { p.Misses = timing.MaxCount + 1 }, "misses ≤ 1000"},
		"the gate too short":    {func(p *timing.Profile) { p.GateReads = timing.MinGateReads - 1 }, "gateReads ≥ 5"},
		"the shortest gate":     {func(p *timing.Profile) { p.GateReads = timing.MinGateReads }, ""},
		"the gate without end":  {func(p *timing.Profile) { p.GateReads = timing.MaxCount + 1 }, "gateReads ≤ 1000"},
		"reads too rare":        {func(p *timing.Profile) { p.RollInterval = p.RollLife/4 + 1 }, "2·rollInterval ≤ rollLife/2"},
		"the rarest reads":      {func(p *timing.Profile) { p.RollInterval = p.RollLife / 4 }, ""},
		"heartbeats too rare":   {func(p *timing.Profile) { p.Heartbeat = p.RollLife/4 + 1 }, "heartbeat ≤ rollLife/4"},
		"the rarest heartbeats": {func(p *timing.Profile) { p.Heartbeat = p.RollLife / 4 }, ""},
		"pets too slow":         {func(p *timing.Profile) { p.PetDelay = p.RealTimeout }, "petDelay < realTimeout"},
		"the slowest pets":      {func(p *timing.Profile) { p.PetDelay = p.RealTimeout - 1 }, ""},
		"shutdown too short":    {func(p *timing.Profile) { p.ShutdownTimeout = p.RealTimeout - 1 }, "shutdownTimeout ≥ realTimeout"},
		"the shortest shutdown": {func(p *timing.Profile) { p.ShutdownTimeout = p.RealTimeout }, ""},
		"no heartbeat":          {func(p *timing.Profile) { p.Heartbeat = 0 }, "heartbeat > 0"},
		"no roll interval":      {func(p *timing.Profile) { p.RollInterval = 0 }, "rollInterval > 0"},
		"no pet delay":          {func(p *timing.Profile) { p.PetDelay = 0 }, "petDelay > 0"},
		"no reset latency":      {func(p *timing.Profile) { p.ResetLatency = 0 }, "resetLatency > 0"},
		"no drain":              {func(p *timing.Profile) { p.Drain = 0 }, "drain > 0"},
		"no rejoin guard":       {func(p *timing.Profile) { p.RejoinGuard = 0 }, "rejoinGuard > 0"},
		"negative drain":        {func(p *timing.Profile) { p.Drain = -time.Second }, "drain > 0"},
		"endless roll life":     {func(p *timing.Profile) { p.RollLife = timing.MaxTerm + 1 }, "rollLife ≤ 24h"},
		"endless reset latency": {func(p *timing.Profile) { p.ResetLatency = timing.MaxTerm + 1 }, "resetLatency ≤ 24h"},
		"endless drain":         {func(p *timing.Profile) { p.Drain = timing.MaxTerm + 1 }, "drain ≤ 24h"},
		"endless rejoin guard":  {func(p *timing.Profile) { p.RejoinGuard = timing.MaxTerm + 1 }, "rejoinGuard ≤ 24h"},
		"endless shutdown":      {func(p *timing.Profile) { p.ShutdownTimeout = timing.MaxTerm + 1 }, "shutdownTimeout ≤ 24h"},
	} {
		t.Run(name, func(t *testing.T) {
			p := timing.Standard()
			test.change(&p)
			wantOneLine(t, p.Validate(), test.want)
		})
	}
}

func TestProfileValidateNamesAllThatIsWrong(t *testing.T) {
	err := timing.Profile{}.Validate()
	for _, want := range []string{
		"heartbeat", "rollInterval", "rollLife", "realTimeout", "petDelay", "resetLatency",
		"drain", "rejoinGuard", "shutdownTimeout", "misses", "gateReads", "petDelay < realTimeout",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the zero profile: %v, want an error that names %q", err, want)
		}
	}
}

// What Validate allows must not overflow in a sum.
func TestProfileAtTheLimitsDoesNotOverflow(t *testing.T) {
	p := timing.Profile{
		Heartbeat: timing.MaxTerm / 4, Misses: timing.MaxCount,
		RollInterval: timing.MaxTerm / 4, RollLife: timing.MaxTerm, RealTimeout: timing.MaxTerm,
		GateReads: timing.MaxCount, PetDelay: timing.MaxTerm - 1, ResetLatency: timing.MaxTerm,
		Drain: timing.MaxTerm, RejoinGuard: timing.MaxTerm, ShutdownTimeout: timing.MaxTerm,
	}
	if err := p.Validate(); err != nil {
		t.Fatalf("the longest profile is not valid: %v", err)
	}
	if got, want := p.LostAfter(), (2*timing.MaxCount+1)*timing.MaxTerm/8; got != want {
		t.Errorf("lost after %v, want %v", got, want)
	}
	if got, want := p.Detection()-p.LostAfter(), (timing.MaxCount+2)*timing.MaxTerm/8; got != want {
		t.Errorf("the gate takes %v, want %v", got, want)
	}
}

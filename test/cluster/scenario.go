package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/timing"
	"github.com/picket-dev/picket/test/cluster/disk"
	"github.com/picket-dev/picket/test/cluster/fleet"
	"github.com/picket-dev/picket/test/cluster/rawclock"
	"github.com/picket-dev/picket/test/cluster/stage"
)

// A scenario is one thing that goes wrong, and what must come of it.
type scenario struct {
	name  string
	about string
	nodes int                                     // 5 if 0
	skew  bool                                    // it needs the programs of the previous version
	setup func(*setup)                            // changes the cluster before it starts; may be nil
	run   func(ctx context.Context, r *run) error // what happens and what must hold
}

// setup is what a scenario may change before its cluster starts.
type setup struct {
	stage  *stage.Options
	policy *v1alpha1.FencingPolicySpec
}

// options are the same for all scenarios of one call.
type options struct {
	profile  string // standard, fast, patient, or test
	dir      string
	bin      fleet.Binaries
	previous previous // for a scenario that needs it
	progress io.Writer
}

// previous is the version before this one.
type previous struct {
	bin    fleet.Binaries
	commit string // "none": this clone has no history, and bin is this version's
}

// buildPrevious builds it, if the scenario needs it: before anything runs that a
// busy machine could disturb.
func (o *options) buildPrevious(ctx context.Context, s scenario) error {
	if !s.skew {
		return nil
	}
	var err error
	o.previous.bin, o.previous.commit, err = fleet.BuildPrevious(ctx, o.dir, o.progress)
	if errors.Is(err, fleet.ErrNoHistory) {
		fmt.Fprintln(o.progress, err, "- the scenario mixes this one with itself")
		o.previous, err = previous{o.bin, "none"}, nil
	}
	return err
}

// testProfileName selects testProfile.
const testProfileName = "test"

// testProfile keeps every inequality of the protocol and lets a fence take
// about 11 s, so that all scenarios fit into half an hour.
func testProfile() timing.Profile {
	p := timing.Standard()
	p.Heartbeat = 250 * time.Millisecond
	p.RollInterval = 500 * time.Millisecond
	p.RollLife = 3 * time.Second
	p.RealTimeout = 3060 * time.Millisecond
	p.PetDelay = 500 * time.Millisecond
	p.ResetLatency = 500 * time.Millisecond
	p.Drain = 300 * time.Millisecond
	p.RejoinGuard = 500 * time.Millisecond
	p.ShutdownTimeout = 6 * time.Second
	return p
}

// policyFor returns the policy that puts a profile in force.
func policyFor(name string) (v1alpha1.FencingPolicySpec, timing.Profile, error) {
	spec := v1alpha1.FencingPolicySpec{Mode: v1alpha1.Enforce, Profile: name}
	if name == testProfileName {
		p := testProfile()
		spec.Profile = "standard"
		spec.Overrides = v1alpha1.TimingOf(p)
		return spec, p, p.Validate()
	}
	p, err := timing.Named(name)
	return spec, p, err
}

// A result is what a scenario measured.
type result struct {
	name          string
	verdict       string
	failover      time.Duration // cut → out-of-service taint; 0: none was due
	bound         time.Duration
	writers       int   // workloads that were deployed to write
	writes        int64 // what the judge of the disks saw
	twoWriters    int
	healthyResets int
	err           error
}

// String is the RESULT line. What a scenario has no value for is "-".
func (r result) String() string {
	seconds := func(d time.Duration) string {
		if d == 0 {
			return "-"
		}
		return fmt.Sprintf("%.2f", d.Seconds())
	}
	ratio := "-"
	if r.failover > 0 && r.bound > 0 {
		ratio = fmt.Sprintf("%.3f", math.Round(1000*r.failover.Seconds()/r.bound.Seconds())/1000)
	}
	two := "-" // where nobody writes, nobody can be a second one
	if r.writes > 0 {
		two = strconv.Itoa(r.twoWriters)
	}
	return fmt.Sprintf("RESULT scenario=%s verdict=%s failover_s=%s bound_s=%s ratio=%s two_writers=%s resets_of_healthy=%d",
		r.name, r.verdict, seconds(r.failover), seconds(r.bound), ratio, two, r.healthyResets)
}

// play runs one scenario on a cluster of its own.
func play(ctx context.Context, s scenario, o options) (res result) {
	res = result{name: s.name, verdict: "fail"}
	r, err := begin(ctx, s, o)
	if err != nil {
		res.err = err
		return res
	}
	defer func() {
		r.closed.Store(true)
		r.Fleet.Stop()
		if err := r.Close(); err != nil && res.err == nil {
			res.err, res.verdict = err, "fail"
		}
	}()
	res.err = s.run(ctx, r)
	violations := r.Disks.Judge(r.fences()...)
	for _, v := range violations {
		r.say("two writers: %v", v)
	}
	res.failover, res.bound = r.failover, r.bound
	res.writers, res.writes, res.twoWriters = r.writers, r.Disks.Writes(), len(violations)
	res.healthyResets = r.healthyResets()
	if res.err == nil {
		res.err = res.broken()
	}
	// The scaled-down profile runs beside other tests on a busy machine, where a
	// second more says nothing: its ratio is reported, the shipped ones' judged.
	if res.err == nil && o.profile != testProfileName && res.failover > res.bound*11/10 {
		res.err = fmt.Errorf("failover took %v, more than 1.10 × %v", res.failover, res.bound)
	}
	if res.err == nil {
		res.verdict = "pass"
	}
	return res
}

// broken returns which promise to every scenario was broken, or was not looked at.
func (r result) broken() error {
	switch {
	case r.twoWriters > 0 || r.healthyResets > 0:
		return fmt.Errorf("%d writes by two writers, %d resets of healthy nodes", r.twoWriters, r.healthyResets)
	case r.writers > 0 && r.writes == 0:
		return fmt.Errorf("blind: %d workloads were deployed, and no disk saw a write", r.writers)
	}
	return nil
}

// begin sets up the cluster of a scenario and waits until all that can be armed
// is armed.
func begin(ctx context.Context, s scenario, o options) (*run, error) {
	policy, profile, err := policyFor(o.profile)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(o.dir, s.name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	so := stage.Default()
	so.Dir, so.Progress = dir, o.progress
	so.ControlPlaneNodes = 0
	so.Nodes = 5
	if s.nodes > 0 {
		so.Nodes = s.nodes
	}
	if s.setup != nil {
		s.setup(&setup{stage: &so, policy: &policy})
	}
	f := &fleet.Fleet{Dir: dir, Bin: o.bin, PetDelay: profile.PetDelay, Policy: policy}
	r := &run{Fleet: f, previous: o.previous, profile: profile, start: rawclock.Now(), doomed: make(map[string]bool), out: o.progress}
	so.Machine.Notify = r.machineEvent
	if err := f.Start(ctx, so); err != nil {
		return nil, err
	}
	r.start = rawclock.Now()
	go r.narrate(ctx)
	return r, nil
}

// fences are the out-of-service taints that the judge of the disks goes by.
func (r *run) fences() []disk.Fence { return r.Taints.Fences() }

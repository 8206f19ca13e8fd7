package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/agent/internal/hold"
	"github.com/picket-dev/picket/agent/internal/host"
	"github.com/picket-dev/picket/agent/internal/peer"
	"github.com/picket-dev/picket/agent/internal/watchdog"
	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/timing"
)

const (
	// timekeepers is how many neighbours must time a self-test, so that the
	// death of one of them does not lose its result.
	timekeepers = 2
	// recruitWithin is how long the neighbours have to say that they time it.
	recruitWithin = 5 * time.Second
	// resultsWithin is how long the next boot waits for the other neighbours
	// once one has told its time, and askFor how long it asks at all.
	resultsWithin = 30 * time.Second
	askFor        = 15 * time.Minute
	// testPoll is how often a self-test looks how far it is.
	testPoll = 100 * time.Millisecond
)

// reasonSelfTestFailed keeps a node unarmed whose watchdog did not reset it.
const reasonSelfTestFailed decide.Reason = "SelfTestFailed"

// subject is the node under test.
type subject interface {
	// Conditions returns what must hold before a test begins.
	Conditions(context.Context) []*peerv1.Check
	// Guide tells the core anew what it must do, with the tester's word folded
	// in, and with unarmed waits until the node has become so by the handshake.
	Guide(ctx context.Context, unarmed bool) error
	// LastPing gives the device its last ping of this boot, for a T that suits
	// the profile. The error says that it did not.
	LastPing(ctx context.Context, before func(watchdog.Facts, time.Duration) error) (hold.Status, error)
}

// audience are the neighbours.
type audience interface {
	// Neighbours returns their names.
	Neighbours() []string
	// SetTest says what heartbeats say of a self-test from now on.
	SetTest(*peer.Test)
	// Beat sends heartbeats until ctx ends.
	Beat(ctx context.Context, every time.Duration, nodes []string, report func(peer.Beat))
}

// A tester tests the watchdog of this node (end of PROTOCOL.md §9): it makes the node
// unarmed, gives the device its last ping, and lives on to be timed by the
// neighbours. The next boot's tester collects what they have timed, judges it,
// and keeps it on disk.
type tester struct {
	boot, kernel string
	disk         *host.Disk[watchdog.Record]
	log          *slog.Logger
	now          func() timing.Instant
	node         subject
	peers        audience
	changed      func() // the findings have changed
	jobs         chan job

	mu      sync.Mutex
	record  watchdog.Record
	unarmed decide.Reason // why the node must be unarmed, or none
	because string
	heard   map[string]watchdog.Silence

	// Owned by run.
	started timing.Instant
	first   timing.Instant // when the first neighbour told its time
	quiet   func()         // ends the fast heartbeats
}

// A job is what the CLI asks.
type job struct {
	ctx   context.Context //nolint:containedctx // the asker's: whoever left gets no test
	begin bool
	done  chan outcome
}

// left returns the error that the asker has left, or nil.
func (j job) left() error {
	if err := j.ctx.Err(); err != nil {
		return fmt.Errorf("whoever asked for the self-test has left: %w", err)
	}
	return nil
}

type outcome struct {
	reply *peerv1.SelfTestReply
	err   error
}

// newTester reads what earlier tests have found.
func newTester(boot, kernel string, disk *host.Disk[watchdog.Record], log *slog.Logger, now func() timing.Instant) *tester {
	t := &tester{
		boot: boot, kernel: kernel, disk: disk, log: log, now: now, changed: func() {},
		jobs: make(chan job), heard: make(map[string]watchdog.Silence), quiet: func() {},
	}
	record, err := disk.Load()
	if err != nil {
		log.Warn("what self-tests of the watchdog found is lost", "err", err)
		record.Last = "what earlier self-tests found is lost: " + err.Error()
	}
	t.record = record
	if record.Trial != nil && record.Trial.Boot == boot {
		t.unarmed, t.because = decide.ReasonSelfTest, "the watchdog is being tested, and must reset the node"
	}
	return t
}

// run serves until ctx ends.
func (t *tester) run(ctx context.Context) {
	t.started = t.now()
	t.resume()
	ticker := time.NewTicker(testPoll)
	defer ticker.Stop()
	for {
		var tick <-chan time.Time
		if t.trial() != nil {
			tick = ticker.C
		}
		select {
		case <-ctx.Done():
			t.spoil("the agent was stopped during the test")
			t.quiet()
			return
		case j := <-t.jobs:
			reply, err := t.serve(ctx, j)
			j.done <- outcome{reply, err}
		case <-tick:
			t.look(ctx)
		}
	}
}

// resume goes on with what an earlier run of the agent has begun: in this boot
// it cannot be timed any more, in the next one its result is asked for.
func (t *tester) resume() {
	trial := t.trial()
	switch {
	case trial == nil:
	case trial.Boot == t.boot:
		t.spoil("the agent was restarted during the test")
	default:
		t.log.Info("asking the neighbours how the self-test of the watchdog ended", "tested", trial.Boot)
		t.peers.SetTest(&peer.Test{Boot: trial.Boot})
	}
}

// trial returns the test whose outcome is not known yet, or nil.
func (t *tester) trial() *watchdog.Trial {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.record.Trial
}

// spoil notes on disk that the outcome of this boot's test means nothing.
func (t *tester) spoil(why string) {
	trial := t.trial()
	if trial == nil || trial.Boot != t.boot || trial.Spoilt != "" {
		return
	}
	spoilt := *trial
	spoilt.Spoilt = why
	if err := t.keep(func(r *watchdog.Record) { r.Trial = &spoilt }); err != nil {
		t.log.Error("the self-test is spoilt, which cannot be stored", "why", why, "err", err)
	}
}

// keep changes the record, first on disk.
func (t *tester) keep(change func(*watchdog.Record)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := t.record
	change(&next)
	if err := t.disk.Store(next); err != nil {
		return err
	}
	t.record = next
	return nil
}

// look ends a test that is decided.
func (t *tester) look(ctx context.Context) {
	trial := t.trial()
	switch {
	case trial == nil:
	case trial.Boot != t.boot:
		t.collect(*trial)
	case trial.Overdue(t.started.Elapsed(t.now())):
		t.conclude(trial.Failed(), nil)
		t.require(reasonSelfTestFailed, trial.Failed().String())
		if err := t.node.Guide(ctx, false); err != nil {
			t.log.Error("the core was not told that the self-test failed", "err", err)
		}
	}
}

// collect judges what the neighbours have told once all have, or no more will.
func (t *tester) collect(trial watchdog.Trial) {
	t.mu.Lock()
	var told []watchdog.Silence
	for _, s := range t.heard {
		if s.Boot == trial.Boot && s.Beats > 0 {
			told = append(told, s)
		}
	}
	t.mu.Unlock()
	now := t.now()
	if len(told) > 0 && t.first.IsZero() {
		t.first = now
	}
	late := !t.first.IsZero() && t.first.Elapsed(now) >= resultsWithin || t.started.Elapsed(now) >= askFor
	if len(told) >= len(trial.Neighbours) || late || trial.Spoilt != "" {
		t.conclude(watchdog.Judge(trial, t.boot, told))
	}
}

// conclude keeps what a test has found, or why it told nothing.
func (t *tester) conclude(f watchdog.Finding, err error) {
	change := func(r *watchdog.Record) {
		r.Trial, r.At = nil, time.Now()
		if r.Last = f.String(); err != nil {
			r.Last = "told nothing: " + err.Error()
			return
		}
		*r = r.With(f)
	}
	if trouble := t.keep(change); trouble != nil {
		t.log.Error("what the self-test of the watchdog found is not on disk: it counts until the agent restarts", "err", trouble)
		t.mu.Lock()
		change(&t.record)
		t.mu.Unlock()
	}
	t.peers.SetTest(nil)
	t.quiet()
	switch {
	case err != nil:
		t.log.Warn("the self-test of the watchdog told nothing", "why", err)
	case f.Resets:
		t.log.Info("the watchdog is verified", "driver", f.Driver, "kappa", f.Kappa, "real", f.Lasted, "timeout", f.Timeout)
	default:
		t.log.Error("the watchdog does not reset this node", "driver", f.Driver, "timeout", f.Timeout)
	}
	t.changed()
}

// require makes the node stay unarmed for that reason; none lets it arm. It
// takes effect when the core is guided.
func (t *tester) require(reason decide.Reason, because string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unarmed, t.because = reason, because
}

// fold puts the tester's word into the controller's.
func (t *tester) fold(spec *decide.Spec) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.unarmed != decide.ReasonNone {
		spec.Unarmed, spec.Because = string(t.unarmed), t.because
	}
}

// hear takes what a neighbour says of a self-test.
func (t *tester) hear(b peer.Beat) {
	if b.Err != nil || b.Reply.Silence == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.heard[b.Node] = watchdog.Silence(*b.Reply.Silence)
}

// facts corrects what the holder says of its device: κ is never smaller than
// measured, and one that was seen not to reset the node is none.
func (t *tester) facts(f watchdog.Facts) watchdog.Facts {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch found, ok := t.record.Of(f, t.kernel); {
	case ok && found.Resets:
		f.Kappa = max(f.Kappa, found.Kappa)
	case ok:
		f.Identity = ""
	}
	return f
}

// verified reports whether a test has seen the device reset the node, and says
// what came of the last test.
func (t *tester) verified(f watchdog.Facts) (bool, string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	found, ok := t.record.Of(f, t.kernel)
	return ok && found.Resets, t.record.Last
}

// serve checks whether the watchdog can be tested, and begins the test if it was
// asked to.
func (t *tester) serve(ctx context.Context, j job) (*peerv1.SelfTestReply, error) {
	reply := &peerv1.SelfTestReply{Checks: t.conditions(ctx)}
	if !j.begin || !ready(reply.Checks) {
		return reply, nil
	}
	if err := j.left(); err != nil {
		return nil, err
	}
	status, err := t.begin(ctx, j)
	if err != nil {
		t.peers.SetTest(nil)
		t.quiet()
		t.require(decide.ReasonNone, "")
		if trial := t.trial(); trial != nil {
			err = errors.Join(err, t.keep(func(r *watchdog.Record) { r.Trial = nil }))
		}
		return nil, errors.Join(err, t.node.Guide(ctx, false))
	}
	reply.Begun = true
	reply.Timeout = durationpb.New(status.Timeout)
	reply.Within = durationpb.New(status.Device.RealTimeout(status.Timeout))
	return reply, nil
}

// conditions returns everything that must hold before a test begins.
func (t *tester) conditions(ctx context.Context) []*peerv1.Check {
	t.mu.Lock()
	free := &peerv1.Check{Name: "free", Ok: t.record.Trial == nil && t.unarmed == decide.ReasonNone, What: "no other self-test is under way"}
	switch {
	case free.Ok:
	case t.record.Trial != nil && t.record.Trial.Boot != t.boot:
		free.What = "the neighbours are still being asked for the result of the last self-test: wait"
	default:
		free.What = "a self-test was begun in this boot (" + t.because + "): reboot the node first"
	}
	t.mu.Unlock()
	return append(t.node.Conditions(ctx), free)
}

func ready(checks []*peerv1.Check) bool { return failing(checks) == nil }

// failing returns the first check that failed, as an error.
func failing(checks []*peerv1.Check) error {
	for _, c := range checks {
		if !c.Ok {
			return errors.New(c.What)
		}
	}
	return nil
}

// begin makes the node unarmed, finds neighbours that time it, and lets the
// device have its last ping. What was begun is on disk before that.
func (t *tester) begin(ctx context.Context, j job) (hold.Status, error) {
	t.require(decide.ReasonSelfTest, "the watchdog is to be tested")
	if err := t.node.Guide(ctx, true); err != nil {
		return hold.Status{}, err
	}
	// The handshake took its time: is it still so?
	if err := failing(t.node.Conditions(ctx)); err != nil {
		return hold.Status{}, err
	}
	names, err := t.recruit(ctx)
	if err != nil {
		return hold.Status{}, err
	}
	status, err := t.node.LastPing(ctx, func(f watchdog.Facts, timeout time.Duration) error {
		if err := j.left(); err != nil {
			return err
		}
		trial := &watchdog.Trial{Boot: t.boot, Key: f.Key(t.kernel), Timeout: timeout, Neighbours: names, Began: time.Now()}
		return t.keep(func(r *watchdog.Record) { r.Trial = trial })
	})
	if err != nil {
		return status, err
	}
	t.peers.SetTest(&peer.Test{Boot: t.boot, Pet: status.LastPet})
	t.started = status.LastPet
	t.require(decide.ReasonSelfTest, "the watchdog is being tested, and must reset the node")
	t.log.Warn("the watchdog got its last ping of this boot: it must reset the node", "timeout", status.Timeout, "timed_by", names)
	return status, nil
}

// recruit asks the neighbours to time the test, beats fast from then on, and
// returns who does.
func (t *tester) recruit(ctx context.Context) ([]string, error) {
	all := t.peers.Neighbours()
	t.mu.Lock()
	clear(t.heard)
	t.mu.Unlock()
	t.peers.SetTest(&peer.Test{Boot: t.boot})
	beating, stop := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() { t.peers.Beat(beating, watchdog.TestBeat, all, t.hear) })
	t.quiet = func() {
		stop()
		done.Wait()
		t.quiet = func() {}
	}
	poll := time.NewTicker(testPoll)
	defer poll.Stop()
	begin := t.now()
	for {
		names := t.timing()
		waited := begin.Elapsed(t.now())
		switch {
		case len(names) >= len(all) && len(names) >= timekeepers, len(names) >= timekeepers && waited >= recruitWithin:
			return names, nil
		case waited >= recruitWithin:
			return nil, fmt.Errorf("%d of %d neighbours say that they time the test, and %d must: are their agents as new as this one?",
				len(names), len(all), timekeepers)
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// timing returns the neighbours that said they time this boot.
func (t *tester) timing() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var names []string
	for node, s := range t.heard {
		if s.Boot == t.boot {
			names = append(names, node)
		}
	}
	return names
}

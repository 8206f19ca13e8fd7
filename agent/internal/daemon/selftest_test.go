package daemon

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/agent/internal/hold"
	"github.com/picket-dev/picket/agent/internal/host"
	"github.com/picket-dev/picket/agent/internal/peer"
	"github.com/picket-dev/picket/agent/internal/watchdog"
	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/timing"
)

var dog = watchdog.Facts{Driver: "softdog", Identity: "Software Watchdog", Kind: watchdog.KindSoftdog, Kappa: 1020, Min: time.Second}

// A rig is a node under test with its neighbours. Its clock is the bubble's.
type rig struct {
	t      *testing.T
	tester *tester
	disk   *host.Disk[watchdog.Record]
	stop   func()

	mu       sync.Mutex
	said     *peer.Test
	told     map[string]peer.Silence // what each neighbour answers to a question about an earlier boot
	timing   []string                // who says that it times this boot
	checks   []*peerv1.Check
	guided   []string // what the core was told, in order
	stays    error    // why the node does not become unarmed
	broken   error    // why the holder does not test
	pinged   time.Duration
	beating  int
	changed  int
	recorded watchdog.Record // on disk when the device got its last ping
}

func newRig(t *testing.T, boot string, disk *host.Disk[watchdog.Record]) *rig {
	r := &rig{t: t, disk: disk, timing: []string{"n2", "n3"}, told: make(map[string]peer.Silence)}
	r.checks = []*peerv1.Check{{Name: "drained", Ok: true}}
	start := time.Now()
	r.tester = newTester(boot, "6.1", disk, slog.New(slog.DiscardHandler), func() timing.Instant { return timing.At(time.Hour + time.Since(start)) })
	r.tester.node, r.tester.peers = r, r
	r.tester.changed = func() { r.changed++ }
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { r.tester.run(ctx) })
	r.stop = func() { cancel(); done.Wait() }
	return r
}

func newDisk(t *testing.T) *host.Disk[watchdog.Record] {
	return host.NewDisk[watchdog.Record](host.Config{Root: t.TempDir(), State: "state"}, watchdog.RecordFile)
}

func (r *rig) Conditions(context.Context) []*peerv1.Check { return slices.Clone(r.checks) }

func (r *rig) Guide(_ context.Context, unarmed bool) error {
	var spec decide.Spec
	r.tester.fold(&spec)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.guided = append(r.guided, spec.Unarmed)
	if unarmed {
		return r.stays
	}
	return nil
}

func (r *rig) LastPing(_ context.Context, before func(watchdog.Facts, time.Duration) error) (hold.Status, error) {
	if err := before(dog, 10*time.Second); err != nil {
		return hold.Status{}, err
	}
	r.recorded, _ = r.disk.Load()
	if r.broken != nil {
		return hold.Status{}, r.broken
	}
	r.pinged = 10 * time.Second
	return hold.Status{State: hold.Testing, Device: dog, Timeout: 10 * time.Second, LastPet: r.tester.now()}, nil
}

func (r *rig) Neighbours() []string { return []string{"n2", "n3", "n4"} }

func (r *rig) SetTest(x *peer.Test) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = x
	if x != nil && x.Boot != r.tester.boot {
		for node, s := range r.told {
			go r.tester.hear(peer.Beat{Node: node, Reply: peer.Reply{Silence: &s}})
		}
	}
}

func (r *rig) Beat(ctx context.Context, every time.Duration, nodes []string, report func(peer.Beat)) {
	if every != watchdog.TestBeat || len(nodes) != 3 {
		r.t.Errorf("beats to %v every %v", nodes, every)
	}
	r.mu.Lock()
	r.beating++
	timing := r.timing
	r.mu.Unlock()
	for _, n := range timing {
		report(peer.Beat{Node: n, Reply: peer.Reply{Silence: &peer.Silence{Boot: r.tester.boot}}})
	}
	report(peer.Beat{Node: "n4", Err: errors.New("too old")})
	<-ctx.Done()
	r.mu.Lock()
	r.beating--
	r.mu.Unlock()
}

func (r *rig) ask(begin bool) (*peerv1.SelfTestReply, error) {
	j := job{ctx: r.t.Context(), begin: begin, done: make(chan outcome, 1)}
	r.tester.jobs <- j
	o := <-j.done
	return o.reply, o.err
}

func (r *rig) unarmed() string {
	var s decide.Spec
	r.tester.fold(&s)
	return s.Unarmed
}

func TestSelfTestBegins(t *testing.T) {
	disk := newDisk(t)
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "old", disk)
		defer r.stop()
		reply, err := r.ask(false)
		if err != nil || reply.Begun || r.pinged != 0 || r.unarmed() != "" {
			t.Fatalf("only asked, and %+v, %v", reply, err)
		}
		reply, err = r.ask(true)
		if err != nil || !reply.Begun || reply.Timeout.AsDuration() != 10*time.Second || reply.Within.AsDuration() != 10200*time.Millisecond {
			t.Fatalf("%+v, %v", reply, err)
		}
		slices.Sort(r.recorded.Trial.Neighbours)
		want := &watchdog.Trial{Boot: "old", Key: dog.Key("6.1"), Timeout: 10 * time.Second, Neighbours: []string{"n2", "n3"}, Began: r.recorded.Trial.Began}
		if diff := cmp.Diff(want, r.recorded.Trial); diff != "" {
			t.Errorf("on disk before the last ping (-want +got):\n%s", diff)
		}
		if r.said == nil || r.said.Boot != "old" || r.said.Pet.IsZero() || r.beating != 1 {
			t.Errorf("neighbours hear %+v, %d beaters", r.said, r.beating)
		}
		if diff := cmp.Diff([]string{"SelfTest"}, r.guided); diff != "" {
			t.Errorf("A13: the core was told (-want +got):\n%s", diff)
		}
		if reply, err := r.ask(true); err != nil || reply.Begun {
			t.Errorf("a second test: %+v, %v", reply, err)
		}
	})
}

// Whoever gives up while the node becomes unarmed gets no reset.
func TestSelfTestEndsWithItsAsker(t *testing.T) {
	disk := newDisk(t)
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "old", disk)
		defer r.stop()
		r.timing = nil // nobody answers, and the asker leaves
		ctx, leave := context.WithTimeout(t.Context(), recruitWithin/2)
		defer leave()
		j := job{ctx: ctx, begin: true, done: make(chan outcome, 1)}
		r.tester.jobs <- j
		<-ctx.Done()
		r.mu.Lock()
		r.timing = []string{"n2", "n3"}
		r.mu.Unlock()
		for _, n := range r.timing {
			r.tester.hear(peer.Beat{Node: n, Reply: peer.Reply{Silence: &peer.Silence{Boot: "old"}}})
		}
		if o := <-j.done; o.err == nil || r.pinged != 0 || r.unarmed() != "" {
			t.Errorf("%+v, %v; T=%v, unarmed %q", o.reply, o.err, r.pinged, r.unarmed())
		}
	})
}

// Whatever is missing keeps the watchdog petted, and the node arms again.
func TestSelfTestIsRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*rig)
		err    string // "": only a check says it
		guided []string
	}{
		{"not drained", func(r *rig) { r.checks[0].Ok = false }, "", nil},
		{"A13: stays armed", func(r *rig) { r.stays = errors.New("no API") }, "no API", []string{"SelfTest", ""}},
		{"one neighbour", func(r *rig) { r.timing = []string{"n2"} }, "1 of 3 neighbours", []string{"SelfTest", ""}},
		{"the holder fails", func(r *rig) { r.broken = errors.New("EIO") }, "EIO", []string{"SelfTest", ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			disk := newDisk(t)
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, "old", disk)
				defer r.stop()
				tt.change(r)
				reply, err := r.ask(true)
				if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) || reply.GetBegun() {
					t.Errorf("%+v, %v, want %q", reply, err, tt.err)
				}
				if diff := cmp.Diff(tt.guided, r.guided); diff != "" {
					t.Errorf("the core was told (-want +got):\n%s", diff)
				}
				if left, _ := disk.Load(); left.Trial != nil || r.said != nil || r.beating != 0 || r.pinged != 0 || r.unarmed() != "" {
					t.Errorf("left behind: %+v, %+v, %d beaters, unarmed %q", left.Trial, r.said, r.beating, r.unarmed())
				}
			})
		})
	}
}

// begun returns a disk with a test that boot "old" has begun.
func begun(t *testing.T, change func(*watchdog.Record)) *host.Disk[watchdog.Record] {
	t.Helper()
	disk := newDisk(t)
	r := watchdog.Record{Trial: &watchdog.Trial{Boot: "old", Key: dog.Key("6.1"), Timeout: 10 * time.Second, Neighbours: []string{"n2", "n3"}}}
	if change != nil {
		change(&r)
	}
	if err := disk.Store(r); err != nil {
		t.Fatal(err)
	}
	return disk
}

func TestNextBootCollectsTheResult(t *testing.T) {
	heard := func(lasted time.Duration) peer.Silence {
		return peer.Silence{Boot: "old", Lasted: lasted, Gap: 60 * time.Millisecond, Beats: 200}
	}
	for _, tt := range []struct {
		name   string
		boot   string
		change func(*watchdog.Record)
		told   map[string]peer.Silence
		after  time.Duration
		kappa  int
		last   string
	}{
		{name: "all have told", told: map[string]peer.Silence{"n2": heard(10300 * time.Millisecond), "n3": heard(10 * time.Second)},
			after: time.Second, kappa: 1036, last: "softdog resets within 10.36s"},
		{name: "one is silent for 30s", told: map[string]peer.Silence{"n3": heard(10300 * time.Millisecond)}, after: 31 * time.Second, kappa: 1036, last: "1 neighbours"},
		{name: "nobody knows", told: map[string]peer.Silence{"n2": {Boot: "old"}}, after: 16 * time.Minute, kappa: 1020, last: "told nothing: no neighbour"},
		{name: "nonsense", told: map[string]peer.Silence{"n2": heard(2 * time.Second), "n3": heard(3 * time.Second)}, after: time.Second, kappa: 1020, last: "not the watchdog's doing"},
		{name: "spoilt", change: func(r *watchdog.Record) { r.Trial.Spoilt = "the agent was stopped" },
			told: map[string]peer.Silence{"n2": heard(10 * time.Second), "n3": heard(10 * time.Second)}, after: time.Second, kappa: 1020, last: "stopped"},
		{name: "another kernel meanwhile", change: func(r *watchdog.Record) { r.Trial.Kernel = "6.0" },
			told: map[string]peer.Silence{"n2": heard(11 * time.Second), "n3": heard(11 * time.Second)}, after: time.Second, kappa: 1020, last: "softdog resets"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			disk := begun(t, tt.change)
			synctest.Test(t, func(t *testing.T) {
				r := newRigTold(t, "new", disk, tt.told)
				defer r.stop()
				if r.unarmed() != "" {
					t.Errorf("waiting for a result, and unarmed: %s", r.unarmed())
				}
				pass(tt.after)
				got, err := disk.Load()
				if err != nil || got.Trial != nil || !strings.Contains(got.Last, tt.last) {
					t.Errorf("on disk %+v, %v, want %q", got, err, tt.last)
				}
				if f := r.tester.facts(dog); f.Kappa != tt.kappa || f.Identity == "" {
					t.Errorf("facts %+v, want κ %d", f, tt.kappa)
				}
				if ok, _ := r.tester.verified(dog); ok != (tt.kappa != dog.Kappa) {
					t.Errorf("verified: %t", ok)
				}
				if r.said != nil || r.changed != 1 {
					t.Errorf("still asking %+v; changed %d times", r.said, r.changed)
				}
			})
		})
	}
}

// pass lets time pass in the bubble.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// newRigTold is newRig with neighbours that know something.
func newRigTold(t *testing.T, boot string, disk *host.Disk[watchdog.Record], told map[string]peer.Silence) *rig {
	r := newRig(t, boot, disk)
	r.mu.Lock()
	r.told = told
	r.mu.Unlock()
	synctest.Wait()
	r.SetTest(&peer.Test{Boot: "old"}) // the neighbours answer every heartbeat
	return r
}

// A dog that does not bite: the boot stays unarmed, and the finding stays.
func TestWatchdogThatDoesNotReset(t *testing.T) {
	disk := newDisk(t)
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "old", disk)
		if reply, err := r.ask(true); err != nil || !reply.Begun {
			t.Fatalf("%+v, %v", reply, err)
		}
		pass(45 * time.Second)
		if got, _ := disk.Load(); got.Trial == nil {
			t.Fatal("given up too early")
		}
		pass(time.Second)
		got, _ := disk.Load()
		if got.Trial != nil || !strings.Contains(got.Last, "did not reset") || r.unarmed() != "SelfTestFailed" || r.beating != 0 {
			t.Errorf("%+v, unarmed %q, %d beaters", got, r.unarmed(), r.beating)
		}
		if diff := cmp.Diff([]string{"SelfTest", "SelfTestFailed"}, r.guided); diff != "" {
			t.Errorf("the core was told (-want +got):\n%s", diff)
		}
		r.stop()
		next := newRig(t, "new", disk)
		defer next.stop()
		if f := next.tester.facts(dog); f.Identity != "" {
			t.Errorf("the next boot uses it: %+v", f)
		}
	})
}

// An agent that stops, or starts anew, in the middle of a test spoils it; the
// node stays unarmed for this boot.
func TestStoppedAgentSpoilsTheTest(t *testing.T) {
	disk := newDisk(t)
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "old", disk)
		if _, err := r.ask(true); err != nil {
			t.Fatal(err)
		}
		r.stop()
		if got, _ := disk.Load(); got.Trial == nil || !strings.Contains(got.Trial.Spoilt, "stopped") {
			t.Errorf("%+v", got.Trial)
		}
		again := newRig(t, "old", disk)
		defer again.stop()
		if again.unarmed() != "SelfTest" {
			t.Errorf("the next agent of the same boot is unarmed for %q", again.unarmed())
		}
	})
	crashed := begun(t, nil)
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "old", crashed)
		defer r.stop()
		synctest.Wait()
		if got, _ := crashed.Load(); got.Trial == nil || !strings.Contains(got.Trial.Spoilt, "restarted") {
			t.Errorf("%+v", got.Trial)
		}
	})
}

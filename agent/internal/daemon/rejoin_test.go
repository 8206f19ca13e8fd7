package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/agent/internal/attached"
	"github.com/picket-dev/picket/agent/internal/launch"
	"github.com/picket-dev/picket/agent/internal/peer"
	"github.com/picket-dev/picket/agent/internal/rejoin"
	"github.com/picket-dev/picket/agent/teardown"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// A node is a host, its API and the core's ear, as a steward meets them.
type node struct {
	mu     sync.Mutex
	inv    teardown.Inventory
	sticks teardown.Op // a step of it never gets done
	hangs  time.Duration
	looks  int
	asked  int
	answer attached.Answer
	spec   *v1alpha1.NodeGuardSpec
	forgot bool
	guided int
	notes  []decide.Note
	spent  string
	word   string // what a glance shows
}

const (
	thisBoot  = "6a0f1d5e-8c5b-4b6e-9f57-0a4c1a3b2d10"
	otherBoot = "0c9f7e6a-1b1d-4b43-8a5e-5a7c1d2e3f40"
)

// luns returns the inventory of a host with these units of one session.
func luns(names ...string) teardown.Inventory {
	inv := teardown.Inventory{Roots: []string{"/var/lib/kubelet"}, ClientsKnown: true}
	if len(names) > 0 {
		inv.Sessions = []teardown.Session{{ID: "1", Target: "iqn.a", Portal: "192.0.2.1:3260"}}
	}
	for i, name := range names {
		inv.Devices = append(inv.Devices, teardown.Device{
			Number: teardown.Number{Major: 8, Minor: uint32(16 * (i + 1))}, Name: name, Kind: teardown.ISCSI, Session: "1", LUN: uint64(i), WWID: "w-" + name,
		})
		inv.Volumes = append(inv.Volumes, teardown.Volume{
			File: "f-" + name, Driver: "d", Handle: "h-" + name, PV: "pv-" + name, Identity: teardown.Identity{WWID: "w-" + name},
		})
	}
	return inv
}

// saying returns what the API says of luns: attached or not.
func saying(here bool, names ...string) attached.Answer {
	a := attached.Answer{Attachments: teardown.Attachments{Known: true}}
	for _, name := range names {
		a.Volumes = append(a.Volumes, teardown.Attachment{PV: "pv-" + name, Driver: "d", Handle: "h-" + name, Gated: true, Attached: here})
	}
	return a
}

func (n *node) Look(context.Context) teardown.Inventory {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.looks++
	return n.inv
}

// Run carries out steps as an executor does, on an inventory that is all there is.
func (n *node) Run(ctx context.Context, aim teardown.Aim, attachments func(context.Context, teardown.Inventory) teardown.Attachments) rejoin.Outcome {
	var o rejoin.Outcome
	for {
		inv := n.Look(ctx)
		o.Plan = teardown.Make(inv, attachments(ctx, inv), aim)
		if o.Plan.State != teardown.Work {
			return o
		}
		o.Stuck = o.Plan.Steps[0]
		if o.Stuck.Op == n.sticks {
			select {
			case <-ctx.Done():
			case <-time.After(n.hangs):
			}
			o.Err = fmt.Errorf("%v for %s: %w", o.Stuck.Op, o.Stuck.Volume, rejoin.ErrStuck)
			return o
		}
		n.mu.Lock()
		n.inv = after(o.Stuck, n.inv)
		n.mu.Unlock()
		o.Done, o.Stuck = append(o.Done, o.Stuck), teardown.Step{}
	}
}

// after is the inventory when a step has been carried out.
func after(s teardown.Step, inv teardown.Inventory) teardown.Inventory {
	devices := inv.Devices
	inv.Devices = nil
	for _, d := range devices {
		switch {
		case s.Op == teardown.Logout, s.Op == teardown.DeleteSCSI && d.Number == s.Device:
			continue
		case s.Op == teardown.Offline && d.Number == s.Device:
			d.Cut = true
		}
		inv.Devices = append(inv.Devices, d)
	}
	if s.Op == teardown.Logout {
		inv.Sessions = nil
	}
	return inv
}

func (n *node) Forget() error { n.forgot = true; return nil }

func (n *node) Read(context.Context, teardown.Inventory, attached.Fence) attached.Answer {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	return n.answer
}

// steward returns one of the node, that waits for nothing for long.
func (n *node) steward() *steward {
	s := newSteward(thisBoot, slog.New(slog.DiscardHandler))
	s.host, s.api = n, n
	s.glance = func() string { return n.word }
	s.spec = func() *v1alpha1.NodeGuardSpec { return n.spec }
	s.guide = func(context.Context) { n.guided++ }
	s.spent = func() string { return n.spent }
	s.note = func(d decide.Note) { n.notes = append(n.notes, d) }
	s.pause = pauses{glance: time.Millisecond, again: time.Nanosecond, most: time.Nanosecond, look: time.Hour, anyway: time.Hour, patient: 20 * time.Millisecond, run: time.Minute}
	return s
}

func fenced(boot string, how v1alpha1.Rejoin) *v1alpha1.NodeGuardSpec {
	return &v1alpha1.NodeGuardSpec{FencedBoot: boot, Rejoin: how}
}

// What a node says of its storage, and what it does: Clean only of the fence that
// the controller names, and only after a look that found nothing left (C8, A14).
func TestStewardSays(t *testing.T) {
	blind := luns("sda")
	blind.Unknown = []teardown.Unknown{{What: "mounts", Why: "no answer"}}
	used := luns("sda")
	used.Processes = []teardown.Process{{PID: 7, Name: "db", Pod: "p", Opens: []teardown.Number{{Major: 8, Minor: 16}}}}
	used.Pods = []teardown.Pod{{UID: "p", Cgroup: "p", Processes: 1}}
	moving := saying(false, "sda")
	moving.Moving = true
	unknown := attached.Answer{Attachments: teardown.Attachments{Why: "the API is away"}}
	tests := []struct {
		name  string
		node  *node
		state string
		says  string
		reset bool
		asked bool
	}{
		{name: "before the controller has spoken", node: &node{}, state: v1alpha1.StorageClean},
		{name: "in peace, without volumes", node: &node{spec: fenced("", "")}, state: v1alpha1.StorageClean},
		{name: "in peace, with volumes", node: &node{spec: fenced("", ""), inv: luns("sda")}, state: v1alpha1.StorageInUse},
		{name: "in peace, blind", node: &node{spec: fenced("", ""), inv: teardown.Inventory{Unknown: blind.Unknown}}, state: v1alpha1.StorageUnknown, says: "mounts could not be read"},
		{name: "a new boot, nothing left", node: &node{spec: fenced(otherBoot, ""), answer: saying(false)}, state: v1alpha1.StorageClean, asked: true},
		{name: "a new boot, a unit came back", node: &node{spec: fenced(otherBoot, ""), inv: luns("sda"), answer: saying(false, "sda")}, state: v1alpha1.StorageClean, asked: true},
		{name: "a new boot, its volume is attached", node: &node{spec: fenced(otherBoot, ""), inv: luns("sda"), answer: saying(true, "sda")}, state: v1alpha1.StorageClean, asked: true},
		{name: "a new boot, blind", node: &node{spec: fenced(otherBoot, ""), inv: blind, answer: saying(false, "sda")}, state: v1alpha1.StorageDirty, says: "mounts could not be read", asked: true},
		{name: "a new boot, the API is away", node: &node{spec: fenced(otherBoot, ""), inv: luns("sda"), answer: unknown}, state: v1alpha1.StorageDirty, says: "the API is away", asked: true},
		{name: "a new boot, volumes still move", node: &node{spec: fenced(otherBoot, ""), answer: moving}, state: v1alpha1.StorageUnknown, says: "C6", asked: true},
		{name: "a new boot, a step is stuck", node: &node{spec: fenced(otherBoot, ""), inv: luns("sda"), answer: saying(false, "sda"), sticks: teardown.Logout}, state: v1alpha1.StorageDirty, says: "Logout for pv-sda: the step is stuck", asked: true},
		{name: "a new boot, in use again", node: &node{spec: fenced(otherBoot, ""), inv: used, answer: saying(false, "sda")}, state: v1alpha1.StorageDirty, says: "in use", reset: true, asked: true},
		{name: "a new boot, in use again, after too many resets", node: &node{spec: fenced(otherBoot, ""), inv: used, answer: saying(false, "sda"), spent: "3 boots in 30 min"}, state: v1alpha1.StorageDirty, says: "should be reset, and is not: 3 boots", asked: true},
		{name: "A14: the fenced boot, by default", node: &node{spec: fenced(thisBoot, ""), inv: luns("sda"), answer: saying(false, "sda")}, state: v1alpha1.StorageUnknown},
		{name: "A14: the fenced boot, rejoin: Clean", node: &node{spec: fenced(thisBoot, v1alpha1.RejoinClean), inv: luns("sda"), answer: saying(false, "sda")}, state: v1alpha1.StorageClean, asked: true},
		{name: "A14: the fenced boot, rejoin: Clean, a step is stuck", node: &node{spec: fenced(thisBoot, v1alpha1.RejoinClean), inv: luns("sda"), answer: saying(false, "sda"), sticks: teardown.Logout}, state: v1alpha1.StorageDirty, says: "resetting: Logout", reset: true, asked: true},
		{name: "A14: the fenced boot, rejoin: Clean, nothing is known", node: &node{spec: fenced(thisBoot, v1alpha1.RejoinClean), inv: luns("sda"), answer: unknown}, state: v1alpha1.StorageDirty, says: "the API is away", reset: true, asked: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := tt.node
			s := n.steward()
			s.attend(t.Context())
			got := s.storage()
			want := ""
			if n.spec != nil {
				want = n.spec.FencedBoot
			}
			if got.State != tt.state || got.FencedBoot != want || !strings.Contains(got.Message, tt.says) {
				t.Errorf("it says %q of %q: %q; want %q of %q: %q", got.State, got.FencedBoot, got.Message, tt.state, want, tt.says)
			}
			if tt.reset != (n.guided > 0) || tt.asked != (n.asked > 0) {
				t.Errorf("reset %t, asked %t; want %t and %t", n.guided > 0, n.asked > 0, tt.reset, tt.asked)
			}
			if n.forgot != (tt.state == v1alpha1.StorageClean && want != "") {
				t.Errorf("forgot its notes: %t", n.forgot)
			}
			var spec decide.Spec
			if n.spec != nil {
				spec.FencedBoot = n.spec.FencedBoot
				s.fold(t.Context(), *n.spec, &spec)
			}
			dead := tt.reset || n.spec != nil && n.spec.FencedBoot == thisBoot && n.spec.Rejoin == ""
			if dead != (spec.FencedBoot == thisBoot) {
				t.Errorf("A14: the core hears of fenced boot %q", spec.FencedBoot)
			}
		})
	}
}

// (a) What was said of one fence is not said of the next, nor before one of it.
func TestStewardSaysItOfOneFence(t *testing.T) {
	n := &node{spec: fenced("", ""), answer: saying(false)}
	s := n.steward()
	changes := 0
	s.changed = func() { changes++ }
	s.attend(t.Context())
	for i, boot := range []string{otherBoot, "boot-0", ""} {
		n.spec = fenced(boot, "")
		n.answer.Known = false
		s.attend(t.Context())
		if got := s.storage(); got.FencedBoot != boot || got.State == v1alpha1.StorageClean && boot != "" {
			t.Errorf("fence %d: %+v", i, got)
		}
		n.answer.Known = true
		s.attend(t.Context())
		if got := s.storage(); got.FencedBoot != boot || got.State != v1alpha1.StorageClean {
			t.Errorf("fence %d: %+v", i, got)
		}
	}
	if changes < 6 {
		t.Errorf("%d changes were published", changes)
	}
}

// A node in peace asks the API for nothing, and looks only when a glance shows
// something new.
func TestStewardLeavesPeaceAlone(t *testing.T) {
	n := &node{spec: fenced("", ""), inv: luns("sda"), word: "1"}
	s := n.steward()
	for range 50 {
		s.attend(t.Context())
	}
	n.word = "2" // too soon after the last look
	s.attend(t.Context())
	if n.looks != 1 || n.asked != 0 {
		t.Errorf("%d looks, %d questions", n.looks, n.asked)
	}
	s.pause.look = 0
	s.attend(t.Context())
	s.attend(t.Context())
	if n.looks != 2 || n.asked != 0 {
		t.Errorf("after a change: %d looks, %d questions", n.looks, n.asked)
	}
}

// (b) A step that hangs reports what blocks, and holds up neither the core's loop
// nor the publication of what the node says.
func TestAStuckStepHoldsUpNobody(t *testing.T) {
	n := &node{spec: fenced(otherBoot, ""), inv: luns("sda"), answer: saying(false, "sda"), sticks: teardown.Logout, hangs: 500 * time.Millisecond}
	c := Default()
	c.Node, c.Root, c.Listen, c.Advertise = "n", t.TempDir(), "127.0.0.1:1", []string{"127.0.0.1:1"}
	c.API.Endpoints, c.API.CA, c.API.Token = []string{"https://127.0.0.1:1"}, "/nowhere", "/nowhere"
	c.Holder.Launch, c.StopWithin.Duration = launch.External, 50*time.Millisecond
	put(t, c.Root, "proc/sys/kernel/random/boot_id", thisBoot)
	d, err := newDaemon(c, "v", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	d.beats = peer.NewHeartbeater(d.client, func(peer.Beat) {})
	s := n.steward()
	s.pace, s.note, s.changed = d.steward.pace, d.steward.note, d.steward.changed
	s.pause.again, s.pause.most = time.Hour, time.Hour
	d.steward = s
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { d.loop(ctx, ctx) })
	running.Go(func() { s.run(ctx) })
	until(t, "the step hangs", func() bool { return s.last.Load() != nil && d.verdict.Load() != nil })
	taken, beat := 0, time.NewTicker(time.Millisecond)
	defer beat.Stop()
	for !strings.Contains(s.storage().Message, "Logout for pv-sda") {
		d.tell(ctx, decide.Tick{})
		taken++
		if got := s.storage(); got.State == v1alpha1.StorageClean || got.FencedBoot != otherBoot {
			t.Fatalf("with a step that hangs it says %+v", got)
		}
		if got := d.statusOf(d.verdict.Load().Status).Storage; got.State != v1alpha1.StorageUnknown && got.State != v1alpha1.StorageDirty {
			t.Fatalf("it publishes %+v", got)
		}
		<-beat.C
	}
	if got := s.storage(); got.State != v1alpha1.StorageDirty || got.Devices[0].Standing != "Stale" {
		t.Errorf("it says %+v", got)
	}
	r, err := s.inspect(t.Context())
	if err != nil || r.GetLast().GetStuck().GetOp() != "Logout" || r.GetLast().GetError() == "" || r.GetStorage() != v1alpha1.StorageDirty {
		t.Errorf("devices: %v, %v", r.GetLast(), err)
	}
	worst := r.GetLast().GetWorstLoopDelay().AsDuration()
	t.Logf("the loop took %d events, at most %v late", taken, worst)
	if taken < 50 || worst == 0 || worst > 100*time.Millisecond {
		t.Errorf("the loop took %d events while a step hung, at most %v late", taken, worst)
	}
	if all := d.journal.all(); !strings.Contains(all[len(all)-1].note.What, "rejoin: Blocked after 1 steps") {
		t.Errorf("the journal ends with %v", all[len(all)-1].note)
	}
	cancel()
	running.Wait()
}

// put writes a file below root.
func put(t *testing.T, root, name, text string) {
	t.Helper()
	at := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// until waits for it, for as long as a busy machine may take.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	beat, end := time.NewTicker(time.Millisecond), time.NewTimer(30*time.Second)
	defer beat.Stop()
	defer end.Stop()
	for !holds() {
		select {
		case <-beat.C:
		case <-end.C:
			t.Fatalf("never: %s", what)
		}
	}
}

// A rejoin of a fenced boot that never comes to an end is one that a reset ends.
func TestA14_ARejoinWithoutAnEndIsReset(t *testing.T) {
	n := &node{spec: fenced(thisBoot, v1alpha1.RejoinClean), inv: luns("sda"), answer: saying(false, "sda"), sticks: teardown.Offline, hangs: time.Hour}
	s := n.steward()
	s.pause.run = 10 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	reset := make(chan struct{})
	s.guide = func(context.Context) { close(reset) }
	done := make(chan struct{})
	go func() { defer close(done); s.run(ctx) }()
	select {
	case <-reset:
	case <-time.After(10 * time.Second):
		t.Error("no reset")
	}
	spec := decide.Spec{FencedBoot: thisBoot}
	s.fold(t.Context(), *n.spec, &spec)
	if spec.FencedBoot != thisBoot {
		t.Error("A14: the core does not hear of it")
	}
	cancel()
	<-done
}

// hung is a node that never answers, in this very process.
type hung struct {
	*node
	in   atomic.Bool
	free chan struct{}
}

func (h *hung) Look(ctx context.Context) teardown.Inventory {
	h.in.Store(true)
	<-h.free
	return h.node.Look(ctx)
}

// A14: a steward that hangs since before the fence does not keep the fenced boot
// alive, nor does it reset one that was not fenced.
func TestA14_AFenceWhileTheStewardHangs(t *testing.T) {
	for name, tt := range map[string]struct {
		glance bool // it hangs in a glance, and not in a look
		boot   string
	}{
		"in a look":                   {boot: thisBoot},
		"in a glance":                 {boot: thisBoot, glance: true},
		"a fence of another boot":     {boot: otherBoot},
		"no fence, and it hangs long": {},
	} {
		t.Run(name, func(t *testing.T) {
			h := &hung{node: &node{}, free: make(chan struct{})}
			s := h.steward()
			s.host, s.pause.run = h, 50*time.Millisecond
			if tt.glance {
				s.host, s.glance = h.node, func() string { h.in.Store(true); <-h.free; return "" }
			}
			var told atomic.Bool
			s.guide = func(context.Context) { told.Store(true) }
			var spec atomic.Pointer[v1alpha1.NodeGuardSpec]
			spec.Store(fenced("", ""))
			s.spec = spec.Load
			ctx, cancel := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() { s.run(ctx) })
			until(t, "it to hang", h.in.Load)
			by, core := fenced(tt.boot, v1alpha1.RejoinClean), decide.Spec{FencedBoot: tt.boot}
			s.fold(ctx, *by, &core)
			spec.Store(by)
			s.hear()
			if tt.boot == thisBoot {
				until(t, "A14: a reset", told.Load)
			} else if <-time.After(4 * s.pause.run); told.Load() {
				t.Error("a boot was reset that was not fenced")
			}
			cancel()
			close(h.free)
			running.Wait()
		})
	}
}

// A14: each fence of this boot binds it anew, for the whole time, though the steward
// hangs since the first one.
func TestA14_EachFenceBindsTheBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := (&node{}).steward()
		var spec atomic.Pointer[v1alpha1.NodeGuardSpec]
		var resets atomic.Int32
		s.spec, s.guide = spec.Load, func(context.Context) { resets.Add(1) }
		guide := func(boot string) {
			by := fenced(boot, v1alpha1.RejoinClean)
			s.fold(t.Context(), *by, &decide.Spec{FencedBoot: boot})
			spec.Store(by)
		}
		pass := func(d time.Duration) {
			time.Sleep(d) //nolint:forbidigo // within a bubble it takes no time
			synctest.Wait()
		}
		guide(thisBoot)
		guide(thisBoot)
		pass(s.pause.run - time.Second)
		guide("") // somebody has lifted it
		pass(time.Hour)
		guide(thisBoot)
		guide(thisBoot)
		if pass(s.pause.run - time.Second); resets.Load() != 0 {
			t.Error("a boot was reset before its time")
		}
		if pass(2 * time.Second); resets.Load() != 1 {
			t.Errorf("the second fence has reset the boot %d times, want once", resets.Load())
		}
	})
}

// A13: an agent that is to leave for good does not leave a fence's volumes behind;
// one that merely stops leaves those of another boot to the next agent.
func TestA13_NobodyLeavesARejoin(t *testing.T) {
	for name, tt := range map[string]struct {
		boot     string
		stopped  bool // and not dismissed
		patience time.Duration
		stays    bool
	}{
		"dismissed, this boot":     {boot: thisBoot, stays: true},
		"dismissed, another boot":  {boot: otherBoot, stays: true},
		"dismissed, no fence":      {},
		"stopped, this boot":       {boot: thisBoot, stopped: true, patience: time.Hour, stays: true},
		"stopped, out of patience": {boot: thisBoot, stopped: true, patience: time.Millisecond},
		"stopped, another boot":    {boot: otherBoot, stopped: true, patience: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			n := &node{spec: fenced(tt.boot, v1alpha1.RejoinClean), inv: luns("old"), answer: saying(false, "old")}
			s := n.steward()
			s.pause.run = time.Hour
			over := s.dealtWith
			if tt.stopped {
				over = s.outlived
			}
			asked := make(chan struct{})
			released := s.release(t.Context(), asked, over, tt.patience)
			select {
			case <-released:
				t.Fatal("released, and nobody has asked")
			case <-time.After(20 * time.Millisecond):
			}
			close(asked)
			select {
			case <-released:
				if tt.stays {
					t.Fatalf("released with %+v", s.storage())
				}
				return
			case <-time.After(200 * time.Millisecond):
				if !tt.stays {
					t.Fatal("not released")
				}
			}
			s.attend(t.Context())
			select {
			case <-released:
			case <-time.After(10 * time.Second):
				t.Fatal("not released when all was done")
			}
			if got := s.storage(); got.State != v1alpha1.StorageClean || got.FencedBoot != tt.boot {
				t.Errorf("left with %+v", got)
			}
		})
	}
}

// An agent that is stopped leaves its work to the next, and says nothing of it.
func TestStewardEndsWithItsContext(t *testing.T) {
	n := &node{spec: fenced(thisBoot, v1alpha1.RejoinClean), inv: luns("sda"), answer: saying(false, "sda"), sticks: teardown.Offline, hangs: time.Hour}
	s := n.steward()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.run(ctx) }()
	until(t, "the rejoin begins", func() bool { return s.last.Load() != nil })
	cancel()
	<-done
	if got := s.storage(); got.State != v1alpha1.StorageUnknown || s.doom.Load() != nil || len(n.notes) > 0 {
		t.Errorf("it says %+v, resets for %v, notes %v", got, s.doom.Load(), n.notes)
	}
}

// What a rejoin came to is in the journal, with how late the loop was meanwhile.
func TestARejoinIsInTheJournal(t *testing.T) {
	n := &node{spec: fenced(otherBoot, ""), inv: luns("sda"), answer: saying(false, "sda")}
	n.steward().attend(t.Context())
	if len(n.notes) != 1 || n.notes[0].Rule != decide.A14 || !strings.Contains(n.notes[0].What, "rejoin: Clean after 2 steps in ") || !strings.Contains(n.notes[0].What, "loop at most") {
		t.Errorf("notes: %v", n.notes)
	}
}

// Two people who ask at the same time are answered one after the other.
func TestInspectIsBounded(t *testing.T) {
	n := &node{spec: fenced("", "")}
	s := n.steward()
	s.asked <- struct{}{}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if _, err := s.inspect(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// mute is an API that accepts questions and answers none.
type mute struct{}

func (mute) Read(ctx context.Context, _ teardown.Inventory, _ attached.Fence) attached.Answer {
	<-ctx.Done()
	return attached.Answer{Attachments: teardown.Attachments{Why: context.Cause(ctx).Error()}}
}

// A person does not wait for an API that is known to be silent.
func TestInspectDoesNotWaitForASilentAPI(t *testing.T) {
	s := (&node{spec: fenced("", "")}).steward()
	s.api, s.reached = mute{}, new(ledger).reached
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := s.inspect(ctx)
	if err != nil || ctx.Err() != nil || r.GetAttachedKnown() || r.GetAttachedError() == "" {
		t.Errorf("%v, %v", r, err)
	}
}

// What is published is bounded, and begins with what must not stay.
func TestDevicesOf(t *testing.T) {
	inv := luns("sda", "sdb", "sdc")
	inv.Devices = append(inv.Devices, teardown.Device{Number: teardown.Number{Major: 253}, Name: "dm-0", Kind: teardown.Crypt, Map: "luks", Slaves: []teardown.Number{{Major: 8, Minor: 16}}},
		teardown.Device{Number: teardown.Number{Major: 254}, Name: "vda", Kind: teardown.Disk},
		teardown.Device{Number: teardown.Number{Major: 8, Minor: 200}, Name: "sdx", Kind: teardown.ISCSI, Session: "1", LUN: 9, WWID: "w-x"})
	inv.Mounts = []teardown.Mount{{ID: 1, Namespace: 1, Device: teardown.Number{Minor: 50}, FS: "nfs4", Point: "/var/lib/kubelet/pods/p/volumes/kubernetes.io~nfs/pv-nfs"}}
	inv.Namespaces = []teardown.Namespace{{ID: 1, PID: 1, Host: true}}
	api := saying(true, "sda", "sdc")
	api.Volumes = append(api.Volumes, saying(false, "sdb").Volumes...)
	api.Pods = []string{"p"}
	got, omitted := devicesOf(teardown.Make(inv, api.Attachments, teardown.Aim{}).Tree)
	want := []v1alpha1.Device{
		{Path: "/dev/sdb", Volume: "pv-sdb", Standing: "Stale"},
		{Path: "/dev/sdx"},
		{Path: "/var/lib/kubelet/pods/p/volumes/kubernetes.io~nfs/pv-nfs", Volume: "pv-nfs"},
		{Path: "/dev/dm-0", Volume: "pv-sda"},
		{Path: "/dev/sdc", Volume: "pv-sdc"},
	}
	if d := cmp.Diff(want, got); d != "" || omitted != 0 {
		t.Errorf("omitted %d, devices (-want +got):\n%s", omitted, d)
	}
	var many []teardown.Item
	for i := range 3000 {
		many = append(many, teardown.Item{Kind: "rbd", Name: fmt.Sprintf("rbd%d", i), Owner: teardown.OwnerKubernetes, Volume: strings.Repeat("v", 60)})
	}
	got, omitted = devicesOf(many)
	size := 0
	for _, d := range got {
		size += len(d.Path) + len(d.Volume)
	}
	if len(got) > mostDevices || size > mostBytes || len(got)+int(omitted) != len(many) {
		t.Errorf("%d devices of %d bytes, %d omitted", len(got), size, omitted)
	}
	if got := short(strings.Repeat("ä", mostText)); len(got) > mostText || !strings.HasSuffix(got, "ä…") {
		t.Errorf("a message of %d bytes", len(got))
	}
}

// The longest delay counts, ever and since it was asked to begin anew.
func TestPace(t *testing.T) {
	var p pace
	for _, d := range []time.Duration{3, 9, 4} {
		p.enter(d)
	}
	p.begin()
	p.enter(5)
	if p.worst() != 9 || p.since() != 5 {
		t.Errorf("%v, %v", p.worst(), p.since())
	}
}

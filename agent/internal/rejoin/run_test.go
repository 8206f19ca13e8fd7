package rejoin

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/agent/internal/block/child"
	"github.com/picket-dev/picket/agent/teardown"
)

// A target is a session with two units, of which one has moved. What it shows
// follows the files that the steps write.
type target struct {
	config Config
	deaf   bool // the unit stays, whatever is written
	back   bool // a unit that was set offline comes back once it was looked at
	looks  int
}

func (w *target) look(context.Context) teardown.Inventory {
	w.looks++
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(w.config.Host.Sys, "class/block/sdb", name))
		if err != nil {
			return err.Error()
		}
		return strings.TrimSpace(string(text))
	}
	inv := teardown.Inventory{
		Roots: []string{"/var/lib/kubelet"}, Sessions: []teardown.Session{{ID: "7", Target: iqn, Portal: "192.0.2.1:3260"}}, ClientsKnown: true,
		Devices: []teardown.Device{{Number: teardown.Number{Major: 8, Minor: 32}, Name: "sdc", Kind: teardown.ISCSI, Session: "7", LUN: 2, WWID: "stays"}},
	}
	if read("device/delete") == "" || w.deaf {
		inv.Devices = append(inv.Devices, teardown.Device{Number: sdb, Name: "sdb", Kind: teardown.ISCSI, Session: "7", LUN: 1, WWID: "moved", Cut: read("device/state") == "offline" && (!w.back || w.looks == 2)})
	}
	return inv
}

// withUnit is the host whose sdb is that unit.
func withUnit(wwid string) map[string]string {
	all := host()
	all["sys/class/block/sdb/device/wwid"] = wwid + "\n"
	return all
}

func attachments(context.Context, teardown.Inventory) teardown.Attachments {
	return teardown.Attachments{Known: true, Volumes: []teardown.Attachment{
		{PV: "pv-moved", Driver: "d", Handle: "a", Identity: teardown.Identity{WWID: "moved"}, Gated: true},
		{PV: "pv-stays", Driver: "d", Handle: "b", Identity: teardown.Identity{WWID: "stays"}, Gated: true, Attached: true},
	}}
}

// A unit that moved is deleted, its neighbour and their session stay (34); what
// the host does not show as done, or not for good, is stuck.
func TestRun(t *testing.T) {
	tests := []struct {
		name  string
		world target
		most  int // steps that a run may take; 0: as many as by default
		done  []teardown.Op
		stuck teardown.Op
		state teardown.State
		err   string
	}{
		{name: "Clean", done: []teardown.Op{teardown.Offline, teardown.DeleteSCSI}, state: teardown.Clean},
		{name: "a unit that does not go", world: target{deaf: true}, done: []teardown.Op{teardown.Offline}, stuck: teardown.DeleteSCSI, state: teardown.Blocked, err: "does not show it as done"},
		{name: "a unit that comes back", world: target{back: true}, done: []teardown.Op{teardown.Offline}, stuck: teardown.Offline, state: teardown.Blocked, err: "shows again"},
		{name: "as many steps as it may", most: 2, done: []teardown.Op{teardown.Offline, teardown.DeleteSCSI}, state: teardown.Clean},
		{name: "more steps than it may", most: 1, done: []teardown.Op{teardown.Offline}, stuck: teardown.DeleteSCSI, state: teardown.Blocked, err: "shows again"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := tt.world
			w.config = writeHost(t, withUnit("moved"))
			if tt.most > 0 {
				w.config.Most = tt.most
			}
			e := New(w.config, child.New(child.Default()))
			e.look = w.look
			o := e.Run(t.Context(), teardown.Aim{Rejoin: teardown.RejoinClean}, attachments)
			var done []teardown.Op
			for _, s := range o.Done {
				done = append(done, s.Op)
			}
			if d := cmp.Diff(tt.done, done); d != "" {
				t.Errorf("done (-want +got):\n%s", d)
			}
			if o.State() != tt.state || o.Stuck.Op != tt.stuck {
				t.Errorf("state %v, stuck in %v, want %v and %v: %v", o.State(), o.Stuck.Op, tt.state, tt.stuck, o.Plan.Why)
			}
			if (tt.err == "") != (o.Err == nil) || o.Err != nil && (!errors.Is(o.Err, ErrStuck) || !strings.Contains(o.Err.Error(), tt.err)) {
				t.Errorf("error = %v, want %q", o.Err, tt.err)
			}
		})
	}
}

// An agent that is stopped does not call its work stuck: the next goes on.
func TestRunEndsWithItsContext(t *testing.T) {
	w := target{config: writeHost(t, withUnit("moved"))}
	e := New(w.config, child.New(child.Default()))
	e.look = w.look
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o := e.Run(ctx, teardown.Aim{Rejoin: teardown.RejoinClean}, attachments)
	if !errors.Is(o.Err, context.Canceled) || o.State() != teardown.Work || o.Done != nil {
		t.Errorf("outcome = %+v", o)
	}
	ctx, cancel = context.WithCancel(t.Context())
	e.look = func(ctx context.Context) teardown.Inventory {
		if w.looks == 1 {
			cancel() // while the first step is proven
		}
		return w.look(ctx)
	}
	w.deaf, w.back = true, true
	o = e.Run(ctx, teardown.Aim{Rejoin: teardown.RejoinClean}, attachments)
	if !errors.Is(o.Err, context.Canceled) || o.State() != teardown.Work {
		t.Errorf("outcome = %+v", o)
	}
}

// An agent that is killed after any step leaves the rest to the next one, which does
// nothing twice; what the kubelet and CSI drivers have written stays (39, 40).
func TestRow39_AnAgentThatIsRestartedInTheMidst(t *testing.T) {
	w := target{config: writeHost(t, withUnit("moved"))}
	before := files(t, w.config)
	var done []teardown.Op
	state := teardown.Work
	for run := 0; state == teardown.Work && run < 9; run++ {
		ctx, kill := context.WithCancel(t.Context())
		e, looks := New(w.config, child.New(child.Default())), 0
		e.look = func(ctx context.Context) teardown.Inventory {
			if looks++; looks == 3 { // to plan, to prove a step, to plan the next
				kill()
			}
			return w.look(ctx)
		}
		o := e.Run(ctx, teardown.Aim{Rejoin: teardown.RejoinClean}, attachments)
		kill()
		for _, s := range o.Done {
			done = append(done, s.Op)
		}
		if state = o.State(); len(o.Done) > 1 {
			t.Fatalf("one agent has done %v", o.Done)
		}
	}
	if d := cmp.Diff([]teardown.Op{teardown.Offline, teardown.DeleteSCSI}, done); d != "" || state != teardown.Clean {
		t.Errorf("ends %v; done (-want +got):\n%s", state, d)
	}
	after := files(t, w.config)
	for name, text := range before {
		if got, ok := after[name]; strings.HasPrefix(name, "var/lib/") && (!ok || got != text) {
			t.Errorf("%s is %q by now", name, got)
		}
	}
}

// What is waited for may come again, and not for ever.
func TestAgain(t *testing.T) {
	wait, cut, queue := teardown.Step{Op: teardown.Wait}, teardown.Step{Op: teardown.Offline}, teardown.Step{Op: teardown.FailQueue}
	for name, tt := range map[string]struct {
		o    Outcome
		want bool
	}{
		"first":        {Outcome{Stuck: cut, Done: []teardown.Step{wait}}, false},
		"second":       {Outcome{Stuck: cut, Done: []teardown.Step{cut}}, true},
		"second wait":  {Outcome{Stuck: wait, Done: []teardown.Step{wait}}, false},
		"queues again": {Outcome{Stuck: queue, Done: []teardown.Step{queue}}, false},
		"sixth wait":   {Outcome{Stuck: wait, Done: slices.Repeat([]teardown.Step{wait}, 5)}, true},
	} {
		if got := tt.o.again(); got != tt.want {
			t.Errorf("%s: again() = %v", name, got)
		}
	}
}

// What a look must show for each operation.
func TestDone(t *testing.T) {
	map0 := teardown.Number{Major: 253}
	inv := teardown.Inventory{
		Devices: []teardown.Device{
			{Number: sdb, Name: "sdb", Session: "7", InFlight: 1},
			{Number: map0, Name: "dm-0", Map: "mpatha", Queueing: true},
			{Number: teardown.Number{Major: 259}, Name: "nvme0n1", NQN: nqn},
		},
		Sessions:  []teardown.Session{{ID: "7", Target: iqn}},
		Records:   []teardown.Record{{Target: iqn, Portal: "a:1", Interface: "default", Startup: "automatic"}},
		Mounts:    []teardown.Mount{{ID: 60, Namespace: 5, ShutDown: true}, {ID: 61, Namespace: 5}},
		Pods:      []teardown.Pod{{Cgroup: "p", Processes: 2, Frozen: true}, {Cgroup: "q", Processes: 1}, {Cgroup: "r"}},
		Processes: []teardown.Process{{PID: 9, Name: "app", Stuck: true}},
		Clients:   []teardown.Client{{Cluster: "f", ID: 3}}, ClientsKnown: true,
	}
	blind := inv
	blind.ClientsKnown = false
	tests := []struct {
		name string
		step teardown.Step
		inv  teardown.Inventory
		want bool
	}{
		{"Offline", teardown.Step{Op: teardown.Offline, Device: sdb, Name: "sdb"}, inv, false},
		{"a disk under another name", teardown.Step{Op: teardown.Offline, Device: sdb, Name: "sdx"}, inv, true},
		{"DeleteSCSI", teardown.Step{Op: teardown.DeleteSCSI, Device: sdb, Name: "sdb"}, inv, false},
		{"FailQueue", teardown.Step{Op: teardown.FailQueue, Device: map0, Name: "dm-0", Map: "mpatha"}, inv, false},
		{"another map", teardown.Step{Op: teardown.FlushMultipath, Device: map0, Name: "dm-0", Map: "mpathb"}, inv, true},
		{"Disconnect", teardown.Step{Op: teardown.Disconnect, NQN: nqn}, inv, false},
		{"disconnected", teardown.Step{Op: teardown.Disconnect, NQN: "nqn.x"}, inv, true},
		{"SetManual", teardown.Step{Op: teardown.SetManual, Target: iqn, Portal: "a:1", Interface: "default"}, inv, false},
		{"set manual", teardown.Step{Op: teardown.SetManual, Target: iqn, Portal: "a:1", Interface: "x"}, inv, true},
		{"Logout", teardown.Step{Op: teardown.Logout, Session: "7"}, inv, false},
		{"logged out", teardown.Step{Op: teardown.Logout, Session: "8"}, inv, true},
		{"logged out with devices left", teardown.Step{Op: teardown.Logout, Session: "7"}, teardown.Inventory{Devices: inv.Devices}, false},
		{"Unmount", teardown.Step{Op: teardown.Unmount, Mount: 60, Namespace: 5}, inv, false},
		{"unmounted", teardown.Step{Op: teardown.Unmount, Mount: 60, Namespace: 6}, inv, true},
		{"ShutDown", teardown.Step{Op: teardown.ShutDown, Mount: 61, Namespace: 5}, inv, false},
		{"shut down", teardown.Step{Op: teardown.ShutDown, Mount: 60, Namespace: 5}, inv, true},
		{"Freeze", teardown.Step{Op: teardown.Freeze, Cgroup: "q"}, inv, false},
		{"frozen", teardown.Step{Op: teardown.Freeze, Cgroup: "p"}, inv, true},
		{"Kill", teardown.Step{Op: teardown.Kill, Cgroup: "p"}, inv, false},
		{"killed", teardown.Step{Op: teardown.Kill, Cgroup: "r"}, inv, true},
		{"Wait for a process", teardown.Step{Op: teardown.Wait, PID: 9, Name: "app"}, inv, false},
		{"another process by now", teardown.Step{Op: teardown.Wait, PID: 9, Name: "sh"}, inv, true},
		{"Wait for a client", teardown.Step{Op: teardown.Wait, Client: teardown.Client{Cluster: "f", ID: 3}}, inv, false},
		{"a client that is gone", teardown.Step{Op: teardown.Wait, Client: teardown.Client{Cluster: "f", ID: 4}}, inv, true},
		{"clients that cannot be seen", teardown.Step{Op: teardown.Wait, Client: teardown.Client{Cluster: "f", ID: 4}}, blind, false},
		{"Wait for requests", teardown.Step{Op: teardown.Wait, Device: sdb, Name: "sdb"}, inv, false},
		{"Attest", teardown.Step{Op: teardown.Attest}, inv, false},
		{"nothing", teardown.Step{}, inv, false},
	}
	for _, tt := range tests {
		if got := done(tt.step, tt.inv); got != tt.want {
			t.Errorf("%s: done() = %v", tt.name, got)
		}
	}
	unread := teardown.Step{Op: teardown.Offline, Device: sdb, Name: "gone"}
	inv.Unknown = []teardown.Unknown{{Device: map0, What: "x", Why: "y"}}
	if !done(unread, inv) {
		t.Error("what is unknown of another device hides the proof")
	}
	inv.Unknown[0].Device = sdb
	if done(unread, inv) {
		t.Error("what is unknown of the device counts as proof")
	}
}

func TestMultipathdAnswers(t *testing.T) {
	frame := func(text string) []byte {
		return append(binary.NativeEndian.AppendUint64(nil, uint64(len(text)+1)), text+"\x00"...)
	}
	for name, tt := range map[string]struct {
		answer []byte
		err    string
	}{
		"ok":       {frame("ok\n"), ""},
		"fail":     {frame("fail\n"), `does not del map mpatha: "fail"`},
		"early":    {frame("ok\n")[:9], "unexpected EOF"},
		"nothing":  {nil, "EOF"},
		"too long": {binary.NativeEndian.AppendUint64(nil, 1<<40), "1099511627776 bytes"},
	} {
		ours, its := net.Pipe()
		got := make(chan string, 1)
		go func() {
			request := make([]byte, 8+len("del map mpatha")+1)
			_, err := io.ReadFull(its, request)
			if err == nil {
				_, err = its.Write(tt.answer)
			}
			if err := errors.Join(err, its.Close()); err != nil {
				got <- err.Error()
				return
			}
			got <- string(request)
		}()
		err := converse(ours, "del map mpatha", patient)
		if err := ours.Close(); err != nil {
			t.Error(err)
		}
		if request := <-got; request != string(frame("del map mpatha")) {
			t.Errorf("%s: request %q", name, request)
		}
		if (tt.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: converse() = %v, want %q", name, err, tt.err)
		}
	}
	ours, its := net.Pipe()
	defer its.Close()
	if err := converse(ours, "del map x", 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("converse() with nobody = %v", err)
	}
	if err := converse(ours, "del map a\x00b", patient); err == nil || !strings.Contains(err.Error(), "no command") {
		t.Errorf("converse() = %v", err)
	}
}

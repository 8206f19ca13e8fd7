package systemd

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
)

func holder() Service {
	return Service{
		Name: unitName, Description: "Picket's watchdog holder", Exec: []string{"/var/lib/picket/picket-holder", "--config", "/run/picket/holder.json"},
		Bind: Bind{From: "/dev/watchdog1", To: "/dev/watchdog"}, Priority: 1, Descriptors: 1,
	}
}

func TestNobodyListens(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "private")
	if _, err := Dial(t.Context(), socket); !errors.Is(err, ErrAbsent) {
		t.Errorf("no manager: %v, want ErrAbsent", err)
	}
	if _, err := DialLogin(t.Context(), socket); !errors.Is(err, ErrAbsent) {
		t.Errorf("no bus: %v, want ErrAbsent", err)
	}
}

func TestServiceStartsAndStops(t *testing.T) {
	s, m := newStandIn(t)
	ctx := limited(t)
	if state, err := m.Inspect(ctx, unitName); err != nil || state.Running() {
		t.Fatalf("before the start: %+v, %v", state, err)
	}
	if err := m.Start(ctx, holder()); err != nil {
		t.Fatal(err)
	}
	if started := s.told(); len(started) != len(wire()) {
		t.Errorf("started with %v, want all of %v", started, wire())
	} else if started["SendSIGKILL"].Value() != false {
		t.Error("a service that has reasons to stay is killed")
	}
	state, err := m.Inspect(ctx, unitName)
	if d := cmp.Diff(State{Active: "active", Sub: "running", PID: 4711, Stored: 1}, state); d != "" || err != nil || !state.Running() {
		t.Errorf("after the start: %v\n%s", err, d)
	}
	if err := errors.Join(m.Stop(ctx, unitName), m.Stop(ctx, unitName)); err != nil {
		t.Errorf("stop it twice: %v", err)
	}
	if d := cmp.Diff([]string{"start " + unitName, "stop " + unitName}, s.heard()); d != "" {
		t.Error(d)
	}
}

func TestOlderSystemds(t *testing.T) {
	for name, tt := range map[string]struct {
		unknown []string
		kernel  bool // without real time for services
		want    string
		calls   []string
	}{
		"before 254":                 {unknown: []string{"FileDescriptorStorePreserve"}, calls: []string{"start " + unitName}},
		"without what is needed":     {unknown: []string{"FileDescriptorStoreMax"}, want: "FileDescriptorStoreMax"},
		"no real time for the group": {kernel: true, calls: []string{"start " + unitName, "stop " + unitName, "start " + unitName}},
	} {
		t.Run(name, func(t *testing.T) {
			s, m := newStandIn(t)
			s.change(func() {
				for _, p := range tt.unknown {
					delete(s.known, p)
				}
				s.noRealTime = tt.kernel
			})
			err := m.Start(limited(t), holder())
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want one that says %q", err, tt.want)
			}
			if d := cmp.Diff(tt.calls, s.heard()); d != "" {
				t.Error(d)
			}
		})
	}
}

// A service that does not come up is stopped, and the error says what to do.
func TestAFailedStartLeavesNothing(t *testing.T) {
	s, m := newStandIn(t)
	s.change(func() { s.result, s.status = "failed", exitExec })
	err := m.Start(limited(t), holder())
	if err == nil || !strings.Contains(err.Error(), "noexec") {
		t.Errorf("error %v, want the remedy", err)
	}
	if d := cmp.Diff([]string{"start " + unitName, "stop " + unitName}, s.heard()); d != "" {
		t.Error(d)
	}
}

// place gives the stand-in a drop-in; nil: none.
func (s *standIn) place(t *testing.T, d *DropIn) {
	t.Helper()
	path := filepath.Join(s.root, DropInPath)
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if d == nil {
		err = errors.Join(err, os.Remove(path))
	} else {
		err = errors.Join(err, os.WriteFile(path, []byte(d.Text()), 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// P1: in every systemd the drop-in counts, also against what somebody has set
// over D-Bus before, and the administrator's own values come back without it.
func TestTheDropInCountsWhileItIsThere(t *testing.T) {
	own := Watchdogs{Runtime: 30 * time.Second, Reboot: 10 * time.Minute, KExec: time.Minute}
	for name, late := range map[string]bool{"systemd 252": false, "systemd 255": true} {
		for when, before := range map[string]func(*standIn){
			"as configured": func(*standIn) {},
			"overridden": func(s *standIn) {
				for _, p := range []string{runtimeWatchdog, rebootWatchdog, kexecWatchdog} {
					_ = s.set("", p, dbus.MakeVariant(uint64(5_000_000)))
				}
			},
		} {
			t.Run(name+" "+when, func(t *testing.T) {
				s, m := newStandIn(t)
				ctx := limited(t)
				s.late = late
				before(s)
				d := DropIn{Taken: "watchdog0"}
				s.place(t, &d)
				if now, err := m.Apply(ctx, d); err != nil || now != (Watchdogs{}) || !d.Obeyed(now) {
					t.Errorf("taken over: %+v, %v", now, err)
				}
				d.Taken = ""
				s.place(t, &d)
				now, err := m.Apply(ctx, d)
				if err != nil || now != (Watchdogs{Runtime: own.Runtime}) || !d.Obeyed(now) {
					t.Errorf("given back: %+v, %v", now, err)
				}
				s.place(t, nil)
				if now, err = m.Watchdogs(ctx); err != nil || now.Reboot != 0 {
					t.Errorf("before it is told: %+v, %v", now, err)
				}
				if err := m.Reload(ctx); err != nil {
					t.Fatal(err)
				}
				if now, err = m.Watchdogs(ctx); err != nil || now != own {
					t.Errorf("without a drop-in: %+v, %v; want %+v", now, err, own)
				}
			})
		}
	}
}

// A stance that leaves systemd its watchdog leaves it what somebody set, too.
func TestApplyLeavesTheRest(t *testing.T) {
	s, m := newStandIn(t)
	_ = s.set("", runtimeWatchdog, dbus.MakeVariant(uint64(20_000_000)))
	if now, err := m.Apply(limited(t), DropIn{}); err != nil || now.Runtime != 20*time.Second || (DropIn{}).Obeyed(now) {
		t.Errorf("%+v, %v; want what systemd has without a drop-in", now, err)
	}
}

func TestWatchdogsOfOtherManagers(t *testing.T) {
	s, m := newStandIn(t)
	ctx := limited(t)
	s.change(func() {
		s.properties[runtimeWatchdog] = dbus.MakeVariant(uint64(math.MaxUint64))
		s.properties[shutdownWatchdog] = s.properties[rebootWatchdog]
		delete(s.properties, rebootWatchdog)
		delete(s.properties, kexecWatchdog)
	})
	want := Watchdogs{Runtime: DeviceDefault, Reboot: 10 * time.Minute}
	if now, err := m.Watchdogs(ctx); err != nil || now != want {
		t.Errorf("%+v, %v; want %+v", now, err, want)
	}
	s.change(func() { delete(s.properties, shutdownWatchdog) })
	if now, err := m.Watchdogs(ctx); err == nil {
		t.Errorf("a manager that tells nothing has %+v", now)
	}
}

func TestDropInText(t *testing.T) {
	if d := ParseDropIn("[Manager]\nRuntimeWatchdogSec=0\n"); d != (DropIn{}) {
		t.Errorf("a file of somebody else's was read as %+v", d)
	}
	for _, d := range []DropIn{{}, {Taken: "watchdog0"}} {
		if back := ParseDropIn(d.Text()); back != d {
			t.Errorf("%+v came back as %+v", d, back)
		}
	}
}

func TestStopping(t *testing.T) {
	s, m := newStandIn(t)
	ctx := limited(t)
	if stopping, err := m.Stopping(ctx); stopping || err != nil {
		t.Errorf("a running system: %v, %v", stopping, err)
	}
	s.change(func() { s.properties["SystemState"] = dbus.MakeVariant("stopping") })
	if stopping, err := m.Stopping(ctx); !stopping || err != nil {
		t.Errorf("a stopping system: %v, %v", stopping, err)
	}
}

func TestLoadModule(t *testing.T) {
	_, m := newStandIn(t)
	if err := m.LoadModule(limited(t), "softdog"); err != nil {
		t.Error(err)
	}
	if err := m.LoadModule(limited(t), "nodog"); err == nil || !strings.Contains(err.Error(), "systemctl status modprobe@nodog.service") {
		t.Errorf("error %v, want the remedy", err)
	}
}

// A manager that does not answer costs what its caller has patience for.
func TestASilentManager(t *testing.T) {
	s, m := newStandIn(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := m.Watchdogs(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the deadline", err)
	}
}

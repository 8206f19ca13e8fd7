package systemd

import (
	"context"
	"errors"
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

func TestWatchdogProperties(t *testing.T) {
	s, m := newStandIn(t)
	ctx := limited(t)
	runtime, err1 := m.RuntimeWatchdog(ctx)
	final, err2 := m.FinalWatchdog(ctx)
	want := Final{Reboot: 10 * time.Minute, KExec: time.Minute}
	if err := errors.Join(err1, err2); err != nil || runtime != 30*time.Second || final != want {
		t.Errorf("%v, %v, %v", runtime, final, err)
	}
	if err := errors.Join(m.SetRuntimeWatchdog(ctx, 0), m.SetFinalWatchdog(ctx, Final{})); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"RuntimeWatchdogUSec", "RebootWatchdogUSec", "KExecWatchdogUSec"} {
		if got, _ := s.get("", name); got.Value() != uint64(0) {
			t.Errorf("%s is %v", name, got)
		}
	}
	if err := m.SetRuntimeWatchdog(ctx, DeviceDefault); err != nil {
		t.Fatal(err)
	}
	if back, err := m.RuntimeWatchdog(ctx); err != nil || back != DeviceDefault {
		t.Errorf("the device's own timeout came back as %v, %v", back, err)
	}
}

func TestWatchdogPropertiesOfAnOldManager(t *testing.T) {
	s, m := newStandIn(t)
	ctx := limited(t)
	s.change(func() {
		s.properties["ShutdownWatchdogUSec"] = s.properties["RebootWatchdogUSec"]
		delete(s.properties, "RebootWatchdogUSec")
		delete(s.properties, "KExecWatchdogUSec")
	})
	final, err := m.FinalWatchdog(ctx)
	if err := errors.Join(err, m.SetFinalWatchdog(ctx, Final{Reboot: time.Minute})); err != nil || final != (Final{Reboot: 10 * time.Minute}) {
		t.Errorf("%v, %v", final, err)
	}
	if got, _ := s.get("", "ShutdownWatchdogUSec"); got.Value() != uint64(60_000_000) {
		t.Errorf("set to %v", got)
	}
	s.change(func() { delete(s.properties, "ShutdownWatchdogUSec") })
	if final, err := m.FinalWatchdog(ctx); err == nil {
		t.Errorf("a manager that tells nothing has %v", final)
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
	if _, err := m.RuntimeWatchdog(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the deadline", err)
	}
}

package systemd

import (
	"slices"
	"strings"
	"sync"
	"testing"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
)

// installStandIn plays the part of systemd's manager that keeps unit files.
type installStandIn struct {
	mu      sync.Mutex
	states  map[string]string // the LoadState of the units that it has
	files   []string          // the unit files that it finds
	enabled []string
	reloads int
	stops   []string
	refuses string // the error by which it stops nothing; empty: there is nothing to stop
}

func newInstallStandIn(t *testing.T) (*installStandIn, *Manager) {
	t.Helper()
	socket := startBus(t)
	s := &installStandIn{states: make(map[string]string)}
	err := serve(t, socket, managerName).ExportMethodTable(map[string]any{
		"ListUnitsByNames": s.list, "EnableUnitFiles": s.enable, "DisableUnitFiles": s.disable, "Reload": s.reload,
		"StopUnit": s.stop,
	}, managerPath, managerInterface)
	if err != nil {
		t.Fatal(err)
	}
	m, err := newManager(limited(t), shared(socket))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return s, m
}

func (s *installStandIn) list(names []string) ([]sd.UnitStatus, *dbus.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []sd.UnitStatus
	for _, name := range names {
		state, ok := s.states[name]
		if !ok {
			state = "not-found"
		}
		all = append(all, sd.UnitStatus{Name: name, LoadState: state, ActiveState: "inactive", Path: "/unit", JobPath: "/"})
	}
	return all, nil
}

// stop knows of no unit that runs, unless it refuses.
func (s *installStandIn) stop(name, _ string) (dbus.ObjectPath, *dbus.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stops = append(s.stops, name)
	why := unknownUnit
	if s.refuses != "" {
		why = s.refuses
	}
	return "/", dbus.NewError(why, []any{"Unit " + name + " is not stopped."})
}

type change struct{ Type, From, To string }

func (s *installStandIn) enable(files []string, runtime, force bool) (bool, []change, *dbus.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if runtime || !force || len(files) != 1 || !slices.Contains(s.files, files[0]) {
		return false, nil, dbus.NewError(unknownUnit, []any{"Unit file does not exist."})
	}
	if slices.Contains(s.enabled, files[0]) {
		return true, []change{}, nil
	}
	s.enabled = append(s.enabled, files[0])
	return true, []change{{"symlink", "/etc/systemd/system/kubelet.service.wants/x.service", files[0]}}, nil
}

func (s *installStandIn) disable(files []string, runtime bool) ([]change, *dbus.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.enabled, func(e string) bool { return strings.HasSuffix(e, files[0]) })
	switch {
	case runtime || len(files) != 1:
		return nil, dbus.NewError("org.freedesktop.DBus.Error.InvalidArgs", nil)
	case i < 0:
		return []change{}, nil
	}
	s.enabled = slices.Delete(s.enabled, i, i+1)
	return []change{{"unlink", "/etc/systemd/system/kubelet.service.wants/x.service", ""}}, nil
}

func (s *installStandIn) reload() *dbus.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reloads++
	return nil
}

func TestLoadedNamesWhatTheHostHas(t *testing.T) {
	s, m := newInstallStandIn(t)
	s.mu.Lock()
	s.states = map[string]string{"kubelet.service": "loaded", "k3s.service": "masked", "rke2-agent.service": "bad-setting"}
	s.mu.Unlock()
	got, err := m.Loaded(limited(t), []string{"k3s.service", "kubelet.service", "rke2-agent.service", "rke2-server.service"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"kubelet.service"}, got); diff != "" {
		t.Errorf("loaded (-want +got):\n%s", diff)
	}
}

// A reload costs a busy host much: it happens only when there is something to
// read anew.
func TestEnableReloadsOnlyForAChange(t *testing.T) {
	s, m := newInstallStandIn(t)
	const file = "/var/lib/picket/x.service"
	if err := m.Enable(limited(t), file, true); err == nil || !strings.Contains(err.Error(), "enable "+file) {
		t.Errorf("a file that is not there: %v", err)
	}
	s.mu.Lock()
	s.files = []string{file}
	s.mu.Unlock()
	for i, step := range []struct {
		what    string
		do      func() error
		reloads int
		enabled []string
	}{
		{"first", func() error { return m.Enable(limited(t), file, true) }, 1, []string{file}},
		{"again", func() error { return m.Enable(limited(t), file, false) }, 1, []string{file}},
		{"changed", func() error { return m.Enable(limited(t), file, true) }, 2, []string{file}},
		{"disabled", func() error { return m.Disable(limited(t), "x.service") }, 3, []string{}},
		{"disabled again", func() error { return m.Disable(limited(t), "x.service") }, 3, []string{}},
		{"somebody disabled it", func() error { return m.Enable(limited(t), file, false) }, 4, []string{file}},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%d %s: %v", i, step.what, err)
		}
		s.mu.Lock()
		if s.reloads != step.reloads || !slices.Equal(s.enabled, step.enabled) {
			t.Errorf("%s: %d reloads, enabled %v; want %d, %v", step.what, s.reloads, s.enabled, step.reloads, step.enabled)
		}
		s.mu.Unlock()
	}
	s.mu.Lock()
	if want := []string{"x.service", "x.service"}; !slices.Equal(s.stops, want) {
		t.Errorf("stopped %v, want %v", s.stops, want)
	}
	s.refuses = "org.freedesktop.systemd1.TransactionIsDestructive"
	s.mu.Unlock()
	if err := m.Disable(limited(t), "x.service"); err == nil || !strings.Contains(err.Error(), "stop x.service") {
		t.Errorf("a host that shuts down stops nothing: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.enabled) > 0 {
		t.Error("what could not be stopped is part of the next boots")
	}
}

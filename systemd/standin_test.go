package systemd

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startBus starts a D-Bus daemon of the test's own and returns its socket.
func startBus(t *testing.T) string {
	t.Helper()
	binary, err := exec.LookPath("dbus-daemon")
	if err != nil {
		t.Skip("no dbus-daemon here: apt-get install dbus")
	}
	dir, err := os.MkdirTemp("", "bus") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "bus")
	config := filepath.Join(dir, "bus.conf")
	text := fmt.Sprintf(`<busconfig><type>session</type><listen>unix:path=%s</listen>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy></busconfig>`, socket)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	daemon := exec.Command(binary, "--nofork", "--print-address", "--config-file="+config)
	daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := daemon.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = daemon.Process.Kill()
		_ = daemon.Wait()
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the bus gives no address: %v", err)
	}
	return socket
}

// limited bounds what a test does on a bus.
func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// serve returns a connection that owns the name on the bus.
func serve(t *testing.T, socket, name string) *dbus.Conn {
	t.Helper()
	conn, err := shared(socket)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if r, err := conn.RequestName(name, dbus.NameFlagDoNotQueue); err != nil || r != dbus.RequestNameReplyPrimaryOwner {
		t.Fatalf("own %s: %v, %v", name, r, err)
	}
	return conn
}

const unitName = "picket-holder.service"

// standIn plays systemd's manager, as far as this package talks to it. It takes
// what real ones take, by name and D-Bus type; the lab runs a real one.
type standIn struct {
	conn *dbus.Conn

	root string // the host's, with the manager's drop-ins
	late bool   // an override of 0 is one, as since systemd 255

	mu         sync.Mutex
	jobs       int
	calls      []string
	properties map[string]dbus.Variant
	configured map[string]uint64 // what the administrator has for its watchdogs
	files      map[string]uint64 // what it has read of that and of the drop-ins
	overridden map[string]uint64 // what somebody said over D-Bus
	known      map[string]string // the properties of services that it knows, and their types
	unit       map[string]dbus.Variant
	started    map[string]dbus.Variant // what the service was started with
	noRealTime bool
	result     string // how the next start ends, if not well
	status     int32
}

// wire are the D-Bus types that systemd 254 wants.
func wire() map[string]string {
	return map[string]string{
		"Description": "s", "DefaultDependencies": "b", "IgnoreOnIsolate": "b", "CollectMode": "s",
		"StartLimitIntervalUSec": "t", "Type": "s", "NotifyAccess": "s", "Restart": "s", "RestartUSec": "t",
		"TimeoutStartUSec": "t", "TimeoutStopUSec": "t", "SendSIGKILL": "b", "FileDescriptorStoreMax": "u",
		"FileDescriptorStorePreserve": "s", "OOMScoreAdjust": "i", "LimitMEMLOCK": "t",
		"CPUSchedulingPolicy": "i", "CPUSchedulingPriority": "i", "BindPaths": "a(ssbt)", "ExecStart": "a(sasb)",
	}
}

// newStandIn returns a stand-in and a Manager that talks to it.
func newStandIn(t *testing.T) (*standIn, *Manager) {
	t.Helper()
	socket := startBus(t)
	s := &standIn{
		conn: serve(t, socket, managerName), root: t.TempDir(), known: wire(), overridden: make(map[string]uint64),
		properties: map[string]dbus.Variant{"SystemState": dbus.MakeVariant("running")},
		configured: map[string]uint64{
			"RuntimeWatchdogUSec": 30_000_000, "RebootWatchdogUSec": 600_000_000, "KExecWatchdogUSec": 60_000_000,
		},
	}
	s.read()
	unit := dbus.ObjectPath("/org/freedesktop/systemd1/unit/" + sd.PathBusEscape(unitName))
	for path, methods := range map[dbus.ObjectPath]map[string]any{
		managerPath: {
			"Get": s.get, "Set": s.set, "Reload": s.reload, "ResetFailedUnit": s.resetFailed,
			"StartTransientUnit": s.startTransient, "StartUnit": s.startUnit, "StopUnit": s.stopUnit,
		},
		unit: {"GetAll": s.getAll},
	} {
		for _, iface := range []string{managerInterface, "org.freedesktop.DBus.Properties"} {
			if err := s.conn.ExportMethodTable(methods, path, iface); err != nil {
				t.Fatal(err)
			}
		}
	}
	m, err := newManager(limited(t), shared(socket))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return s, m
}

// change changes what the stand-in is like.
func (s *standIn) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// told returns what the service was last started with.
func (s *standIn) told() map[string]dbus.Variant {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.started)
}

// heard returns the jobs so far.
func (s *standIn) heard() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

func (s *standIn) get(_, name string) (dbus.Variant, *dbus.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.properties[name]
	if !ok {
		return v, dbus.NewError(unknownProperty, []any{"Unknown property " + name})
	}
	return v, nil
}

func (s *standIn) set(_, name string, v dbus.Variant) *dbus.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.properties[name]
	if !ok {
		return dbus.NewError(unknownProperty, []any{"Unknown property " + name})
	}
	if old.Signature() != v.Signature() {
		return dbus.NewError("org.freedesktop.DBus.Error.InvalidArgs", []any{"wrong type " + v.Signature().String()})
	}
	if usec, ok := v.Value().(uint64); ok {
		s.overridden[name] = usec
		s.show()
	}
	return nil
}

func (s *standIn) reload() *dbus.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, "reload")
	s.read()
	return nil
}

// read reads the manager's configuration, which shows unless it is overridden.
func (s *standIn) read() {
	s.files = maps.Clone(s.configured)
	text, _ := os.ReadFile(filepath.Join(s.root, DropInPath))
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		name := strings.TrimSuffix(key, "Sec") + "USec"
		if _, known := s.configured[name]; !ok || !known || strings.HasPrefix(key, "#") {
			continue
		}
		var seconds uint64
		if _, err := fmt.Sscan(value, &seconds); err == nil {
			s.files[name] = seconds * 1_000_000
		}
	}
	s.show()
}

// show makes the properties what they are: what was set over D-Bus counts unless
// it is infinite, and before systemd 255 unless it is 0.
func (s *standIn) show() {
	for name, usec := range s.files {
		if o, ok := s.overridden[name]; ok && o != math.MaxUint64 && (o != 0 || s.late) {
			usec = o
		}
		s.properties[name] = dbus.MakeVariant(usec)
	}
}

func (s *standIn) getAll(_ string) (map[string]dbus.Variant, *dbus.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unit == nil {
		return map[string]dbus.Variant{"LoadState": dbus.MakeVariant("not-found"), "ActiveState": dbus.MakeVariant("inactive")}, nil
	}
	return maps.Clone(s.unit), nil
}

func (s *standIn) resetFailed(string) *dbus.Error {
	return dbus.NewError(unknownUnit, []any{"not loaded"})
}

func (s *standIn) startTransient(name, _ string, properties []sd.Property, _ []sd.PropertyCollection) (dbus.ObjectPath, *dbus.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = make(map[string]dbus.Variant)
	for _, p := range properties {
		want, ok := s.known[p.Name]
		if !ok {
			return "", dbus.NewError(refusedProperty, []any{fmt.Sprintf("Cannot set property %s, or unknown property.", p.Name)})
		}
		if got := p.Value.Signature().String(); got != want {
			return "", dbus.NewError("org.freedesktop.DBus.Error.InvalidArgs", []any{fmt.Sprintf("%s has type %s, want %s", p.Name, got, want)})
		}
		s.started[p.Name] = p.Value
	}
	result, status := s.result, s.status
	if _, realTime := s.started["CPUSchedulingPolicy"]; realTime && s.noRealTime {
		result, status = "failed", exitScheduler
	}
	s.unit = map[string]dbus.Variant{
		"LoadState": dbus.MakeVariant("loaded"), "ActiveState": dbus.MakeVariant("active"), "SubState": dbus.MakeVariant("running"),
		"MainPID": dbus.MakeVariant(uint32(4711)), "ExecMainStatus": dbus.MakeVariant(status), "NFileDescriptorStore": dbus.MakeVariant(uint32(1)),
	}
	if result == "" {
		result = jobDone
	} else {
		s.unit["ActiveState"], s.unit["SubState"] = dbus.MakeVariant("activating"), dbus.MakeVariant("auto-restart")
	}
	return s.job("start "+name, result), nil
}

func (s *standIn) startUnit(name, _ string) (dbus.ObjectPath, *dbus.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !strings.HasPrefix(name, "modprobe@") {
		return "", dbus.NewError(unknownUnit, []any{"Unit " + name + " not found."})
	}
	result := jobDone
	if name != "modprobe@softdog.service" {
		result = "failed"
	}
	return s.job("load "+name, result), nil
}

func (s *standIn) stopUnit(name, _ string) (dbus.ObjectPath, *dbus.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unit == nil {
		return "", dbus.NewError(unknownUnit, []any{"Unit " + name + " not loaded."})
	}
	s.unit = nil
	return s.job("stop "+name, jobDone), nil
}

// job ends a job before its caller hears of it, as a quick manager may.
func (s *standIn) job(what, result string) dbus.ObjectPath {
	s.jobs++
	s.calls = append(s.calls, what)
	path := dbus.ObjectPath(fmt.Sprintf("/org/freedesktop/systemd1/job/%d", s.jobs))
	_ = s.conn.Emit(managerPath, managerInterface+".JobRemoved", uint32(s.jobs), path, unitName, result)
	return path
}

package launch

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/agent/internal/hold"
	"github.com/picket-dev/picket/agent/internal/watchdog"
	"github.com/picket-dev/picket/proto/timing"
	"github.com/picket-dev/picket/systemd"
)

// launch brings the holder up and fails the test where that fails.
func (s *site) launch(w Want, device string) {
	s.t.Helper()
	got, err := s.ensure(s.t.Context(), w)
	if err != nil || got != device {
		s.t.Fatalf("launched on %q, %v; want %q", got, err, device)
	}
}

// did compares what systemd was told so far.
func (s *site) did(calls ...string) {
	s.t.Helper()
	if d := cmp.Diff(calls, s.calls); d != "" {
		s.t.Errorf("systemd was told (-want +got):\n%s", d)
	}
}

func TestLaunchAsAService(t *testing.T) {
	s := newSite(t)
	s.launch(want(), "watchdog0")
	if s.read("var/lib/picket/picket-holder") != "version 1" {
		t.Error("the host has another binary")
	}
	if info, err := os.Stat(s.path("var/lib/picket/picket-holder")); err != nil || info.Mode() != 0o755 {
		t.Errorf("the host's binary is %v, %v", info.Mode(), err)
	}
	c := hold.Default()
	if err := hold.Decode([]byte(s.read("run/picket/holder.json")), &c); err != nil {
		t.Fatal(err)
	}
	wantConfig := hold.Default()
	wantConfig.Device, wantConfig.Sysrq, wantConfig.Outlives = "/dev/watchdog", "/nowhere/sysrq", true
	wantConfig.Marker, wantConfig.Socket = "/run/picket/marker", "/run/picket/holder.sock"
	if d := cmp.Diff(wantConfig, c); d != "" {
		t.Errorf("configuration (-want +got):\n%s", d)
	}
	wantService := systemd.Service{
		Name: "picket-holder.service", Description: "Picket's watchdog holder", Priority: 1, Descriptors: 1,
		Exec: []string{"/var/lib/picket/picket-holder", "--config", "/run/picket/holder.json"},
		Bind: systemd.Bind{From: "/dev/watchdog0", To: "/dev/watchdog"},
	}
	if d := cmp.Diff(wantService, *s.service); d != "" {
		t.Errorf("service (-want +got):\n%s", d)
	}
	s.launch(want(), "watchdog0")
	s.launcher(s.cfg, s.paths.Config).ensureIs(t, "watchdog0") // a restarted agent
	s.did("start")
}

// ensureIs is launch for another Launcher of the same site.
func (l *Launcher) ensureIs(t *testing.T, device string) {
	t.Helper()
	if got, err := l.ensure(t.Context(), want()); err != nil || got != device {
		t.Errorf("launched on %q, %v; want %q", got, err, device)
	}
}

// The watchdog library knows only /dev/watchdog, which may be anybody's: the
// chosen device is shown to the service under that name.
func TestTheChosenDeviceIsBound(t *testing.T) {
	for name, want := range map[string]systemd.Bind{
		"watchdog0": {From: "/dev/watchdog0", To: "/dev/watchdog"},
		"watchdog1": {From: "/dev/watchdog1", To: "/dev/watchdog"},
		"watchdog":  {},
	} {
		s := newSite(t)
		s.candidates = append(s.candidates, hardware("watchdog"))
		s.launch(Want{Profile: timing.Standard(), Device: name}, name)
		if d := cmp.Diff(want, s.service.Bind); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// A holder that gates is not touched; it is exchanged once the node is unarmed.
func TestAnUpgradeWaitsUntilTheNodeIsUnarmed(t *testing.T) {
	for _, state := range []hold.State{hold.Armed, hold.Coasting, hold.Latched} {
		t.Run(state.String(), func(t *testing.T) {
			s := newSite(t)
			s.launch(want(), "watchdog0")
			s.write("image/picket-holder", "version 2")
			l := s.launcher(s.cfg, s.paths.Config)
			s.state = state
			if device, err := l.ensure(t.Context(), want()); !errors.Is(err, errGating) || device != "watchdog0" {
				t.Errorf("%q, %v; want that it waits", device, err)
			}
			if s.read("var/lib/picket/picket-holder") != "version 1" {
				t.Error("the binary of a holder that gates was replaced")
			}
			s.did("start")
			s.state = hold.Free
			l.ensureIs(t, "watchdog0")
			if s.read("var/lib/picket/picket-holder") != "version 2" {
				t.Error("the old binary is still there")
			}
			s.did("start", "stop", "start")
		})
	}
}

// The holder does not answer, as while systemd restarts it: its marker counts.
func TestAHolderThatDoesNotAnswerIsJudgedByItsMarker(t *testing.T) {
	s := newSite(t)
	s.launch(want(), "watchdog0")
	s.silence()
	s.mark(hold.Armed)
	if _, err := s.ensure(t.Context(), want()); err == nil || !strings.Contains(err.Error(), "journalctl -u picket-holder.service") {
		t.Errorf("error %v, want where to look", err)
	}
	w := want()
	w.Softdog = true
	if _, err := s.ensure(t.Context(), w); !errors.Is(err, errGating) {
		t.Errorf("error %v, want that it waits", err)
	}
	s.did("start")
}

// Whoever stopped the service while its device ran has left a marker that binds
// the next holder: it must have the same device, or the dog of the old one fires.
// That comes first, whatever else is wrong.
func TestAHolderThatIsGoneComesBackWithItsDevice(t *testing.T) {
	for name, tt := range map[string]struct {
		left hold.State
		want func(*site, *Want)
		says string
	}{
		"armed":                  {left: hold.Armed},
		"coasting":               {left: hold.Coasting},
		"another device":         {left: hold.Armed, want: func(_ *site, w *Want) { w.Softdog = true }, says: "gates"},
		"no device":              {left: hold.Armed, want: func(_ *site, w *Want) { w.Device = "watchdog7" }, says: "watchdog7"},
		"no binary in the image": {left: hold.Armed, want: func(s *site, _ *Want) { s.cfg.Binary = s.path("nowhere") }, says: "nowhere"},
		"another binary":         {left: hold.Armed, want: func(s *site, _ *Want) { s.write("image/picket-holder", "version 2") }, says: "gates"},
		"free, another device": {left: hold.Free, says: "nowayout", want: func(s *site, w *Want) {
			w.Softdog, s.candidates[0].Nowayout, s.candidates[0].Active = true, watchdog.Yes, watchdog.Yes
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.launch(want(), "watchdog0")
			s.silence()
			s.service = nil
			s.mark(tt.left)
			w := want()
			if tt.want != nil {
				tt.want(s, &w)
			}
			device, err := s.ensure(t.Context(), w)
			if device != "watchdog0" || tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("%q, %v; want the old device, and an error that says %q", device, err, tt.says)
			}
			if s.service == nil || s.service.Bind.From != "/dev/watchdog0" || s.read("var/lib/picket/picket-holder") != "version 1" {
				t.Errorf("another holder: %+v", s.service)
			}
			s.did("start", "start")
		})
	}
}

// P2: a device that cannot be stopped resets the node when nobody pets it.
func TestANowayoutDeviceKeepsItsHolder(t *testing.T) {
	s := newSite(t)
	s.candidates[0].Nowayout = watchdog.Yes
	s.launch(want(), "watchdog0")
	s.candidates[0].Active, s.state = watchdog.Yes, hold.Free
	w := want()
	w.Softdog = true
	if device, err := s.ensure(t.Context(), w); device != "watchdog0" || err == nil || !strings.Contains(err.Error(), "reboots") {
		t.Errorf("%q, %v; want that it waits for a reboot", device, err)
	}
	s.did("start")
	s.write("image/picket-holder", "version 2") // the same device may have a new holder
	s.launcher(s.cfg, s.paths.Config).ensureIs(t, "watchdog0")
	s.did("start", "stop", "start")
}

// P2: nor may an exchange that fails leave such a device alone.
func TestAFailedExchangeOfANowayoutDevicesHolder(t *testing.T) {
	for name, tt := range map[string]struct {
		fail func(*site)
		did  []string
	}{
		"the host's disk is full": {did: []string{"start"}, fail: func(s *site) {
			s.t.Helper()
			dir := s.path("var/lib/picket")
			if err := os.Rename(dir, dir+".old"); err != nil {
				s.t.Fatal(err)
			}
			s.write("var/lib/picket", "no directory")
		}},
		"the new one does not start": {did: []string{"start", "stop", "start", "stop", "start"}, fail: func(s *site) {
			s.startFails, s.once = errors.New("the host is out of memory"), true
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.candidates[0].Nowayout = watchdog.Yes
			s.launch(want(), "watchdog0")
			s.candidates[0].Active, s.state = watchdog.Yes, hold.Free
			s.mark(hold.Free)
			s.write("image/picket-holder", "version 2")
			tt.fail(s)
			l := s.launcher(s.cfg, s.paths.Config)
			if device, err := l.ensure(t.Context(), want()); device != "watchdog0" || err == nil {
				t.Errorf("%q, %v; want why it was not exchanged", device, err)
			}
			if s.service == nil || s.Peek().State != hold.Free {
				t.Error("nobody pets the device")
			}
			s.did(tt.did...)
		})
	}
}

// Nobody knows what a holder does that neither answers nor has left a word.
func TestAHolderWithACorruptMarkerIsLeftAlone(t *testing.T) {
	s := newSite(t)
	s.launch(want(), "watchdog0")
	s.silence()
	s.write("run/picket/marker", "nonsense")
	w := want()
	w.Softdog = true
	if _, err := s.ensure(t.Context(), w); !errors.Is(err, errGating) {
		t.Errorf("error %v, want that it waits", err)
	}
	if err := s.Remove(t.Context()); err == nil {
		t.Error("it was removed")
	}
	s.did("start")
	s.service = nil // now it is gone, and its marker binds nobody
	s.launch(w, "watchdog1")
}

func TestAHolderOfSomebodyElseIsLeftAlone(t *testing.T) {
	s := newSite(t)
	if err := os.MkdirAll(s.path("run/picket"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.state = hold.Idle
	s.answer()
	s.launch(want(), "")
	s.did()
}

func TestTakeOverAndGiveBack(t *testing.T) {
	s := newSite(t)
	s.candidates[0] = heldByInit(s.candidates[0])
	s.has(systemd.Watchdogs{Runtime: 30 * time.Second})
	w := want()
	s.launch(w, "watchdog1") // Cooperate
	s.state = hold.Free
	w.Systemd = watchdog.TakeOver
	s.launch(w, "watchdog0")
	s.candidates[0] = hardware("watchdog0") // systemd has given it up
	s.did("start", "stop", "read 0s 0s 0s", "start")
	s.state = hold.Free
	w.Softdog = true
	l := s.launcher(s.cfg, s.paths.Config) // what was taken is not forgotten
	if device, err := l.ensure(t.Context(), w); err != nil || device != "watchdog1" {
		t.Errorf("%q, %v", device, err)
	}
	s.did("start", "stop", "read 0s 0s 0s", "start", "stop", "read 30s 0s 0s", "start")
}

// A dog that was taken and cannot be used would be nobody's.
func TestAFailedStartGivesBack(t *testing.T) {
	s := newSite(t)
	s.candidates = []watchdog.Candidate{heldByInit(hardware("watchdog0"))}
	s.has(systemd.Watchdogs{Runtime: 30 * time.Second})
	s.startFails = errors.New("it cannot be executed")
	w := want()
	w.Systemd = watchdog.TakeOver
	if _, err := s.ensure(t.Context(), w); !errors.Is(err, s.startFails) {
		t.Errorf("error %v", err)
	}
	s.did("read 0s 0s 0s", "start", "stop", "read 30s 0s 0s")
}

// Nor may one that came up too late stay, with its dog given back.
func TestAHolderThatDoesNotAnswerInTimeIsStopped(t *testing.T) {
	s := newSite(t)
	s.candidates, s.mute = []watchdog.Candidate{heldByInit(hardware("watchdog0"))}, true
	s.has(systemd.Watchdogs{Runtime: 30 * time.Second})
	w := want()
	w.Systemd = watchdog.TakeOver
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := s.ensure(ctx, w); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("error %v", err)
	}
	s.mute = false
	s.launch(w, "watchdog0")
	s.did("read 0s 0s 0s", "start", "stop", "read 30s 0s 0s", "read 0s 0s 0s", "start")
}

func TestRemoveGivesBackAndLeavesNothing(t *testing.T) {
	s := newSite(t)
	s.candidates[0] = heldByInit(s.candidates[0])
	s.has(systemd.Watchdogs{Runtime: 30 * time.Second})
	w := want()
	w.Systemd, w.Device = watchdog.TakeOver, "watchdog0"
	s.launch(w, "watchdog0")
	s.state = hold.Armed
	for _, state := range []hold.State{hold.Armed, hold.Testing, hold.Free} {
		s.state = state
		if err := s.Remove(t.Context()); err == nil {
			t.Errorf("a holder that is %v was removed", state)
		}
	}
	s.state = hold.Idle
	if err := s.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"var/lib/picket/picket-holder", "run/picket/holder.json", systemd.DropInPath} {
		if _, err := os.Stat(s.path(name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.did("read 0s 0s 0s", "start", "stop", "read 30s 0s 0s")
}

// What systemd does not obey, and what it cannot be told, is tried again, and
// nobody's dog is used meanwhile.
func TestATakeOverThatSystemdRefuses(t *testing.T) {
	for name, refuse := range map[string]func(*site){
		"it keeps its timeout": func(s *site) { s.obstinate = true },
		"it does not reload":   func(s *site) { s.deaf = errors.New("no space in /run/systemd") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.candidates[0] = heldByInit(s.candidates[0])
			s.has(systemd.Watchdogs{Runtime: 30 * time.Second})
			refuse(s)
			w := want()
			w.Systemd, w.Device = watchdog.TakeOver, "watchdog0"
			if _, err := s.ensure(t.Context(), w); err == nil || !strings.Contains(err.Error(), "RuntimeWatchdogSec=0") || s.service != nil {
				t.Errorf("error %v, service %v; want what to set by hand", err, s.service)
			}
			s.obstinate, s.deaf = false, nil
			s.launch(w, "watchdog0")
		})
	}
}

// A dog that could not be given back is not forgotten.
func TestAGiveBackThatFailsIsTriedAgain(t *testing.T) {
	s := newSite(t)
	s.candidates[0] = heldByInit(s.candidates[0])
	s.has(systemd.Watchdogs{Runtime: 30 * time.Second})
	w := want()
	w.Systemd, w.Device = watchdog.TakeOver, "watchdog0"
	s.launch(w, "watchdog0")
	s.candidates[0], s.state, s.deaf = hardware("watchdog0"), hold.Free, errors.New("no space in /run/systemd")
	w = want()
	w.Softdog = true
	if _, err := s.ensure(t.Context(), w); !errors.Is(err, s.deaf) {
		t.Errorf("error %v", err)
	}
	s.deaf = nil
	s.launch(w, "watchdog1")
	if s.dogs.Runtime != 30*time.Second {
		t.Errorf("systemd pets its dog for %v", s.dogs.Runtime)
	}
}

func TestSoftdogIsLoaded(t *testing.T) {
	s := newSite(t)
	s.candidates = []watchdog.Candidate{heldByInit(hardware("watchdog0"))}
	s.launch(want(), "watchdog9")
	s.did("load softdog", "start")
}

// The error names who has the device, and what to do.
func TestNoDevice(t *testing.T) {
	s := newSite(t)
	s.candidates = []watchdog.Candidate{heldByInit(hardware("watchdog0"))}
	w := want()
	w.Device = "watchdog0"
	_, err := s.ensure(t.Context(), w)
	for _, part := range []string{"systemd (pid 1)", "RuntimeWatchdogSec=0", "TakeOver"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v does not say %q", err, part)
		}
	}
	s.did()
}

// A systemd that cannot be reached, as while it executes itself anew, is no
// absent one: a child could not be armed beside it, and would be left behind.
func TestNoChildBesideASystemd(t *testing.T) {
	s := newSite(t)
	s.absent = true
	s.write("proc/1/comm", "systemd\n")
	if device, err := s.ensure(t.Context(), want()); err == nil || !strings.Contains(err.Error(), "/run/systemd") || device != "" {
		t.Errorf("%q, %v; want what the pod lacks", device, err)
	}
	if old, _, err := s.launched.Load(); err != nil || old != (record{}) {
		t.Errorf("launched %+v, %v", old, err)
	}
}

func TestWithoutSystemd(t *testing.T) {
	s := newSite(t)
	s.absent = true
	s.cfg.Launch = Systemd
	if _, err := s.ensure(t.Context(), want()); !errors.Is(err, systemd.ErrAbsent) {
		t.Errorf("launch: Systemd: %v, want ErrAbsent", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s.cfg.Launch, s.cfg.Binary = Auto, self
	s.candidates[0] = heldByInit(s.candidates[0])
	w := want()
	w.Systemd = watchdog.TakeOver // nobody can be asked
	s.mustHaveProc()
	s.launch(w, "watchdog1")
	old, _, err := s.launched.Load()
	if err != nil || old.PID == 0 || old.Config.Device != s.path("dev/watchdog1") || old.Config.Outlives {
		t.Errorf("record %+v, %v", old, err)
	}
	s.candidates[0] = hardware("watchdog0")
	s.launch(want(), "watchdog0") // stops the first one
	next, _, _ := s.launched.Load()
	if next.PID == old.PID || next.Config.Device != s.path("dev/watchdog0") {
		t.Errorf("record %+v", next)
	}
	child := nursery{binary: self, proc: "/proc"}
	if running, err := child.running(t.Context(), old); running || err != nil {
		t.Errorf("the first child runs on: %v", err)
	}
	if err := child.stop(t.Context(), next); err != nil {
		t.Error(err)
	}
}

// mustHaveProc shows the site the processes of this machine.
func (s *site) mustHaveProc() {
	s.t.Helper()
	if err := os.Symlink("/proc", s.path("proc")); err != nil {
		s.t.Fatal(err)
	}
}

func TestRunReportsAndSettles(t *testing.T) {
	s := newSite(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Run(ctx)
	}()
	if s.Report().Settled {
		t.Error("settled before anything was wanted")
	}
	s.Want(want())
	for !s.Report().Settled {
		if t.Context().Err() != nil {
			t.Fatal("never settled")
		}
		<-time.After(time.Millisecond)
	}
	if d := cmp.Diff(Report{Device: "watchdog0", Settled: true, Quiet: true}, s.Report()); d != "" {
		t.Error(d)
	}
	cancel()
	<-ended
}

// What came of an earlier Want settles nothing, even if it is told later: the
// holder that runs may be exchanged in a moment.
func TestAnEarlierWantSettlesNothing(t *testing.T) {
	s := newSite(t)
	s.Want(want())
	first := <-s.wants
	s.Want(want())
	quiet := Report{Device: "watchdog0", Quiet: true}
	s.told.Store(&told{quiet, first.number})
	if d := cmp.Diff(quiet, s.Report()); d != "" {
		t.Error(d)
	}
	s.told.Store(&told{quiet, first.number + 1})
	if !s.Report().Settled {
		t.Error("the newest one is not settled")
	}
}

func TestConfigValidate(t *testing.T) {
	good := Default()
	good.Sysrq = "/proc/sysrq-trigger"
	external := Config{Launch: External, Socket: "/run/x.sock"}
	for name, tt := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"good":               {func(*Config) {}, ""},
		"external":           {func(c *Config) { *c = external }, ""},
		"no reset":           {func(c *Config) { c.Sysrq = "" }, "holder.sysrq"},
		"unknown":            {func(c *Config) { c.Launch = "Docker" }, "holder.launch"},
		"a socket elsewhere": {func(c *Config) { c.Socket = "/tmp/x" }, "only for launch: External"},
		"no binary":          {func(c *Config) { c.Binary = "picket-holder" }, "holder.binary"},
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			tt.change(&c)
			err := c.Validate()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want one that says %q", err, tt.want)
			}
		})
	}
}

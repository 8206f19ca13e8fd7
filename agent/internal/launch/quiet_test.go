package launch

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/picket-dev/picket/agent/internal/hold"
	"github.com/picket-dev/picket/agent/internal/watchdog"
	"github.com/picket-dev/picket/systemd"
)

// loudSite is a site whose systemd pets a watchdog in its last phase.
func loudSite(t *testing.T) *site {
	s := newSite(t)
	s.has(systemd.Watchdogs{Reboot: 10 * time.Minute, KExec: time.Minute})
	return s
}

// later lets the next look ask systemd again.
func (s *site) later() { s.looked = time.Now().Add(-2 * loudAgain) }

// quieten looks, and fails the test unless systemd is then off the watchdogs.
func (s *site) quieten() {
	s.t.Helper()
	if err := s.look(s.t.Context()); err != nil || !s.quiet || s.dogs.Reboot+s.dogs.KExec != 0 {
		s.t.Fatalf("quiet %v, %v, %v", s.quiet, s.dogs, err)
	}
}

// P1: once the holder is killed, systemd's shutdown pings with no roll.
func TestSystemdIsSilencedAndGetsItsWatchdogBack(t *testing.T) {
	s := loudSite(t)
	s.quieten()
	s.quieten()
	s.later()
	s.quieten()
	s.did("read 0s 0s 0s")
	s.later()
	s.dogs.Reboot = 5 * time.Minute // somebody has set it anew
	s.quieten()
	again := s.launcher(s.cfg, s.paths.Config)
	if err := errors.Join(again.look(t.Context()), again.Remove(t.Context())); err != nil || !again.quiet {
		t.Errorf("quiet %v, %v", again.quiet, err)
	}
	s.did("read 0s 0s 0s", "read 0s 0s 0s", "stop", "read 0s 10m0s 1m0s")
	if _, err := os.Stat(s.path(systemd.DropInPath)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the drop-in: %v", err)
	}
}

// Where the administrator has said so already, nothing is changed.
func TestAQuietSystemdIsLeftAlone(t *testing.T) {
	s := newSite(t)
	s.has(systemd.Watchdogs{Runtime: 30 * time.Second})
	s.quieten()
	if err := s.Remove(t.Context()); err != nil {
		t.Error(err)
	}
	s.did("stop")
}

// The drop-in carries both: neither may undo the other.
func TestSilencingKeepsWhatWasTaken(t *testing.T) {
	s := newSite(t)
	s.candidates[0] = heldByInit(s.candidates[0])
	s.has(systemd.Watchdogs{Runtime: 30 * time.Second, Reboot: 10 * time.Minute})
	w := want()
	w.Systemd, w.Device = watchdog.TakeOver, "watchdog0"
	s.launch(w, "watchdog0")
	s.dogs = s.own // somebody has set them anew
	s.quieten()
	if s.dogs != (systemd.Watchdogs{}) {
		t.Errorf("systemd has %+v", s.dogs)
	}
	s.candidates[0], s.state, w = hardware("watchdog0"), hold.Free, want()
	w.Softdog = true
	s.launch(w, "watchdog1")
	s.did("read 0s 0s 0s", "start", "read 0s 0s 0s", "stop", "read 30s 0s 0s", "start")
}

// P1: a systemd that is to pet a watchdog and found none tries again for ever. It
// must not find the holder's, when nobody has that open any more.
func TestASystemdWithoutAWatchdogDoesNotGetTheHolders(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*site)
		taken  bool
	}{
		"it has none": {change: func(*site) {}, taken: true},
		"it keeps the holder's": {taken: true, change: func(s *site) {
			s.candidates[0].Active = watchdog.Yes
			s.candidates[0].Keepers = []watchdog.Keeper{{PID: 1, Name: "systemd"}, {PID: 4711, Name: watchdog.Holder}}
		}},
		"it has one":                {change: func(s *site) { s.candidates[1] = heldByInit(s.candidates[1]) }},
		"somebody unseen has one":   {change: func(s *site) { s.candidates[1].Active = watchdog.Yes }},
		"somebody else has one":     {taken: true, change: func(s *site) { s.candidates[1] = heldBy(s.candidates[1], "watchdogd") }},
		"it is to pet none":         {change: func(s *site) { s.has(systemd.Watchdogs{}) }},
		"with the device's timeout": {taken: true, change: func(s *site) { s.has(systemd.Watchdogs{Runtime: systemd.DeviceDefault}) }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.has(systemd.Watchdogs{Runtime: 30 * time.Second})
			s.quieten() // nothing is launched that it could take
			s.launch(want(), "watchdog0")
			tt.change(s)
			before := s.dogs.Runtime
			s.quieten()
			d, err := s.dropIn()
			if err != nil || (d.Taken == "watchdog0") != tt.taken || tt.taken != (s.dogs.Runtime == 0 && before != 0) {
				t.Errorf("taken %q, %v; systemd pets for %v", d.Taken, err, s.dogs.Runtime)
			}
			s.later()
			s.quieten() // and it stays so
			if err := s.Remove(t.Context()); err != nil || s.dogs != s.own {
				t.Errorf("systemd has %+v again, %v", s.dogs, err)
			}
		})
	}
}

// Nor one that was taken from it, and that somebody has set it to pet anew.
func TestWhatWasTakenStaysTaken(t *testing.T) {
	s := newSite(t)
	s.candidates = []watchdog.Candidate{heldByInit(hardware("watchdog0"))}
	s.has(systemd.Watchdogs{Runtime: 30 * time.Second})
	w := want()
	w.Systemd = watchdog.TakeOver
	s.launch(w, "watchdog0")
	s.candidates[0] = hardware("watchdog0")
	s.dogs.Runtime = time.Minute
	s.quieten()
	s.did("read 0s 0s 0s", "start", "read 0s 0s 0s")
}

// One that does not obey is not made to read all its units every few seconds.
func TestALoudSystemdIsNotToldAllTheTime(t *testing.T) {
	s := loudSite(t)
	s.obstinate = true
	for range 3 {
		if err := s.look(t.Context()); !errors.Is(err, errLoud) || s.quiet {
			t.Errorf("quiet %v, %v", s.quiet, err)
		}
	}
	s.did("read 0s 10m0s 1m0s")
	s.obstinate = false
	s.later()
	s.quieten()
}

// What systemd was told is believed only when it says so itself.
func TestALoudSystemdForbidsArming(t *testing.T) {
	for name, tt := range map[string]struct {
		before func(*site)
		after  func(*site) // it was quiet once
		want   string
	}{
		"it keeps its timeout":      {before: func(s *site) { s.obstinate = true }, want: "RebootWatchdogSec=0"},
		"it does not reload":        {before: func(s *site) { s.deaf = errors.New("no space in /run/systemd") }, want: "no space"},
		"its place is not to write": {before: func(s *site) { s.write("run/systemd/system.conf.d", "") }, want: "RebootWatchdogSec=0"},
		"it says nothing":           {before: func(s *site) { s.silent = true }, want: "deadline"},
		"it says nothing any more":  {after: func(s *site) { s.silent = true }},
		"it is loud again":          {after: func(s *site) { s.dogs.KExec, s.obstinate = time.Minute, true }, want: "KExecWatchdogSec=0"},
		"its socket is not shown":   {before: func(s *site) { s.absent = true; s.write("proc/1/comm", "systemd\n") }, want: "/run/systemd"},
		"there is none":             {before: func(s *site) { s.absent = true; s.write("proc/1/comm", "init\n") }},
		"nobody knows of one":       {before: func(s *site) { s.absent = true }},
	} {
		t.Run(name, func(t *testing.T) {
			s := loudSite(t)
			if tt.before != nil {
				tt.before(s)
			}
			err := s.look(t.Context())
			if tt.after != nil {
				if err != nil || !s.quiet {
					t.Fatalf("quiet %v, %v", s.quiet, err)
				}
				s.later()
				tt.after(s)
				err = s.look(t.Context())
			}
			if s.quiet != (tt.want == "") || tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("quiet %v, %v; want an error that says %q", s.quiet, err, tt.want)
			}
		})
	}
}

// Somebody else's holder is armed by Picket all the same.
func TestAHolderOfSomebodyElseNeedsAQuietSystemd(t *testing.T) {
	s := loudSite(t)
	c := s.cfg
	c.Launch = External
	l := s.launcher(c, s.paths.Config)
	device, err := l.ensure(t.Context(), want())
	if err = errors.Join(err, l.look(t.Context())); err != nil || device != "" || !l.quiet {
		t.Errorf("%q, quiet %v, %v", device, l.quiet, err)
	}
	s.write("run/picket/holder.sock", "")
	s.state = hold.Armed
	s.answer()
	if err := l.Remove(t.Context()); err == nil {
		t.Error("systemd got the watchdogs of an armed node back")
	}
	s.state = hold.Idle
	if err := l.Remove(t.Context()); err != nil {
		t.Error(err)
	}
	s.did("read 0s 0s 0s", "read 0s 10m0s 1m0s")
}

// P1: a device that only the holder has open is pinged by its death. That it was
// sent to systemd does not mean that it is kept there.
func TestWhatSystemdKeepsIsSeen(t *testing.T) {
	s := newSite(t)
	s.launch(want(), "watchdog0")
	look := func(when string, want int) {
		t.Helper()
		if err := s.look(t.Context()); err != nil || s.keeps != want {
			t.Errorf("%s: keeps that of %d, %v; want %d", when, s.keeps, err, want)
		}
	}
	s.stored = 1
	look("idle", 0)
	s.state = hold.Armed
	s.stored = 0
	look("refused by the store", 0)
	s.stored = 1
	look("kept", 4711)
	s.later()
	s.stored = 0
	look("lost", 0)
}

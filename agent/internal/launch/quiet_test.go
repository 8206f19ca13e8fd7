package launch

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/picket-dev/picket/agent/internal/hold"
	"github.com/picket-dev/picket/systemd"
)

// loudSite is a site whose systemd pets a watchdog in its last phase.
func loudSite(t *testing.T) *site {
	s := newSite(t)
	s.final = systemd.Final{Reboot: 10 * time.Minute, KExec: time.Minute}
	return s
}

// later lets the next look ask systemd again.
func (s *site) later() { s.looked = time.Now().Add(-2 * lookAgain) }

// P1: once the holder is killed, systemd's shutdown pings with no roll.
func TestSystemdIsSilencedAndGetsItsWatchdogBack(t *testing.T) {
	s := loudSite(t)
	for range 2 {
		if err := s.look(t.Context()); err != nil || !s.quiet {
			t.Fatalf("quiet %v, %v", s.quiet, err)
		}
	}
	s.did("final 0s 0s")
	s.later()
	s.final.Reboot = 5 * time.Minute // somebody has set it anew
	if err := s.look(t.Context()); err != nil || !s.quiet || s.final != (systemd.Final{}) {
		t.Errorf("quiet %v, %v, %v", s.quiet, s.final, err)
	}
	again := s.launcher(s.cfg, s.paths.Config) // what was taken is not forgotten
	if err := errors.Join(again.look(t.Context()), again.Remove(t.Context())); err != nil || !again.quiet {
		t.Errorf("quiet %v, %v", again.quiet, err)
	}
	s.did("final 0s 0s", "final 0s 0s", "stop", "final 5m0s 1m0s")
}

// What systemd was told is believed only when it says so itself.
func TestALoudSystemdForbidsArming(t *testing.T) {
	for name, tt := range map[string]struct {
		before func(*site)
		after  func(*site) // it was quiet once
		want   string
	}{
		"it keeps its timeout":     {before: func(s *site) { s.obstinate = true }, want: "RebootWatchdogSec=0"},
		"it says nothing":          {before: func(s *site) { s.silent = true }, want: "deadline"},
		"it says nothing any more": {after: func(s *site) { s.silent = true }},
		"it is loud again":         {after: func(s *site) { s.final.KExec, s.obstinate = time.Minute, true }, want: "KExecWatchdogSec=0"},
		"its socket is not shown":  {before: func(s *site) { s.absent = true; s.write("proc/1/comm", "systemd\n") }, want: "/run/systemd"},
		"there is none":            {before: func(s *site) { s.absent = true; s.write("proc/1/comm", "init\n") }},
		"nobody knows of one":      {before: func(s *site) { s.absent = true }},
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
	if err := l.Remove(t.Context()); err != nil {
		t.Error(err)
	}
	s.did("final 0s 0s", "final 10m0s 1m0s")
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

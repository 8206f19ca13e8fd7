package launch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/picket-dev/picket/agent/internal/hold"
	"github.com/picket-dev/picket/agent/internal/host"
	"github.com/picket-dev/picket/agent/internal/watchdog"
)

// paths name the host's files, as the host names them and as this process does.
type paths struct{ host.Config }

// hostRun is a file of the run directory, and hostBinary the placed holder, as
// the host names them. The run directory may be mounted noexec, so the binary
// lies with the state.
func (p paths) hostRun(name string) string { return filepath.Join("/", p.Run, name) }
func (p paths) hostBinary() string         { return filepath.Join("/", p.State, binaryName) }

// here is a file of the host as this process names it.
func (p paths) here(path string) string { return filepath.Join(p.Root, path) }

// hasFirst reports whether the host has a firstDevice, which another can be bound
// to.
func (p paths) hasFirst() bool {
	_, err := os.Lstat(p.here(firstDevice))
	return err == nil
}

func (p paths) roots() watchdog.Roots {
	return watchdog.Roots{Sys: p.here("sys"), Dev: p.here("dev"), Proc: p.here("proc")}
}

// holderConfig is the configuration of a holder with the chosen device: of a
// service, which sees the host as it is, or of a child, which sees what this
// process sees.
func (l *Launcher) holderConfig(c watchdog.Choice, service bool) hold.Config {
	h := hold.Default()
	h.Sysrq, h.Outlives = l.cfg.Sysrq, service
	if service {
		h.Device = c.Path
		if l.paths.hasFirst() {
			h.Device = firstDevice // to which the service's start binds c.Path
		}
		h.Marker, h.Socket = l.paths.hostRun(markerName), l.paths.hostRun(socketName)
		return h
	}
	h.Device = l.paths.here(c.Path)
	h.Marker, h.Socket = l.paths.here(l.paths.hostRun(markerName)), l.paths.here(l.paths.hostRun(socketName))
	h.BootID = l.paths.here(h.BootID)
	h.ProcRoot, h.SysRoot = l.paths.roots().Proc, l.paths.roots().Sys
	return h
}

// gating reports whether a holder must be left alone: what it says, or, where it
// says nothing, what it last wrote down. One that runs and left what makes no
// sense may do anything.
func (l *Launcher) gating(s hold.State, running bool) bool {
	if s == hold.StateUnknown {
		r, verdict := l.marker()
		if verdict == hold.Corrupt && running {
			return true
		}
		s = r.State
	}
	switch s {
	case hold.Armed, hold.Latched, hold.Coasting, hold.Testing:
		return true
	case hold.StateUnknown, hold.Idle, hold.Free:
	}
	return false
}

// last is the state that a holder which is gone has left, and which binds its
// successor. StateUnknown binds none: there is no marker of this boot, or one
// that makes no sense.
func (l *Launcher) last() hold.State {
	r, _ := l.marker()
	return r.State
}

// marker returns what the holder of this boot wrote down.
func (l *Launcher) marker() (hold.Record, hold.Verdict) {
	text, err := os.ReadFile(l.paths.here(l.paths.hostRun(markerName)))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return hold.Record{}, hold.Absent
	case err != nil:
		return hold.Record{}, hold.Corrupt
	}
	r, verdict := hold.ReadMarker(text, l.boot)
	if verdict != hold.Ours {
		r = hold.Record{}
	}
	return r, verdict
}

package block

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/picket-dev/picket/agent/teardown"
)

// A look is one pass over the host, in one goroutine. What it cannot read it
// notes as unknown, and goes on.
type look struct {
	host    Host
	inv     teardown.Inventory
	targets []string // of iSCSI, which the host's own files name
}

// note adds an unknown that may concern any device.
func (l *look) note(what string, why error) {
	l.noteDevice(teardown.Number{}, what, why)
}

// noteDevice adds an unknown that concerns this device alone.
func (l *look) noteDevice(n teardown.Number, what string, why error) {
	l.inv.Unknown = append(l.inv.Unknown, teardown.Unknown{Device: n, What: what, Why: why.Error()})
}

// attr returns the text of a small file of procfs or sysfs, without white space
// around it, and whether it is there; one that cannot be read is noted.
func (l *look) attr(path string) (string, bool) {
	text, err := os.ReadFile(path)
	switch {
	case err == nil:
		return strings.TrimSpace(string(text)), true
	case !gone(err):
		l.note(path, err)
	}
	return "", false
}

// names returns the names in a directory of procfs or sysfs, none where it does
// not exist; one that cannot be read is noted.
func (l *look) names(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil && !gone(err) {
		l.note(dir, err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// gone reports whether the error says that a thing, or what it belongs to, does
// not exist, perhaps since a moment ago.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) ||
		errors.Is(err, syscall.ENXIO) || errors.Is(err, syscall.ESRCH) || errors.Is(err, syscall.ENOTDIR)
}

func (l *look) sys(parts ...string) string {
	return filepath.Join(append([]string{l.host.Sys}, parts...)...)
}

func (l *look) proc(parts ...string) string {
	return filepath.Join(append([]string{l.host.Proc}, parts...)...)
}

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/agent/internal/hold"
)

// lockMarker makes this process the only holder of the marker until it dies.
// The lock lies in a file of its own, since the marker is replaced in every
// boot.
func lockMarker(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock marker: %w: its directory must exist, in the host's /run", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock marker %s: %w: another picket-holder runs; stop it first", path, err), f.Close())
	}
	return f, nil
}

// readMarker returns what the last holder left.
func readMarker(path, boot string) (hold.Record, hold.Verdict) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return hold.Record{}, hold.Absent
	}
	if err != nil {
		return hold.Record{}, hold.Corrupt
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, hold.MarkerSize+1))
	if err != nil {
		return hold.Record{}, hold.Corrupt
	}
	return hold.ReadMarker(text, boot)
}

// marker is the file in memory: keeping it up to date is no system call, and
// the death of this process does not lose it.
type marker struct {
	mem  []byte
	last hold.Record
}

// newMarker replaces whatever is at path by the marker of this boot, in one
// step.
func newMarker(path, boot string, r hold.Record) (*marker, error) {
	next := filepath.Clean(path) + ".new"
	if err := os.WriteFile(next, hold.NewMarker(boot, r), 0o600); err != nil {
		return nil, fmt.Errorf("write marker: %w", err)
	}
	if err := os.Rename(next, path); err != nil {
		return nil, fmt.Errorf("write marker: %w", err)
	}
	return mapMarker(path, r)
}

// mapMarker maps the marker at path, in which r is in force.
func mapMarker(path string, r hold.Record) (*marker, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("map marker: %w", err)
	}
	defer f.Close()
	mem, err := unix.Mmap(int(f.Fd()), 0, hold.MarkerSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map marker %s: %w", path, err)
	}
	return &marker{mem: mem, last: r}, nil
}

// put brings r into force, if it is not already.
func (m *marker) put(r hold.Record) {
	if m == nil || r == m.last {
		return
	}
	hold.PutRecord(m.mem, r)
	m.last = r
}

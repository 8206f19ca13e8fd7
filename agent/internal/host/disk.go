package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// A Disk keeps one thing over boots, such as what a self-test of the watchdog
// has found. Unlike a Memory it is readable by other versions of the agent: an
// unknown key is ignored.
type Disk[T interface{ Validate() error }] struct {
	path string
}

// NewDisk returns the Disk of that name.
func NewDisk[T interface{ Validate() error }](c Config, name string) *Disk[T] {
	return &Disk[T]{path: c.path(c.State, name+".json")}
}

// Load returns what was stored last; the zero value where nothing was. An
// error says that it cannot be read or makes no sense.
func (d *Disk[T]) Load() (value T, err error) {
	data, err := os.ReadFile(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return value, nil
	}
	if err != nil {
		return value, fmt.Errorf("read from disk: %w", err)
	}
	var read T
	if err := json.Unmarshal(data, &read); err != nil {
		return value, fmt.Errorf("parse %s: %w", d.path, err)
	}
	if err := read.Validate(); err != nil {
		return value, fmt.Errorf("parse %s: %w", d.path, err)
	}
	return read, nil
}

// Store replaces what is kept. When it returns without an error, the value
// survives a reset of the machine. It can block as long as the disk does.
func (d *Disk[T]) Store(value T) error {
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("encode for the disk: %w", err)
	}
	return replace(d.path, append(data, '\n'), true)
}

// KernelRelease returns the release of the running kernel, as uname -r; empty
// where it cannot be read.
func KernelRelease(c Config) string {
	return strings.TrimSpace(readOptional(c.path("proc/sys/kernel/osrelease")))
}

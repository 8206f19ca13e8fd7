package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Vacate removes the run and the state directory with all that is in them, but for
// files of those names: a holder of somebody else's keeps its own. What it returns
// says what is left; a second call finds the rest.
func Vacate(c Config, keep ...string) error {
	return errors.Join(c.clear(c.Run, keep), c.clear(c.State, keep))
}

// clear removes a directory below the host's root. A pod has it mounted, and
// cannot remove what a mount of its own hides; but it reaches the host's own view
// through process 1.
func (c Config) clear(dir string, keep []string) error {
	if !filepath.IsLocal(dir) || !strings.Contains(filepath.Clean(dir), "/") {
		return fmt.Errorf("remove %q from the host: it is no directory of Picket's alone", dir)
	}
	path := c.path("proc/1/root", dir)
	if _, err := os.Stat(c.path("proc/1/root", filepath.Dir(dir))); err != nil {
		path = c.path(dir)
	}
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove %s from the host: %w", path, err)
	}
	var errs []error
	kept := false
	for _, e := range entries {
		if slices.Contains(keep, e.Name()) {
			kept = true
			continue
		}
		if err := os.RemoveAll(filepath.Join(path, e.Name())); err != nil {
			errs = append(errs, fmt.Errorf("remove from the host: %w", err))
		}
	}
	if kept {
		return errors.Join(errs...)
	}
	err = os.Remove(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EBUSY) && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("remove from the host: %w", err))
	}
	return errors.Join(errs...) // an empty directory that is mounted goes with the pod
}

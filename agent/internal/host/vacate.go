package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Vacate removes the run and the state directory with all that is in them. What
// it returns says what is left; a second call finds the rest.
func Vacate(c Config) error {
	return errors.Join(c.clear(c.Run), c.clear(c.State))
}

// clear removes a directory below the host's root. A pod has it mounted, and
// cannot remove what a mount of its own hides; but it reaches the host's own view
// through process 1.
func (c Config) clear(dir string) error {
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
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(path, e.Name())); err != nil {
			errs = append(errs, fmt.Errorf("remove from the host: %w", err))
		}
	}
	err = os.Remove(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EBUSY) && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("remove from the host: %w", err))
	}
	return errors.Join(errs...) // an empty directory that is mounted goes with the pod
}

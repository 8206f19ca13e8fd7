package host

import (
	"errors"
	"fmt"
	"path/filepath"
)

// Config says where the host's files are.
type Config struct {
	// Root is the host's root directory: "/" in the agent's own mount
	// namespace, or where the pod mounts the host. It has no default, so that
	// a test can never reach the machine that it runs on.
	Root string

	// Run is the run directory below Root. It must not outlive the boot: a
	// tmpfs. The agent's memory lies there.
	Run string

	// State is the directory below Root that outlives the boot. The reboot
	// budget lies there.
	State string

	// BreakGlass is a file below Root whose existence keeps the node unarmed.
	BreakGlass string
}

// Default returns the usual places. Root remains to be set.
func Default() Config {
	return Config{Run: "run/picket", State: "var/lib/picket", BreakGlass: "etc/picket/unarmed"}
}

// Validate returns an error that names every setting that cannot work.
func (c Config) Validate() error {
	var errs []error
	if !filepath.IsAbs(c.Root) {
		errs = append(errs, fmt.Errorf("root %q is not an absolute path", c.Root))
	}
	for name, path := range map[string]string{"run": c.Run, "state": c.State, "breakGlass": c.BreakGlass} {
		if !filepath.IsLocal(path) {
			errs = append(errs, fmt.Errorf("%s %q is not a path below root", name, path))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("settings of host: %w", err)
	}
	return nil
}

// path returns where a file of the host is.
func (c Config) path(below ...string) string {
	return filepath.Join(append([]string{c.Root}, below...)...)
}

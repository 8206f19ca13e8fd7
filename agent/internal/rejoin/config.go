package rejoin

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/picket-dev/picket/agent/internal/block"
)

// Config says where the host is, and what is remembered of it.
type Config struct {
	// Host says where inventories look.
	Host block.Host `json:"host"`
	// Enter is the host's mount namespace, which children enter so that they
	// can write to its /sys, and find its tools. Empty: they work on the
	// directories of Host, which is for tests.
	Enter string `json:"enter"`
	// Run is a directory in the host's /run for what this boot must remember.
	Run string `json:"run"`
	// Poll is how often a wait looks.
	Poll time.Duration `json:"poll"`
	// Most is how many steps one run may take: far more than any node needs.
	Most int `json:"most"`
}

// ConfigBelow returns the Config of a process that sees the host's directories
// below dir: "/" on the host itself, /host in the agent's pod.
func ConfigBelow(dir string) Config {
	return Config{
		Host:  block.HostBelow(dir),
		Enter: filepath.Join(dir, "proc/1/ns/mnt"),
		Run:   filepath.Join(dir, "run/picket"),
		Poll:  250 * time.Millisecond,
		Most:  1000,
	}
}

// Validate returns an error for settings that cannot work.
func (c Config) Validate() error {
	errs := []error{c.Host.Validate()}
	if !filepath.IsAbs(c.Run) {
		errs = append(errs, fmt.Errorf("settings of rejoin: run is %q, it must be an absolute path", c.Run))
	}
	if c.Enter != "" && !filepath.IsAbs(c.Enter) {
		errs = append(errs, fmt.Errorf("settings of rejoin: enter is %q, it must be an absolute path", c.Enter))
	}
	if c.Poll <= 0 || c.Most < 1 {
		errs = append(errs, errors.New("settings of rejoin: poll and most must be positive"))
	}
	return errors.Join(errs...)
}

//go:build testdevice

package main

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/agent/internal/hold"
)

// config is what the file of --config holds in a build for tests.
type config struct {
	hold.Config
	// ResetGroup is the process group that a reset kills, above 1.
	ResetGroup int `json:"resetGroup"`
	// TestDevice describes the simulated watchdog.
	TestDevice simulated `json:"testDevice"`
}

// simulated describes a watchdog that is a file. What the file itself says of
// κ and nowayout counts more, once it exists.
type simulated struct {
	MinTimeout  hold.Duration `json:"minTimeout"`
	MaxTimeout  hold.Duration `json:"maxTimeout"`
	Granularity hold.Duration `json:"granularity"`
	Kappa       int           `json:"kappa"` // times 1000
	Nowayout    bool          `json:"nowayout"`
}

func defaults() config {
	return config{Config: hold.Default(), TestDevice: simulated{
		MinTimeout:  hold.Duration(500 * time.Millisecond),
		MaxTimeout:  hold.Duration(time.Hour),
		Granularity: hold.Duration(100 * time.Millisecond),
		Kappa:       1020,
	}}
}

// Validate adds the keys of this build. A group of 1 or less would mean this
// process's own group, or every process.
func (c config) Validate() error {
	err := c.Config.Validate()
	if c.ResetGroup <= 1 {
		err = errors.Join(err, fmt.Errorf("resetGroup %d is no process group: write the one that plays the machine", c.ResetGroup))
	}
	if c.TestDevice.Granularity <= 0 || c.TestDevice.MinTimeout <= 0 || c.TestDevice.Kappa < 1000 {
		err = errors.Join(err, errors.New("testDevice: granularity and minTimeout must be positive, kappa at least 1000"))
	}
	return err
}

// sysrqFlags makes the record of resets where a test has not.
const sysrqFlags = unix.O_CREAT | unix.O_APPEND

func (c config) opener(adopted int, log *journal) opener {
	return &fileOpener{path: c.Device, dog: c.TestDevice, outlive: c.Outlives, adopted: adopted, log: log}
}

// stored says whether a device that this process does not open is stored.
func (c config) stored(adopted int) bool { return adopted >= 0 || c.Outlives }

func (c config) resetter(s *sysrq) resetter {
	return groupResetter{sysrq: s, path: c.Device, group: c.ResetGroup}
}

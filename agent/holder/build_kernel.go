//go:build !testdevice

package main

import "github.com/picket-dev/picket/agent/internal/hold"

// config is what the file of --config holds.
type config struct {
	hold.Config
}

func defaults() config { return config{Config: hold.Default()} }

const sysrqFlags = 0

func (c config) opener(adopted int, log *journal) opener {
	return &kernelOpener{cfg: c.Config, adopted: adopted, log: log}
}

// stored says whether a device that this process does not open is stored.
func (c config) stored(adopted int) bool { return adopted >= 0 }

func (c config) resetter(s *sysrq) resetter { return s }

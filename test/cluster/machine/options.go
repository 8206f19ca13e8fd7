package machine

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/picket-dev/picket/test/cluster/proc"
)

// Kubelet is told when its machine's power comes and goes. PowerOff must not
// block on the network: the machine is dead when it returns.
type Kubelet interface {
	PowerOn(Boot)
	PowerOff()
}

// Link is told when the machine's power comes and goes: what is plugged into a
// dead machine neither closes a connection nor refuses one.
type Link interface {
	SetPower(on bool)
}

// Options describe one machine.
type Options struct {
	// Name is the node's name.
	Name string
	// Dir becomes the root of the host's file system and takes the logs.
	Dir string
	// Commands returns what runs in a boot, in the order of their start:
	// holder, agent. Names must differ. A command's group is set by the
	// machine, and its log when it names none. Nil runs nothing.
	Commands func(Boot) []proc.Command
	// Kubelet may be nil.
	Kubelet Kubelet
	// Links may be empty.
	Links []Link
	// BootTime is the time from power-on (or reset) to the first process.
	BootTime time.Duration
	// StayOff leaves the machine off after a reset, whatever its reason.
	StayOff bool
	// Kappa is the dog's real timeout over its nominal one, at least 1.
	Kappa float64
	// Files are written below Dir at each boot: path to content. They replace
	// the defaults (proc/cmdline, proc/cpuinfo …) where the paths are equal.
	Files map[string]string
	// Notify, unless nil, is called with each event, in order. It must not
	// call the machine.
	Notify func(Event)
}

// Default is a machine with a firmware so fast that tests need not wait long,
// and the κ of a good watchdog.
func Default() Options {
	return Options{BootTime: 3 * time.Second, Kappa: 1.02}
}

// Validate says what is missing.
func (o Options) Validate() error {
	switch {
	case o.Name == "":
		return errors.New("machine: Name is empty")
	case !filepath.IsAbs(o.Dir):
		return fmt.Errorf("machine %s: directory %q is not absolute", o.Name, o.Dir)
	case o.Kappa < 1:
		return fmt.Errorf("machine %s: κ is %g, a dog that fires early: want at least 1", o.Name, o.Kappa)
	}
	return nil
}

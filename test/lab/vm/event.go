package vm

import (
	"fmt"
	"time"
)

// A Cause is why a machine's state changed.
type Cause int

// The causes.
const (
	// PowerOn started the machine.
	PowerOn Cause = iota + 1
	// PowerCut ended it without a word.
	PowerCut
	// Watchdog is the hardware watchdog, just before it resets the machine.
	Watchdog
	// Reset restarted the machine's kernel: by the watchdog, by sysrq, by a
	// reboot, or by the reset button.
	Reset
	// PowerOff was asked for inside.
	PowerOff
	// Booted is the first word of a new boot.
	Booted
	// Died is an end of QEMU that nobody asked for.
	Died
)

// String is the cause in words.
func (c Cause) String() string {
	switch c {
	case PowerOn:
		return "power on"
	case PowerCut:
		return "power cut"
	case Watchdog:
		return "watchdog fired"
	case Reset:
		return "reset"
	case PowerOff:
		return "powered off"
	case Booted:
		return "booted"
	case Died:
		return "QEMU died"
	default:
		return fmt.Sprintf("cause %d", int(c))
	}
}

// Event is something that happened to a machine.
type Event struct {
	// At is raw monotonic time of this host.
	At      time.Duration
	Machine string
	Cause   Cause
	// Boot is the ID of the boot that ended or, of Booted, began; empty where it
	// never spoke.
	Boot string
}

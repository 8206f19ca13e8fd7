package machine

import (
	"fmt"
	"time"
)

// Cause says why a boot began or ended.
type Cause int

const (
	_ Cause = iota // unknown
	// PowerOn began a boot.
	PowerOn
	// PowerCut took the power away.
	PowerCut
	// Pressed is the reset button, or anything else that resets from outside.
	Pressed
	// Watchdog is the dog that fired.
	Watchdog
	// Sysrq is a "b" in the sysrq file, or the holder that killed its group.
	Sysrq
	// Shutdown is an orderly end.
	Shutdown
)

// String is for logs and timelines.
func (c Cause) String() string {
	switch c {
	case PowerOn:
		return "power on"
	case PowerCut:
		return "power cut"
	case Pressed:
		return "reset button"
	case Watchdog:
		return "watchdog"
	case Sysrq:
		return "sysrq"
	case Shutdown:
		return "shutdown"
	}
	return fmt.Sprintf("cause %d", int(c))
}

// Event is the begin or the end of a boot.
type Event struct {
	Machine string
	Cause   Cause
	Boot    string        // boot ID
	At      time.Duration // raw monotonic time
	// Due is when the dog was due, for the cause Watchdog: At − Due is how
	// late this simulation was.
	Due time.Duration
}

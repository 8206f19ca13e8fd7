package hold

import "fmt"

// State is what the holder does with its device. The zero State is unknown and
// does nothing.
type State uint8

const (
	// StateUnknown is the State of a Status that never arrived.
	StateUnknown State = iota
	// Idle: the device is closed, nothing is held and nothing can fire.
	Idle
	// Armed: the device is pinged while petUntil has not passed; when it
	// passes, the holder latches.
	Armed
	// Free: the device is pinged whatever happens, until an agent arms again.
	Free
	// Latched: the device will never be pinged again in this boot, and the
	// host is being reset (A1, A6).
	Latched
	// Coasting: the host shuts down. The device runs on with a long T and is
	// never pinged again in this boot; nothing passes and nothing is reset but
	// by the dog itself, or by a Latch.
	Coasting
	// Testing: the device got its last ping of this boot, to see whether and
	// when it resets the host. Nothing else does so, but for a Latch.
	Testing
)

const lastState = Testing

// String returns the name that logs, NodeGuards and the CLI show.
func (s State) String() string {
	switch s {
	case StateUnknown:
		return "Unknown"
	case Idle:
		return "Idle"
	case Armed:
		return "Armed"
	case Free:
		return "Free"
	case Latched:
		return "Latched"
	case Coasting:
		return "Coasting"
	case Testing:
		return "Testing"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

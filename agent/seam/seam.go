// Package seam shows the holder's pure machine, which lies in internal, to the
// simulator in test/sim. It owns nothing, and product code has no use for it.
package seam

import (
	"time"

	"github.com/picket-dev/picket/agent/internal/hold"
	"github.com/picket-dev/picket/agent/internal/watchdog"
	"github.com/picket-dev/picket/proto/timing"
)

type (
	// Machine decides when the device may be pinged.
	Machine = hold.Machine
	// Action is what the holder must do now.
	Action = hold.Action
	// Result is how an Action ended.
	Result = hold.Result
	// Request is one message from the agent.
	Request = hold.Request
	// Record is what a holder leaves for its successor.
	Record = hold.Record
	// Status is the answer to every call.
	Status = hold.Status
	// State is what the holder does with its device.
	State = hold.State
)

// The states of a holder.
const (
	Idle     = hold.Idle
	Armed    = hold.Armed
	Free     = hold.Free
	Latched  = hold.Latched
	Coasting = hold.Coasting
)

// What a holder is asked for.
const (
	OpStatus     = hold.OpStatus
	OpArm        = hold.OpArm
	OpExtend     = hold.OpExtend
	OpSetTimeout = hold.OpSetTimeout
	OpLatch      = hold.OpLatch
	OpFree       = hold.OpFree
	OpDisarm     = hold.OpDisarm
	OpCoast      = hold.OpCoast
)

// What a holder must do.
const (
	Nothing    = hold.Nothing
	Open       = hold.Open
	SetTimeout = hold.SetTimeout
	Ping       = hold.Ping
	Close      = hold.Close
	Reset      = hold.Reset
	Exit       = hold.Exit
)

// ErrExpired says that a wish was late, and nothing worse.
const ErrExpired = hold.ErrExpired

// Resume returns the machine of a holder that starts at now: with the record of
// an earlier one of this boot if there is a marker, and with its device open if
// the service manager kept it.
func Resume(marker *Record, adopted bool, petDelay time.Duration, now timing.Instant) (*Machine, Action, error) {
	e := hold.Evidence{Verdict: hold.Absent, Adopted: adopted, Active: watchdog.No}
	if marker != nil {
		e.Verdict, e.Record = hold.Ours, *marker
	}
	return hold.Resume(e, petDelay, now)
}

package decide

import (
	"time"

	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// An Event is something that the core is told.
type Event interface{ event() }

// Tick says that time has passed, and nothing else.
type Tick struct{}

// RollRead is a full, successful, linearizable read of the Roll; Sent is when
// the question was sent.
type RollRead struct {
	Roll roll.Roll
	Sent timing.Instant
}

// RollMissed is a read that brought no roll. Contact says that an API server
// answered at all (401, 403, 404, 429, 5xx, garbage): that is no evidence, and
// no loss either.
type RollMissed struct {
	Contact bool
	Err     string
}

// Stated is a witness's answer. Without a Roll the witness made no statement,
// yet it can be reached.
type Stated struct {
	Witness string
	Roll    *roll.Roll
	Sent    timing.Instant
}

// Heard is a neighbour's answer to a heartbeat. Relay is its best roll, with
// Sent already on this node's clock: own send time minus the relayed age.
type Heard struct {
	Node  string
	Sent  timing.Instant
	Relay *roll.Held
}

// Link is a change of a network link.
type Link struct {
	Interface string
	Up        bool
	Storage   bool // the link carries the storage network only
}

// Guided is the controller's word: the spec of the own NodeGuard.
type Guided struct{ Spec Spec }

// Spec is what the core needs of a NodeGuard's spec.
type Spec struct {
	Neighbours []string
	Witnesses  []string
	Profile    timing.Profile
	ProbeEvery time.Duration
	Unarmed    string // if not empty: stay unarmed, for this reason
	Because    string // the same for people; empty: the controller says so
	FencedBoot string // a boot of this node that was fenced to the end
}

// Held is what the holder says about itself and its device, or the error that
// kept it from saying so. Order is that of the last Verdict whose wishes were
// carried out before the holder spoke; 0 for none.
type Held struct {
	Order    uint64
	Mode     HoldMode
	Device   Device
	Timeout  time.Duration  // in force, as the driver reads back
	PetUntil timing.Instant // in force while HoldArmed; needed in the first such word only
	Err      string         // empty, or why the device cannot be relied on
}

// Device is what is known of a watchdog device. The zero Device is none.
type Device struct {
	Usable  bool
	Min     time.Duration // shortest nominal timeout
	Max     time.Duration // longest nominal timeout
	Granule time.Duration // timeouts are multiples of it
	Kappa   int           // κ·1000
	Ungated int           // u
	// PetDelay is the δ that the holder enforces.
	PetDelay time.Duration
}

// Published says that the API server has stored this status: the write was
// sent at Sent, and the event is delivered after its reply arrived.
type Published struct {
	Status Status
	Sent   timing.Instant
}

// Pruned says that the API server dropped a field of the status: its CRD is
// older than this agent.
type Pruned struct{ Field string }

// Stop asks the agent to leave: an upgrade, or an uninstall.
type Stop struct{ Uninstall bool }

// Shutdown says that the host is shutting down in order.
type Shutdown struct{}

func (Tick) event()       {}
func (RollRead) event()   {}
func (RollMissed) event() {}
func (Stated) event()     {}
func (Heard) event()      {}
func (Link) event()       {}
func (Guided) event()     {}
func (Held) event()       {}
func (Published) event()  {}
func (Pruned) event()     {}
func (Stop) event()       {}
func (Shutdown) event()   {}

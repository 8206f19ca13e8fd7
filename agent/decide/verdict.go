package decide

import (
	"slices"
	"time"

	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// A Verdict is what must hold until the next one. All of it is desired state:
// an adapter that missed a verdict needs only the newest. What it points to may
// be the last one's, and is for reading only.
type Verdict struct {
	Phase   Phase
	Reason  Reason
	Message string

	Order    uint64         // changes with Hold and Timeout; echoed by Held
	Hold     HoldMode       // what the holder should do
	Timeout  time.Duration  // T for HoldArmed and HoldCoast
	PetUntil timing.Instant // for HoldArmed

	Memory Memory     // to be stored before anything else of the verdict is carried out
	Status Status     // what the NodeGuard must say; not to be published in PhaseUnknown
	Relay  *roll.Held // the best roll, for neighbours; nil: none
	Via    string     // how that roll was got: api, witness or relay

	Ask  Ask            // questions to send now
	Wake timing.Instant // call Step again by then
	Done bool           // Stop or Shutdown is complete: the agent may exit

	Notes []Note // what this step decided
}

// A HoldMode is what the holder does with the device.
type HoldMode int

// The modes of the holder.
const (
	HoldUnknown HoldMode = iota
	HoldIdle             // the device is closed
	HoldArmed            // pet while now < petUntil, else reset
	HoldFree             // pet without asking, until armed again
	HoldCoast            // set the long timeout with one gated ping, then never pet
	HoldLatched          // reset at once
)

// Memory is what must survive a restart of the agent within one boot.
type Memory struct {
	// Roll is the newest that this boot has itself read from the API: what a
	// witness states. Nil: it makes no statement.
	Roll *roll.Roll
	// Promise is what the holder may be enforcing.
	Promise timing.Promise
}

// Validate returns an error for a memory whose Roll no controller has written.
func (m Memory) Validate() error {
	if m.Roll == nil {
		return nil
	}
	return m.Roll.Validate()
}

// Ask names the questions to send.
type Ask struct {
	API        bool // one linearizable read
	Urgent     bool // of every endpoint at once
	Witnesses  bool
	Neighbours bool
}

// Status is the core's part of the NodeGuard's status.
type Status struct {
	Phase   Phase
	Reason  Reason
	Message string
	Promise timing.Promise
	// Offer numbers the offers of a promise in this run of the agent. It is not
	// stored; a status that differs in it alone must be written again, since
	// the acknowledgements of earlier writes do not count any more.
	Offer uint64

	History string
	Serial  int64    // witnesses only: the newest serial read from the API
	Fences  []string // witnesses only: withheld in that Roll, sorted
	Streak  int64    // witnesses only, while a suspicion is open

	Refutes            string
	Lost               []string // sorted
	PeersLost          bool
	HistoryBroken      string // empty, or what was seen
	StorageUnreachable bool
}

// Equal reports whether s and t say the same.
func (s Status) Equal(t Status) bool {
	return s.Phase == t.Phase && s.Reason == t.Reason && s.Message == t.Message &&
		s.Promise == t.Promise && s.Offer == t.Offer && s.History == t.History && s.Serial == t.Serial &&
		slices.Equal(s.Fences, t.Fences) && s.Streak == t.Streak && s.Refutes == t.Refutes &&
		slices.Equal(s.Lost, t.Lost) && s.PeersLost == t.PeersLost &&
		s.HistoryBroken == t.HistoryBroken && s.StorageUnreachable == t.StorageUnreachable
}

// A Note is one decision: the rule and its evidence, for people.
type Note struct {
	Rule Rule
	What string
}

package roll

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Roll is what the one Roll object says at one serial: who may be a witness
// and which boots are suspected or withheld. Only the controller writes it.
// Within one history, the serial alone determines the content.
type Roll struct {
	History string  // identifies an unbroken line of serials
	Serial  int64   // grows by one with each write, from 1
	Epochs  []Epoch // by number; at most two of them overlap
	Entries []Entry // at most one for each boot
	// PollEvery is how often each agent without other duties reads the Roll,
	// so that all of them together stay within the API's budget.
	PollEvery time.Duration
}

// An Epoch is a numbered set of witnesses. A number is never given to another
// set within one history.
type Epoch struct {
	Number    int64
	Retiring  bool     // on its way out: acknowledgements still count, statements do not
	Witnesses []string // node names, sorted, an odd number
}

// Quorum returns H = ⌊n/2⌋+1: so many statements make a witness roll.
func (e Epoch) Quorum() int { return len(e.Witnesses)/2 + 1 }

// Cover returns C = n+1−H: so many acknowledgements leave no quorum of
// witnesses that have not heard.
func (e Epoch) Cover() int { return len(e.Witnesses) + 1 - e.Quorum() }

// Has reports whether the node is a witness of the epoch.
func (e Epoch) Has(node string) bool { return slices.Contains(e.Witnesses, node) }

// A State says what the Roll holds against a boot.
type State int

const (
	// Unlisted is the zero State: nothing is held against the boot.
	Unlisted State = iota
	// Suspected asks the boot to speak; it withholds nothing.
	Suspected
	// Withheld means that the boot must not pet any more.
	Withheld
)

// String returns the name that the API uses.
func (s State) String() string {
	switch s {
	case Suspected:
		return "Suspected"
	case Withheld:
		return "Withheld"
	case Unlisted:
	}
	return "Unlisted"
}

// An Entry holds a State against one boot. Agents match it by Boot alone.
type Entry struct {
	Node  string
	UID   string // the Node object's UID
	Boot  string // the kernel's boot ID
	Fence string // identifies the fence, unique for ever
	State State
}

// Entry returns the entry of the boot, or one in state Unlisted.
func (r Roll) Entry(boot string) Entry {
	for _, e := range r.Entries {
		if e.Boot == boot {
			return e
		}
	}
	return Entry{}
}

// Withholds reports whether the Roll withholds the boot.
func (r Roll) Withholds(boot string) bool { return r.Entry(boot).State == Withheld }

// Fences returns the IDs of the fences whose boots the Roll withholds, sorted.
func (r Roll) Fences() []string {
	var ids []string
	for _, e := range r.Entries {
		if e.State == Withheld {
			ids = append(ids, e.Fence)
		}
	}
	slices.Sort(ids)
	return ids
}

// Gating reports whether any suspicion waits at the gate: witnesses then read
// twice as often and report each read.
func (r Roll) Gating() bool {
	return slices.ContainsFunc(r.Entries, func(e Entry) bool { return e.State == Suspected })
}

// Witnesses returns the witnesses of all listed epochs, sorted.
func (r Roll) Witnesses() []string {
	var all []string
	for _, e := range r.Epochs {
		all = append(all, e.Witnesses...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Clone returns a Roll that shares nothing with r.
func (r Roll) Clone() Roll {
	r.Epochs = slices.Clone(r.Epochs)
	for i := range r.Epochs {
		r.Epochs[i].Witnesses = slices.Clone(r.Epochs[i].Witnesses)
	}
	r.Entries = slices.Clone(r.Entries)
	return r
}

// Limits on a Roll that comes from outside: far above any real one, and small
// enough that a hostile one costs little.
const (
	maxEpochs    = 8
	maxWitnesses = 99
	maxEntries   = 10000
)

// Validate returns an error for a Roll that no controller writes; such a Roll
// is no evidence of anything.
func (r Roll) Validate() error {
	switch {
	case r.History == "":
		return errors.New("roll without a history ID")
	case r.Serial < 1:
		return fmt.Errorf("roll with serial %d: serials start at 1", r.Serial)
	case r.PollEvery < 0:
		return fmt.Errorf("roll with a negative poll interval: %v", r.PollEvery)
	case len(r.Epochs) > maxEpochs || len(r.Entries) > maxEntries:
		return fmt.Errorf("roll with %d epochs and %d entries: at most %d and %d are allowed",
			len(r.Epochs), len(r.Entries), maxEpochs, maxEntries)
	}
	numbers := make(map[int64]bool, len(r.Epochs))
	for _, e := range r.Epochs {
		if err := e.validate(); err != nil {
			return err
		}
		if numbers[e.Number] {
			return fmt.Errorf("roll lists epoch %d twice", e.Number)
		}
		numbers[e.Number] = true
	}
	boots := make(map[string]bool, len(r.Entries))
	for _, e := range r.Entries {
		if e.Boot == "" || e.Fence == "" || (e.State != Suspected && e.State != Withheld) {
			return fmt.Errorf("roll entry for node %q lacks a boot ID, a fence ID or a state", e.Node)
		}
		if boots[e.Boot] {
			return fmt.Errorf("roll lists boot %s twice", e.Boot)
		}
		boots[e.Boot] = true
	}
	return nil
}

func (e Epoch) validate() error {
	if len(e.Witnesses) == 0 || len(e.Witnesses) > maxWitnesses {
		return fmt.Errorf("epoch %d has %d witnesses: 1 to %d are allowed", e.Number, len(e.Witnesses), maxWitnesses)
	}
	if !slices.IsSorted(e.Witnesses) || len(slices.Compact(slices.Clone(e.Witnesses))) != len(e.Witnesses) {
		return fmt.Errorf("epoch %d does not list its witnesses sorted and once each", e.Number)
	}
	return nil
}

package peerv1

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// maxText is the longest name or ID that a Roll may hold: a DNS subdomain.
const maxText = 253

// EncodeRoll returns r as it goes over the wire. It shares no memory with r
// but strings.
func EncodeRoll(r roll.Roll) *Roll {
	x := &Roll{History: r.History, Serial: r.Serial}
	if r.PollEvery != 0 {
		x.PollEvery = durationpb.New(r.PollEvery)
	}
	for _, e := range r.Epochs {
		x.Epochs = append(x.Epochs, &Epoch{
			Number: e.Number, Retiring: e.Retiring, Witnesses: append([]string(nil), e.Witnesses...),
		})
	}
	for _, e := range r.Entries {
		x.Entries = append(x.Entries, &Entry{
			Node: e.Node, NodeUid: e.UID, BootId: e.Boot, Fence: e.Fence, State: encodeState(e.State),
		})
	}
	return x
}

// DecodeRoll returns the roll.Roll that x means. An error says that x is no
// evidence of anything: it is absent, breaks a rule of roll.Roll.Validate, or
// holds a state that this version does not know.
func DecodeRoll(x *Roll) (roll.Roll, error) {
	if x == nil {
		return roll.Roll{}, errors.New("no roll")
	}
	r := roll.Roll{History: x.GetHistory(), Serial: x.GetSerial()}
	if x.GetPollEvery() != nil {
		every, err := decodeDuration(x.GetPollEvery())
		if err != nil {
			return roll.Roll{}, fmt.Errorf("roll's poll interval: %w", err)
		}
		r.PollEvery = every
	}
	for _, e := range x.GetEpochs() {
		r.Epochs = append(r.Epochs, roll.Epoch{
			Number: e.GetNumber(), Retiring: e.GetRetiring(), Witnesses: append([]string(nil), e.GetWitnesses()...),
		})
	}
	for _, e := range x.GetEntries() {
		r.Entries = append(r.Entries, roll.Entry{
			Node: e.GetNode(), UID: e.GetNodeUid(), Boot: e.GetBootId(), Fence: e.GetFence(), State: decodeState(e.GetState()),
		})
	}
	if err := r.Validate(); err != nil {
		return roll.Roll{}, err
	}
	if err := checkText(r); err != nil {
		return roll.Roll{}, err
	}
	return r, nil
}

// EncodeRelay returns the roll x together with its age. A negative age counts
// as none: nothing was asked in the future.
func EncodeRelay(x *Roll, age time.Duration) *Relay {
	return &Relay{Roll: x, Age: durationpb.New(max(age, 0))}
}

// DecodeRelay returns the relayed roll for an asker that sent its question at
// the given instant: the relay's age counts from there, never from the receipt
// of the answer. A relay without an age, or with a negative one, is an error.
func DecodeRelay(x *Relay, sent timing.Instant) (roll.Held, error) {
	r, err := DecodeRoll(x.GetRoll())
	if err != nil {
		return roll.Held{}, fmt.Errorf("relay: %w", err)
	}
	age, err := decodeDuration(x.GetAge())
	if err != nil {
		return roll.Held{}, fmt.Errorf("age of a relay: %w", err)
	}
	return roll.Held{Roll: r, Sent: sent.Add(-age)}, nil
}

// DecodeAge returns an age that may be absent; then, and for one that makes no
// sense, it is false.
func DecodeAge(x *durationpb.Duration) (time.Duration, bool) {
	age, err := decodeDuration(x)
	return age, err == nil
}

// decodeDuration accepts durations from 0 to timing.MaxTerm, so that no sum
// with an instant can overflow.
func decodeDuration(x *durationpb.Duration) (time.Duration, error) {
	if err := x.CheckValid(); err != nil {
		return 0, err
	}
	d := x.AsDuration()
	if d < 0 || d > timing.MaxTerm {
		return 0, fmt.Errorf("0 ≤ %v ≤ %v does not hold", d, timing.MaxTerm)
	}
	return d, nil
}

func encodeState(s roll.State) Entry_State {
	switch s {
	case roll.Suspected:
		return Entry_STATE_SUSPECTED
	case roll.Withheld:
		return Entry_STATE_WITHHELD
	case roll.Unlisted:
	}
	return Entry_STATE_UNSPECIFIED
}

// decodeState makes Unlisted of a state that it does not know, which
// roll.Roll.Validate then refuses.
func decodeState(s Entry_State) roll.State {
	switch s {
	case Entry_STATE_SUSPECTED:
		return roll.Suspected
	case Entry_STATE_WITHHELD:
		return roll.Withheld
	case Entry_STATE_UNSPECIFIED:
	}
	return roll.Unlisted
}

// checkText bounds every string of the Roll.
func checkText(r roll.Roll) error {
	long := len(r.History) > maxText
	for _, e := range r.Epochs {
		for _, w := range e.Witnesses {
			long = long || w == "" || len(w) > maxText
		}
	}
	for _, e := range r.Entries {
		long = long || len(e.Node) > maxText || len(e.UID) > maxText || len(e.Boot) > maxText || len(e.Fence) > maxText
	}
	if long {
		return fmt.Errorf("roll with an empty witness name, or with a text of more than %d bytes", maxText)
	}
	return nil
}

package roll

import (
	"cmp"
	"slices"

	"github.com/picket-dev/picket/proto/timing"
)

// A Statement is one witness's answer: the newest Roll that it has itself read
// from the API in its present boot. Sent is when the asker sent the question,
// on the asker's clock; for the asker's own statement it is now.
type Statement struct {
	Witness string
	Roll    Roll
	Sent    timing.Instant
}

// A Held roll is the evidence that lets an agent pet: as of Sent, the Roll
// withheld what this Roll withholds (or less, if fences were dropped since).
type Held struct {
	Roll Roll
	Sent timing.Instant
}

// Quorum makes a witness roll out of statements of one history. It returns the
// newest one, or false if no epoch has the quorum.
//
// In each epoch it takes the statements of witnesses that belong to it and for
// which it is active in their own Roll; with at least H of them, the roll's
// send time is the H-th newest of theirs and its content is that of the
// highest serial among all of them. The content of the highest serial suffices: a
// fence whose wait began by the send time was acknowledged by C witnesses, H
// and C overlap, so one of the statements has that fence's serial or a higher
// one (PROTOCOL.md §3, claim 4).
func Quorum(history string, statements []Statement) (Held, bool) {
	var best Held
	found := false
	for _, number := range activeEpochs(history, statements) {
		held, ok := quorumOf(history, number, statements)
		if ok && (!found || held.Sent.After(best.Sent)) {
			best, found = held, true
		}
	}
	return best, found
}

// quorumOf makes the witness roll of one epoch.
func quorumOf(history string, number int64, statements []Statement) (Held, bool) {
	votes := make([]Statement, 0, len(statements))
	need := 0
	for _, s := range statements {
		twice := slices.ContainsFunc(votes, func(v Statement) bool { return v.Witness == s.Witness })
		if e, ok := s.speaksFor(history, number); ok && !twice {
			votes = append(votes, s)
			need = e.Quorum()
		}
	}
	if need == 0 || len(votes) < need {
		return Held{}, false
	}
	slices.SortStableFunc(votes, func(a, b Statement) int { return cmp.Compare(b.Sent.Raw, a.Sent.Raw) })
	held := Held{Sent: votes[0].Sent}
	for _, s := range votes[:need] {
		held.Sent = held.Sent.Earlier(s.Sent)
	}
	for _, s := range votes {
		if s.Roll.Serial > held.Roll.Serial {
			held.Roll = s.Roll
		}
	}
	return held, true
}

// speaksFor returns the epoch if the statement counts in it.
func (s Statement) speaksFor(history string, number int64) (Epoch, bool) {
	if s.Roll.History != history {
		return Epoch{}, false
	}
	for _, e := range s.Roll.Epochs {
		if e.Number == number && !e.Retiring && e.Has(s.Witness) {
			return e, true
		}
	}
	return Epoch{}, false
}

// activeEpochs lists the epochs that some statement holds active, sorted.
func activeEpochs(history string, statements []Statement) []int64 {
	var numbers []int64
	for _, s := range statements {
		if s.Roll.History != history {
			continue
		}
		for _, e := range s.Roll.Epochs {
			if !e.Retiring {
				numbers = append(numbers, e.Number)
			}
		}
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

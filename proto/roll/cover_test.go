package roll_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/picket-dev/picket/proto/roll"
)

// Claim 4 (PROTOCOL.md §3) in one epoch: once C of n witnesses have read the
// withholding, no H of them make a roll that permits the boot. With C−1, the H
// others make one. All choices of who has read and who speaks are tried.
func TestClaim4CoverAndQuorumMeet(t *testing.T) {
	for _, n := range []int{1, 3, 5, 7, 9} {
		e := epoch(1, many(n)...)
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			if by, ok := permitted(e, e.Cover()); ok {
				t.Errorf("C = %d have read, and yet %v permit", e.Cover(), by)
			}
			if _, ok := permitted(e, e.Cover()-1); !ok {
				t.Errorf("with %d, C−1, nobody permits: C is larger than it must be", e.Cover()-1)
			}
		})
	}
}

// permitted looks for a witness roll that permits boot "x" although acks of the
// witnesses hold the Roll that withholds it. Speakers are subsets of bits.
func permitted(e roll.Epoch, acks int) ([]string, bool) {
	n := len(e.Witnesses)
	var statements []roll.Statement
	for i, w := range e.Witnesses {
		s := says(w, int64(i+1), int64(10+i), e)
		if i < acks { // which ones does not matter: all subsets speak
			s.Roll.Serial = 20
			s.Roll.Entries = []roll.Entry{entry("x", roll.Withheld)}
		}
		statements = append(statements, s)
	}
	for set := range 1 << n {
		var some []roll.Statement
		var who []string
		for i, s := range statements {
			if set&(1<<i) != 0 {
				some = append(some, s)
				who = append(who, s.Witness)
			}
		}
		if held, ok := roll.Quorum("h", some); ok && !held.Roll.Withholds("x") {
			return who, true
		}
	}
	return nil, false
}

// Claim 4 with any serials and send times: of statements asked at the start of
// the wait or later, and others asked before, no quorum whose send time is not
// before the start permits the boot.
func TestClaim4ForAnySerialsAndTimes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const start, withheldAt = 100, 50
		e := epoch(1, many(rapid.SampledFrom([]int{1, 3, 5, 7, 9}).Draw(t, "n"))...)
		acked := rapid.Permutation(e.Witnesses).Draw(t, "acked")[:e.Cover()]
		var statements []roll.Statement
		for _, w := range e.Witnesses {
			sent := rapid.Int64Range(start-20, start+20).Draw(t, "sent")
			least := int64(1)
			if sent >= start && slices.Contains(acked, w) {
				least = withheldAt
			}
			s := says(w, rapid.Int64Range(least, 2*withheldAt).Draw(t, "serial"), sent, e)
			if s.Roll.Serial >= withheldAt {
				s.Roll.Entries = []roll.Entry{entry("x", roll.Withheld)}
			}
			if rapid.Bool().Draw(t, "answers") {
				statements = append(statements, s)
			}
		}
		held, ok := roll.Quorum("h", rapid.Permutation(statements).Draw(t, "order"))
		if ok && held.Sent.Raw >= says("", 1, start).Sent.Raw && !held.Roll.Withholds("x") {
			t.Fatalf("%+v permits, with %v acknowledged", held, acked)
		}
	})
}

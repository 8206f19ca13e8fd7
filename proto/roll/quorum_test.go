package roll_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// says returns the witness's statement of a roll with that serial and these
// epochs; at is when it was asked, in seconds.
func says(witness string, serial, at int64, epochs ...roll.Epoch) roll.Statement {
	return roll.Statement{
		Witness: witness,
		Roll:    roll.Roll{History: "h", Serial: serial, Epochs: epochs},
		Sent:    timing.At(time.Duration(at) * time.Second),
	}
}

// old moves a statement to another history.
func old(s roll.Statement) roll.Statement {
	s.Roll.History = "old"
	return s
}

func TestQuorum(t *testing.T) {
	type held struct{ Serial, At int64 }
	e1, e2 := epoch(1, "a", "b", "c"), epoch(2, "c", "d", "e")
	five := epoch(1, "a", "b", "c", "d", "e")
	for name, test := range map[string]struct {
		statements []roll.Statement
		want       *held // nil for none
	}{
		"nobody":           {nil, nil},
		"fewer than H":     {[]roll.Statement{says("a", 1, 10, e1)}, nil},
		"no epochs at all": {[]roll.Statement{says("a", 1, 10), says("b", 1, 10), says("c", 1, 10)}, nil},
		"H of 3: the older send time": {
			[]roll.Statement{says("a", 1, 10, e1), says("b", 1, 12, e1)}, &held{1, 10},
		},
		"all of 3: the second newest send time": {
			[]roll.Statement{says("a", 1, 10, e1), says("b", 1, 12, e1), says("c", 1, 11, e1)}, &held{1, 11},
		},
		"the order of answers does not matter": {
			[]roll.Statement{says("c", 1, 11, e1), says("b", 1, 12, e1), says("a", 1, 10, e1)}, &held{1, 11},
		},
		"the highest serial, by whomever": {
			[]roll.Statement{says("a", 7, 12, e1), says("b", 9, 11, e1)}, &held{9, 11},
		},
		"the highest serial, even of one asked too early to count": {
			[]roll.Statement{says("a", 7, 12, e1), says("b", 8, 11, e1), says("c", 9, 3, e1)}, &held{9, 11},
		},
		"a single witness": {[]roll.Statement{says("a", 4, 10, epoch(1, "a"))}, &held{4, 10}},
		"2 of 5":           {[]roll.Statement{says("a", 1, 1, five), says("b", 1, 2, five)}, nil},
		"3 of 5": {
			[]roll.Statement{says("a", 1, 1, five), says("b", 1, 2, five), says("e", 1, 3, five)}, &held{1, 1},
		},
		"a witness twice counts once": {[]roll.Statement{says("a", 1, 10, e1), says("a", 2, 11, e1)}, nil},
		"a node that is no witness":   {[]roll.Statement{says("a", 1, 10, e1), says("d", 1, 10, e1)}, nil},
		"another history":             {[]roll.Statement{says("a", 1, 10, e1), old(says("b", 1, 10, e1))}, nil},
		"only another history": {
			[]roll.Statement{old(says("a", 1, 10, e1)), old(says("b", 1, 10, e1))}, nil,
		},
		"a retiring epoch": {
			[]roll.Statement{says("a", 1, 10, retiring(e1)), says("b", 1, 10, retiring(e1))}, nil,
		},
		"an epoch that retires for one of the two": {
			[]roll.Statement{says("a", 1, 10, e1), says("b", 2, 10, retiring(e1))}, nil,
		},
		"an epoch that one of the two does not know yet": {
			[]roll.Statement{says("c", 1, 10, e1), says("d", 2, 10, e1, e2)}, nil,
		},
		"different epochs do not add up": {
			[]roll.Statement{says("a", 1, 10, e1), says("d", 1, 10, e2)}, nil,
		},
		"the witness of both counts in each": {
			[]roll.Statement{says("a", 1, 10, e1), says("c", 2, 11, e1, e2), says("d", 2, 12, e1, e2)}, &held{2, 11},
		},
		"the epoch with the newer send time": {
			[]roll.Statement{
				says("a", 1, 20, e1, e2), says("b", 1, 21, e1, e2), says("d", 5, 10, e1, e2), says("e", 5, 10, e1, e2),
			}, &held{1, 20},
		},
		"retiring beside active": {
			[]roll.Statement{says("c", 3, 10, retiring(e1), e2), says("d", 3, 11, retiring(e1), e2)}, &held{3, 10},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got *held
			if h, ok := roll.Quorum("h", test.statements); ok {
				got = &held{h.Roll.Serial, int64(h.Sent.Raw / time.Second)}
				if h.Sent.Raw != h.Sent.Boot {
					t.Errorf("sent %v: the clocks part", h.Sent)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("held roll (-want +got):\n%s", diff)
			}
		})
	}
}

// The send time is the earliest on each clock: a suspension between two
// questions must not make the roll younger on either.
func TestQuorumTakesTheEarlierOfEachClock(t *testing.T) {
	e := epoch(1, "a", "b", "c")
	first, second := says("a", 1, 0, e), says("b", 1, 0, e)
	first.Sent = timing.Instant{Raw: 10, Boot: 10}
	second.Sent = timing.Instant{Raw: 11, Boot: 70}
	held, ok := roll.Quorum("h", []roll.Statement{second, first})
	if want := first.Sent; !ok || held.Sent != want {
		t.Errorf("sent %v, %v; want %v", held.Sent, ok, want)
	}
}

func TestQuorumDoesNotChangeItsInput(t *testing.T) {
	e := epoch(1, "a", "b", "c")
	given := []roll.Statement{says("a", 1, 10, e), says("b", 1, 12, e), says("c", 1, 11, e)}
	want := []roll.Statement{says("a", 1, 10, e), says("b", 1, 12, e), says("c", 1, 11, e)}
	roll.Quorum("h", given)
	if diff := cmp.Diff(want, given); diff != "" {
		t.Errorf("statements (-before +after):\n%s", diff)
	}
}

// Whatever the statements are: a held roll has H distinct witnesses of one
// epoch behind it, each asked at its send time or later, and one more statement
// never makes it older.
func TestQuorumLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		statements := rapid.SliceOfN(aStatement(), 0, 12).Draw(t, "statements")
		held, ok := roll.Quorum("h", statements)
		if ok && !backed(held, statements) {
			t.Fatalf("held roll %+v has no quorum behind it", held)
		}
		newcomer := aStatement().Draw(t, "newcomer")
		more, still := roll.Quorum("h", append(statements, newcomer))
		if ok && (!still || held.Sent.After(more.Sent)) {
			t.Fatalf("one more statement made %+v of %+v", more, held)
		}
	})
}

// backed reports whether, in some epoch, H witnesses were asked no earlier than
// the roll says, and one of the statements is its content.
func backed(held roll.Held, statements []roll.Statement) bool {
	quorum, content := false, false
	for number := int64(1); number <= 3; number++ {
		for _, s := range statements {
			e, speaks := speaksFor(s.Roll, number, s.Witness)
			if !speaks || s.Roll.History != "h" {
				continue
			}
			content = content || cmp.Equal(s.Roll, held.Roll)
			voters := map[string]bool{}
			for _, v := range statements {
				_, votes := speaksFor(v.Roll, number, v.Witness)
				if votes && v.Roll.History == "h" && !held.Sent.After(v.Sent) {
					voters[v.Witness] = true
				}
			}
			quorum = quorum || len(voters) >= e.Quorum()
		}
	}
	return quorum && content
}

// speaksFor says by the text of the design whether a witness that holds this
// Roll may speak for the epoch.
func speaksFor(r roll.Roll, number int64, witness string) (roll.Epoch, bool) {
	for _, e := range r.Epochs {
		if e.Number == number && !e.Retiring && e.Has(witness) {
			return e, true
		}
	}
	return roll.Epoch{}, false
}

// aStatement draws a statement in any of three epochs, or in none.
func aStatement() *rapid.Generator[roll.Statement] {
	sets := map[int64][]string{1: {"a", "b", "c"}, 2: {"c", "d", "e"}, 3: {"a", "b", "c", "d", "e"}}
	return rapid.Custom(func(t *rapid.T) roll.Statement {
		s := says(
			rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}).Draw(t, "witness"),
			rapid.Int64Range(1, 5).Draw(t, "serial"),
			rapid.Int64Range(0, 20).Draw(t, "sent"),
		)
		for number := range int64(3) {
			e := epoch(number+1, sets[number+1]...)
			switch rapid.SampledFrom([]string{"absent", "active", "active", "retiring"}).Draw(t, fmt.Sprint("epoch", number+1)) {
			case "active":
				s.Roll.Epochs = append(s.Roll.Epochs, e)
			case "retiring":
				s.Roll.Epochs = append(s.Roll.Epochs, retiring(e))
			}
		}
		if rapid.IntRange(0, 5).Draw(t, "history") == 0 {
			s = old(s)
		}
		return s
	})
}

package world

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Events come in the order of their times, and those of one time in the order
// in which they were planned, whatever is planned and taken in between.
func TestQueueKeepsOrder(t *testing.T) {
	d := newDice(1, 2)
	type key struct {
		at  time.Duration
		seq uint64
	}
	for range 200 {
		var q queue
		var in, out []key
		var seq uint64
		for range 60 {
			if len(q) > 0 && d.chance(1, 4) {
				e := q.pop()
				out = append(out, key{e.at, e.seq})
				continue
			}
			seq++
			at := time.Duration(d.IntN(8))
			if n := len(out); n > 0 {
				at += out[n-1].at // the past is over
			}
			q.push(event{at: at, seq: seq})
			in = append(in, key{at, seq})
		}
		for len(q) > 0 {
			e := q.pop()
			out = append(out, key{e.at, e.seq})
		}
		slices.SortFunc(in, func(a, b key) int {
			if a.at != b.at {
				return int(a.at - b.at)
			}
			return int(a.seq) - int(b.seq)
		})
		if d := cmp.Diff(in, out, cmp.AllowUnexported(key{})); d != "" {
			t.Fatalf("order (-want +got):\n%s", d)
		}
	}
}

// A clock runs as fast as its rate says, and until is never early.
func TestClockUntilIsNeverEarly(t *testing.T) {
	d := newDice(3, 4)
	for range 2000 {
		c := clock{origin: -d.upTo(time.Hour), raw: pick[int64](d, -500, 0, 500), boot: pick[int64](d, -20500, 0, 20500)}
		now := d.upTo(time.Minute)
		i := c.read(now + d.upTo(time.Minute))
		if at := c.read(c.until(now, i, false)); i.Elapsed(at) < 0 {
			t.Fatalf("%+v: at %+v, %+v has not passed on both clocks", c, at, i)
		}
		if at := c.read(c.until(now, i, true)); !i.Passed(at) {
			t.Fatalf("%+v: at %+v, %+v has passed on no clock", c, at, i)
		}
	}
	fast := clock{raw: 500}
	if got, want := fast.read(time.Second).Raw, time.Second+500*time.Microsecond; got != want {
		t.Errorf("a second on a clock that is 500 ppm fast: %v, want %v", got, want)
	}
}

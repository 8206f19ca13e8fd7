package timing_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/picket-dev/picket/proto/timing"
)

// instant is seconds on both clocks.
func instant(raw, boot int) timing.Instant {
	return timing.Instant{Raw: seconds(raw), Boot: seconds(boot)}
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// Each case is a way in which the clocks part between the two readings.
func TestInstantAnswersByTheSafeClock(t *testing.T) {
	for name, test := range map[string]struct {
		then, now    timing.Instant
		age, elapsed int  // in seconds
		passed       bool // is a deadline at then passed at now?
	}{
		"both agree":                      {instant(10, 10), instant(15, 15), 5, 5, true},
		"suspended for 60 s":              {instant(10, 10), instant(15, 75), 65, 5, true},
		"suspended before both":           {instant(10, 70), instant(15, 75), 5, 5, true},
		"boot clock slewed slower":        {instant(10, 10), instant(20, 19), 10, 9, true},
		"boot clock slewed faster":        {instant(10, 10), instant(20, 21), 11, 10, true},
		"the same moment":                 {instant(10, 70), instant(10, 70), 0, 0, true},
		"ahead on both":                   {instant(15, 15), instant(10, 10), -5, -5, false},
		"ahead on raw, passed in suspend": {instant(15, 15), instant(10, 20), 5, -5, true},
		"ahead on boot only":              {instant(15, 25), instant(20, 20), 5, -5, true},
		"reached on one":                  {instant(15, 15), instant(10, 15), 0, -5, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.then.Age(test.now); got != seconds(test.age) {
				t.Errorf("age %v, want %d s", got, test.age)
			}
			if got := test.then.Elapsed(test.now); got != seconds(test.elapsed) {
				t.Errorf("elapsed %v, want %d s", got, test.elapsed)
			}
			if got := test.then.Passed(test.now); got != test.passed {
				t.Errorf("passed %v, want %v", got, test.passed)
			}
		})
	}
}

func TestInstantAfterAsksBothClocks(t *testing.T) {
	for name, test := range map[string]struct {
		t, u timing.Instant
		want bool
	}{
		"later on both":       {instant(2, 2), instant(1, 1), true},
		"later on raw only":   {instant(2, 1), instant(1, 1), false},
		"later on boot only":  {instant(1, 2), instant(1, 1), false},
		"equal":               {instant(1, 1), instant(1, 1), false},
		"earlier":             {instant(1, 1), instant(2, 2), false},
		"later and earlier":   {instant(2, 1), instant(1, 2), false},
		"after the boot":      {instant(1, 1), timing.Instant{}, true},
		"the boot after none": {timing.Instant{}, timing.Instant{}, false},
	} {
		if got := test.t.After(test.u); got != test.want {
			t.Errorf("%s: %v after %v is %v, want %v", name, test.t, test.u, got, test.want)
		}
	}
}

func TestInstantEarlierAndLaterTakeEachClock(t *testing.T) {
	t1, t2 := instant(1, 7), instant(3, 5)
	if got, want := t1.Earlier(t2), instant(1, 5); got != want {
		t.Errorf("earlier %v, want %v", got, want)
	}
	if got, want := t1.Later(t2), instant(3, 7); got != want {
		t.Errorf("later %v, want %v", got, want)
	}
}

func TestInstantZeroIsTheBoot(t *testing.T) {
	if zero := timing.At(0); !zero.IsZero() {
		t.Errorf("%v is not zero", zero)
	}
	if set := (timing.Instant{Boot: 1}); set.IsZero() {
		t.Errorf("%v is zero", set)
	}
}

func anInstant() *rapid.Generator[timing.Instant] {
	clock := rapid.Int64Range(0, int64(10*365*24*time.Hour))
	return rapid.Custom(func(t *rapid.T) timing.Instant {
		return timing.Instant{
			Raw:  time.Duration(clock.Draw(t, "raw")),
			Boot: time.Duration(clock.Draw(t, "boot")),
		}
	})
}

func TestInstantLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := anInstant().Draw(t, "a"), anInstant().Draw(t, "b"), anInstant().Draw(t, "c")
		d := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "d"))
		for _, law := range []struct {
			name  string
			holds bool
		}{
			{"elapsed is at most the age", a.Elapsed(b) <= a.Age(b)},
			{"turned round, the age is the elapsed time before", a.Age(b) == -b.Elapsed(a)},
			{"ages of two legs cover the whole", a.Age(c) <= a.Age(b)+b.Age(c)},
			{"elapsed times of two legs do not exceed the whole", a.Elapsed(c) >= a.Elapsed(b)+b.Elapsed(c)},
			{"what is not after has passed", a.After(b) == !a.Passed(b)},
			{"an earlier instant is no younger", a.Earlier(b).Age(c) >= max(a.Age(c), b.Age(c))},
			{"a later instant has not more behind it", a.Later(b).Elapsed(c) <= min(a.Elapsed(c), b.Elapsed(c))},
			{"add moves both clocks", a.Add(d).Age(b) == a.Age(b)-d && a.Elapsed(a.Add(d)) == d && a.Add(d).Add(-d) == a},
			{"the zero instant is no younger than any", timing.Instant{}.Age(a) >= b.Age(a)},
		} {
			if !law.holds {
				t.Errorf("a=%v b=%v c=%v d=%v: %s: does not hold", a, b, c, d, law.name)
			}
		}
	})
}

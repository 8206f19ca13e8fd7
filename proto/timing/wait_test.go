package timing_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/picket-dev/picket/proto/timing"
)

// promise is what a node under the profile promises with a usual driver.
func promise(p timing.Profile, timeout time.Duration) timing.Promise {
	return timing.Promise{Armed: true, RollLife: p.RollLife, PetDelay: p.PetDelay, Timeout: timeout, Kappa: 1020}
}

// The sums are those of the design's table, times 1.001 for the drift.
func TestWait(t *testing.T) {
	standard, fast, patient := timing.Standard(), timing.Fast(), timing.Patient()
	for name, test := range map[string]struct {
		promise  timing.Promise
		site     timing.Profile
		wait     time.Duration
		failover time.Duration
	}{
		"standard": {promise(standard, 10*time.Second), standard, 21221200 * time.Microsecond, 29471200 * time.Microsecond},
		"fast":     {promise(fast, 5*time.Second), fast, 12112100 * time.Microsecond, 18362100 * time.Microsecond},
		"patient":  {promise(patient, 10*time.Second), patient, 106306200 * time.Microsecond, 114556200 * time.Microsecond},
		"an ungated ping comes as late as the dog lets it: κT+g+ℓ": {
			timing.Promise{Armed: true, RollLife: 5 * time.Second, PetDelay: time.Second, Timeout: 10 * time.Second, Kappa: 1020, Ungated: 1},
			standard, 34434400 * time.Microsecond, 42684400 * time.Microsecond,
		},
		"an unknown driver counts twice": {
			timing.Promise{Armed: true, RollLife: 5 * time.Second, PetDelay: time.Second, Timeout: 10 * time.Second, Kappa: 2000},
			standard, 31031 * time.Millisecond, 39281 * time.Millisecond,
		},
		"the node's promise counts, not the site's profile": {
			promise(standard, 10*time.Second), fast, (21200 - 2000) * 1001 * time.Microsecond, (21200-2000)*1001*time.Microsecond + 6250*time.Millisecond,
		},
		"fractions count up": {
			timing.Promise{Armed: true, RollLife: 1, PetDelay: 1, Timeout: 1, Kappa: 1001}, timing.Profile{ResetLatency: 1, Drain: 1},
			7, 7,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := timing.Wait(test.promise, test.site); got != test.wait {
				t.Errorf("wait %v, want %v", got, test.wait)
			}
			if got := timing.Failover(test.promise, test.site); got != test.failover {
				t.Errorf("failover %v, want %v", got, test.failover)
			}
		})
	}
}

// The promises of the project: power cut to taint within 30 s, or 20 s.
func TestFailoverKeepsThePromise(t *testing.T) {
	if got := timing.Failover(promise(timing.Standard(), 10*time.Second), timing.Standard()); got > 30*time.Second {
		t.Errorf("standard: %v, want at most 30 s", got)
	}
	if got := timing.Failover(promise(timing.Fast(), 5*time.Second), timing.Fast()); got > 20*time.Second {
		t.Errorf("fast: %v, want at most 20 s", got)
	}
}

func TestRealTimeoutRoundsUp(t *testing.T) {
	for _, test := range []struct {
		timeout time.Duration
		kappa   int
		want    time.Duration
	}{
		{10 * time.Second, 1020, 10200 * time.Millisecond},
		{10 * time.Second, 1000, 10 * time.Second},
		{10 * time.Second, 2000, 20 * time.Second},
		{1, 1001, 2},
		{999, 1001, 1000},
	} {
		if got := (timing.Promise{Timeout: test.timeout, Kappa: test.kappa}).RealTimeout(); got != test.want {
			t.Errorf("κ=%d/1000, T=%v: %v, want %v", test.kappa, test.timeout, got, test.want)
		}
	}
}

// aTerm draws a time that Validate allows, the extremes included.
func aTerm() *rapid.Generator[time.Duration] {
	return rapid.OneOf(
		rapid.Map(rapid.Int64Range(1, int64(timing.MaxTerm)), func(d int64) time.Duration { return time.Duration(d) }),
		rapid.SampledFrom([]time.Duration{1, time.Second, 5 * time.Second, 10 * time.Second, timing.MaxTerm}),
	)
}

// aPromise draws an armed promise that Validate allows.
func aPromise() *rapid.Generator[timing.Promise] {
	return rapid.Custom(func(t *rapid.T) timing.Promise {
		return timing.Promise{
			Armed:    true,
			RollLife: aTerm().Draw(t, "L"),
			PetDelay: aTerm().Draw(t, "δ"),
			Timeout:  aTerm().Draw(t, "T"),
			Kappa:    rapid.IntRange(1000, 10000).Draw(t, "κ"),
			Ungated:  rapid.IntRange(0, 8).Draw(t, "u"),
		}
	})
}

func aSite() *rapid.Generator[timing.Profile] {
	return rapid.Custom(func(t *rapid.T) timing.Profile {
		return timing.Profile{ResetLatency: aTerm().Draw(t, "g+ℓ"), Drain: aTerm().Draw(t, "Q")}
	})
}

// No term may get longer without the wait getting longer by at least as much,
// over all that Validate allows: an overflow would show here as well.
func TestWaitGrowsWithEachTerm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, site := aPromise().Draw(t, "promise"), aSite().Draw(t, "site")
		if err := p.Validate(); err != nil {
			t.Fatalf("the promise drawn is not valid: %v", err)
		}
		d := time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "d"))
		wait := timing.Wait(p, site)
		if sum := p.RollLife + p.PetDelay + p.RealTimeout() + site.ResetLatency + site.Drain; wait <= sum {
			t.Fatalf("wait %v is not longer than its terms, %v", wait, sum)
		}
		for name, grow := range map[string]func(*timing.Promise, *timing.Profile){
			"L":   func(p *timing.Promise, _ *timing.Profile) { p.RollLife += d },
			"δ":   func(p *timing.Promise, _ *timing.Profile) { p.PetDelay += d },
			"T":   func(p *timing.Promise, _ *timing.Profile) { p.Timeout += d },
			"g+ℓ": func(_ *timing.Promise, s *timing.Profile) { s.ResetLatency += d },
			"Q":   func(_ *timing.Promise, s *timing.Profile) { s.Drain += d },
		} {
			q, s := p, site
			grow(&q, &s)
			if got := timing.Wait(q, s); got < wait+d {
				t.Errorf("%s longer by %v: wait %v after %v", name, d, got, wait)
			}
		}
		q := p
		q.Ungated++
		if got := timing.Wait(q, site); got < wait+p.RealTimeout() {
			t.Errorf("one more ungated ping: wait %v after %v", got, wait)
		}
		q = p
		q.Kappa++
		if got := timing.Wait(q, site); got < wait || got == wait && p.Timeout >= 1000 {
			t.Errorf("a larger κ: wait %v after %v", got, wait)
		}
	})
}

func TestWaitAtTheLimitsDoesNotOverflow(t *testing.T) {
	p := timing.Promise{
		Armed: true, RollLife: timing.MaxTerm, PetDelay: timing.MaxTerm,
		Timeout: timing.MaxTerm, Kappa: 10000, Ungated: 8,
	}
	if err := p.Validate(); err != nil {
		t.Fatalf("the longest promise is not valid: %v", err)
	}
	site := timing.Profile{ResetLatency: timing.MaxTerm, Drain: timing.MaxTerm}
	// L, δ and Q are one term each; 1+u of κT are ninety, and nine of g+ℓ.
	if got, want := timing.Wait(p, site), 102*timing.MaxTerm*1001/1000; got != want {
		t.Errorf("wait %v, want %v", got, want)
	}
}

func TestHarder(t *testing.T) {
	base := promise(timing.Standard(), 10*time.Second)
	with := func(change func(*timing.Promise)) timing.Promise {
		q := base
		change(&q)
		return q
	}
	for name, test := range map[string]struct {
		p, q timing.Promise
		want bool
	}{
		"the same":                  {base, base, false},
		"a longer L":                {base, with(func(q *timing.Promise) { q.RollLife++ }), true},
		"a shorter L":               {base, with(func(q *timing.Promise) { q.RollLife-- }), false},
		"a longer δ":                {base, with(func(q *timing.Promise) { q.PetDelay++ }), true},
		"a longer T":                {base, with(func(q *timing.Promise) { q.Timeout += time.Second }), true},
		"a larger κ":                {base, with(func(q *timing.Promise) { q.Kappa++ }), true},
		"half the T at twice the κ": {base, with(func(q *timing.Promise) { q.Timeout, q.Kappa = q.Timeout/2, q.Kappa*2 }), false},
		"an ungated ping":           {base, with(func(q *timing.Promise) { q.Ungated++ }), true},
		"shorter T but longer L": {
			base, with(func(q *timing.Promise) { q.RollLife += time.Second; q.Timeout /= 2 }), true,
		},
		"unarmed":                {base, timing.Promise{}, true},
		"armed again":            {timing.Promise{}, base, false},
		"still unarmed":          {timing.Promise{}, timing.Promise{}, false},
		"unarmed with odd terms": {timing.Promise{}, timing.Promise{RollLife: time.Hour}, false},
	} {
		if got := test.p.Harder(test.q); got != test.want {
			t.Errorf("%s: harder is %v, want %v", name, got, test.want)
		}
	}
}

// aPromiseOrNone draws unarmed promises too.
func aPromiseOrNone() *rapid.Generator[timing.Promise] {
	return rapid.OneOf(aPromise(), aPromise(), aPromise(), rapid.Just(timing.Promise{}))
}

// The handshake rests on these: what is not harder needs no publishing, since
// the wait that the controller knows covers it.
func TestHarderAndHardestLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, q, r := aPromiseOrNone().Draw(t, "p"), aPromiseOrNone().Draw(t, "q"), aPromiseOrNone().Draw(t, "r")
		site := aSite().Draw(t, "site")
		// covers says that a wait for a is long enough for b.
		covers := func(a, b timing.Promise) bool {
			return !a.Armed || b.Armed && timing.Wait(a, site) >= timing.Wait(b, site)
		}
		h := p.Hardest(q)
		for _, law := range []struct {
			name  string
			holds bool
		}{
			{"nothing is harder than itself", !p.Harder(p)},
			{"what is not harder is covered", p.Harder(q) || covers(p, q)},
			{"not harder twice is not harder", p.Harder(q) || q.Harder(r) || !p.Harder(r)},
			{"neither is harder than the hardest", !h.Harder(p) && !h.Harder(q)},
			{"the hardest covers both", covers(h, p) && covers(h, q)},
			{"no other cover is shorter", r.Harder(p) || r.Harder(q) || covers(r, h)},
			{"the order does not matter", same(h, q.Hardest(p))},
			{"the grouping does not matter", same(h.Hardest(r), p.Hardest(q.Hardest(r)))},
			{"the hardest with itself", same(p.Hardest(p), p)},
			{"the hardest of valid ones is valid", !h.Armed || h.Validate() == nil},
		} {
			if !law.holds {
				t.Errorf("p=%+v q=%+v r=%+v: %s: does not hold", p, q, r, law.name)
			}
		}
	})
}

// same reports whether neither is harder than the other.
func same(p, q timing.Promise) bool { return !p.Harder(q) && !q.Harder(p) }

func TestPromiseValidateNamesWhatIsWrong(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*timing.Promise)
		want   string // "" for none
	}{
		"nothing":            {func(*timing.Promise) {}, ""},
		"unarmed":            {func(p *timing.Promise) { p.Armed = false }, "not armed"},
		"no L":               {func(p *timing.Promise) { p.RollLife = 0 }, "rollLife"},
		"negative L":         {func(p *timing.Promise) { p.RollLife = -1 }, "rollLife"},
		"endless L":          {func(p *timing.Promise) { p.RollLife = timing.MaxTerm + 1 }, "rollLife"},
		"no δ":               {func(p *timing.Promise) { p.PetDelay = 0 }, "petDelay"},
		"endless δ":          {func(p *timing.Promise) { p.PetDelay = timing.MaxTerm + 1 }, "petDelay"},
		"no T":               {func(p *timing.Promise) { p.Timeout = 0 }, "timeout"},
		"endless T":          {func(p *timing.Promise) { p.Timeout = timing.MaxTerm + 1 }, "timeout"},
		"κ below 1":          {func(p *timing.Promise) { p.Kappa = 999 }, "κ"},
		"κ of zero":          {func(p *timing.Promise) { p.Kappa = 0 }, "κ"},
		"κ above 10":         {func(p *timing.Promise) { p.Kappa = 10001 }, "κ"},
		"fewer pings than 0": {func(p *timing.Promise) { p.Ungated = -1 }, "ungated"},
		"too many pings":     {func(p *timing.Promise) { p.Ungated = 9 }, "ungated"},
	} {
		t.Run(name, func(t *testing.T) {
			p := promise(timing.Standard(), 10*time.Second)
			test.change(&p)
			wantOneLine(t, p.Validate(), test.want)
		})
	}
}

// wantOneLine wants no error for "", else one of a single line with that text.
func wantOneLine(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("error %q, want none", err)
	case want == "":
	case err == nil:
		t.Errorf("no error, want one with %q", want)
	case !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n"):
		t.Errorf("error %q, want only one with %q", err, want)
	}
}

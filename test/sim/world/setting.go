package world

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/timing"
)

// A Setting is everything that is decided before a schedule begins.
type Setting struct {
	Seed     uint64
	Nodes    int // at the start; Spare more may join
	Spare    int
	Profile  timing.Profile
	Policy   plan.Policy
	Cold     bool          // nothing has run yet: no Roll, nobody armed
	Hop      time.Duration // a message on a healthy link needs at most this, and a sixteenth
	Patience time.Duration // bounds a call of the API
	Lag      time.Duration // a watch is at most so far behind
	Gear     []Gear        // of each machine
	Span     time.Duration // faults are over then
	Faults   []Fault
}

// Gear is what a machine is made of, and how bad it is within its bounds.
type Gear struct {
	Domain       string
	ControlPlane bool
	Ungated      int           // u: 1 if the device ends with its holder
	Nowayout     bool          // a magic close does not stop it
	Kappa        int           // κ·1000, as published
	Real         int           // κ·1000, in truth
	Round        time.Duration // the driver makes a multiple of it
	Latency      time.Duration // g+ℓ, in truth
	Drain        time.Duration // Q, in truth
	Raw, Boot    int64         // clock rates, in parts per million
	Forbidden    bool          // the host does not want it armed (A12)
}

// A dice throws for one seed. Seeds that are near each other would begin alike
// in PCG.
type dice struct{ *rand.Rand }

func newDice(seed, stream uint64) dice {
	return dice{rand.New(rand.NewPCG(seed*0x9e3779b97f4a7c15+stream, ^seed))}
}

func (d dice) chance(n, of int) bool { return d.IntN(of) < n }

// upTo returns a time in [0, most).
func (d dice) upTo(most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	return time.Duration(d.Int64N(int64(most)))
}

// worst returns the bound in half of all cases, and else less.
func (d dice) worst(bound time.Duration) time.Duration {
	if d.chance(1, 2) {
		return bound
	}
	return d.upTo(bound)
}

func pick[T any](d dice, of ...T) T { return of[d.IntN(len(of))] }

// Draw returns the setting of a seed.
func Draw(seed uint64) Setting {
	d := newDice(seed, 0)
	s := Setting{Seed: seed, Nodes: drawSize(d), Profile: drawProfile(d)}
	r := s.Profile.RollInterval
	s.Spare = pick(d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
	s.Cold = d.chance(1, 16)
	s.Hop = pick(d, r/200, r/200, r/50, r/20)
	s.Patience = pick(d, r/2, r)
	s.Lag = pick(d, r/100, r/100, r/20, r/4)
	s.Policy = plan.Policy{Profile: s.Profile, MaxWithheld: pick(d, 49, 49, 70), AcceptTwoNodes: s.Nodes < 3 && d.chance(3, 4)}
	if d.chance(1, 8) {
		s.Policy.NotReadyAfter = 2 * r
	}
	masters := pick(d, 0, 0, 0, 1, 3)
	for i := range s.Nodes + s.Spare {
		s.Gear = append(s.Gear, drawGear(d, s.Profile, i < masters))
	}
	s.drawFaults(d)
	return s
}

// drawSize returns a number of nodes: mostly the fewest that make a quorum.
func drawSize(d dice) int {
	switch n := d.IntN(32); {
	case n < 2:
		return 4
	case n < 4:
		return 5
	case n < 5:
		return 2
	case n < 6:
		return 6 + d.IntN(2)
	}
	return 3
}

// drawProfile returns a profile with few reads in a roll's life, in which each
// term of the wait counts: what is long in it is long against the roll interval.
func drawProfile(d dice) timing.Profile {
	r := pick(d, 400*time.Millisecond, 500*time.Millisecond, 500*time.Millisecond, time.Second)
	p := timing.Profile{
		Heartbeat: r, Misses: 2, RollInterval: r, RollLife: pick(d, 4*r, 4*r, 4*r, 6*r),
		RealTimeout: pick(d, 3*r/2, 2*r, 4*r), GateReads: pick(d, 5, 5, 6),
		PetDelay: pick(d, r/4, r, 7*r/5), ResetLatency: pick(d, r/8, r/8, 2*r), Drain: pick(d, r/8, r/8, 2*r),
		RejoinGuard: pick(d, r/4, r/4, r),
	}
	p.ShutdownTimeout = pick(d, p.RealTimeout, 2*p.RealTimeout)
	return p
}

func drawGear(d dice, p timing.Profile, master bool) Gear {
	kappa := pick(d, 1000, 1020, 2000)
	g := Gear{
		Domain: pick(d, "", "", "z1", "z2"), ControlPlane: master, Ungated: pick(d, 0, 0, 1), Kappa: kappa,
		Real: pick(d, kappa, kappa, 1000), Round: pick(d, 0, 0, 300*time.Millisecond), Latency: d.worst(p.ResetLatency), Drain: d.worst(p.Drain),
		Raw: pick[int64](d, -500, 0, 500),
	}
	g.Boot = g.Raw + pick[int64](d, 0, 0, 0, -20000, 20000)
	g.Nowayout = g.Ungated == 0 && d.chance(1, 4)
	g.Forbidden = d.chance(1, 60)
	return g
}

// String tells the setting to people.
func (s Setting) String() string {
	p := s.Profile
	var text strings.Builder
	fmt.Fprintf(&text, "%d nodes", s.Nodes)
	if s.Spare > 0 {
		fmt.Fprintf(&text, " and %d to come", s.Spare)
	}
	if s.Cold {
		text.WriteString(", from nothing")
	}
	fmt.Fprintf(&text, "; roll every %v, L %v, κT ≤ %v, δ %v, g+ℓ %v, Q %v, r %d, guard %v; hop %v, watch lag %v, faults until %v",
		p.RollInterval, p.RollLife, p.RealTimeout, p.PetDelay, p.ResetLatency, p.Drain, p.GateReads, p.RejoinGuard, s.Hop, s.Lag, s.Span)
	for i, g := range s.Gear {
		fmt.Fprintf(&text, "\n  n%d: u=%d κ=%d (truly %d), clocks %+d/%+d ppm", i+1, g.Ungated, g.Kappa, g.Real, g.Raw, g.Boot)
		if g.Forbidden {
			text.WriteString(", must not be armed")
		}
	}
	for _, f := range s.Faults {
		text.WriteString("\n  fault: " + f.String())
	}
	return text.String()
}

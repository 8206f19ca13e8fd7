package timing

import (
	"errors"
	"fmt"
	"time"
)

// A Promise is what an armed node publishes about itself and keeps: the bounds
// from which the controller computes how long the node can outlive its last
// roll. An unarmed node promises nothing.
type Promise struct {
	Armed bool
	// RollLife is L, PetDelay is δ: as in Profile.
	RollLife time.Duration
	PetDelay time.Duration
	// Timeout is T, the watchdog's nominal timeout as the driver reports it.
	Timeout time.Duration
	// Kappa is κ·1000, the real time to a reset over the nominal one: 1020 for
	// most drivers, 2000 where it is not known or the dog bites at the second
	// expiry. At least 1000.
	Kappa int
	// Ungated is u, the number of pings that may reach the device without a
	// roll: 0 where the holder outlives the pod, else 1 (an unclean close
	// pings).
	Ungated int
}

// RealTimeout returns κT, rounded up.
func (p Promise) RealTimeout() time.Duration {
	return (p.Timeout*time.Duration(p.Kappa) + 999) / 1000
}

// Harder reports whether a node under promise q may outlive one under p, in
// any term: then q must be published before it is used. Unarmed is hardest.
func (p Promise) Harder(q Promise) bool {
	if !p.Armed || !q.Armed {
		return p.Armed && !q.Armed
	}
	return q.RollLife > p.RollLife || q.PetDelay > p.PetDelay ||
		q.RealTimeout() > p.RealTimeout() || q.Ungated > p.Ungated
}

// Hardest returns the promise that covers both p and q: whoever keeps either
// of them keeps it.
func (p Promise) Hardest(q Promise) Promise {
	if !p.Armed || !q.Armed {
		return Promise{}
	}
	h := p
	if q.RealTimeout() > p.RealTimeout() {
		h.Timeout, h.Kappa = q.Timeout, q.Kappa
	}
	h.RollLife = max(p.RollLife, q.RollLife)
	h.PetDelay = max(p.PetDelay, q.PetDelay)
	h.Ungated = max(p.Ungated, q.Ungated)
	return h
}

// Validate returns an error for a promise that no armed node can mean. A
// controller must not compute a wait from such a promise.
func (p Promise) Validate() error {
	var errs []error
	require := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	require(p.Armed, "the node is not armed")
	for _, d := range []struct {
		name string
		d    time.Duration
	}{{"rollLife", p.RollLife}, {"petDelay", p.PetDelay}, {"timeout", p.Timeout}} {
		require(d.d > 0 && d.d <= MaxTerm, "0 < %s ≤ %v does not hold: it is %v", d.name, MaxTerm, d.d)
	}
	require(p.Kappa >= 1000 && p.Kappa <= 10000, "1 ≤ κ ≤ 10 does not hold: it is %d/1000", p.Kappa)
	require(p.Ungated >= 0 && p.Ungated <= 8, "0 ≤ ungated pings ≤ 8 does not hold: it is %d", p.Ungated)
	return errors.Join(errs...)
}

// drift is 1/ρ: raw clocks of two hosts differ by at most one part in so many.
const drift = 1000

// Wait returns W, the time after the controller's reading c at which no boot
// that keeps the promise p can write any more:
//
//	W = (L + δ + (1+u)·(κT + g+ℓ) + Q) · (1+ρ)
//
// rounded up: an ungated ping may come as late as the dog lets it, g behind κT.
// The profile gives g+ℓ and Q, which are facts of the site; the node promises the
// rest. Each term is argued in PROTOCOL.md §5.
func Wait(p Promise, site Profile) time.Duration {
	sum := p.RollLife + p.PetDelay + site.Drain +
		time.Duration(1+p.Ungated)*(p.RealTimeout()+site.ResetLatency)
	return sum + (sum+drift-1)/drift
}

// Failover bounds the time from a node's death to the out-of-service taint:
// detection, the wait, and the rejoin guard.
func Failover(p Promise, site Profile) time.Duration {
	return site.Detection() + Wait(p, site) + site.RejoinGuard
}

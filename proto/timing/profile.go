package timing

import (
	"errors"
	"fmt"
	"time"
)

// A Profile is the set of times that a whole cluster agrees on. The controller
// hands it to every agent; Standard, Fast and Patient are the ones shipped.
type Profile struct {
	// Heartbeat is the interval at which an agent asks each neighbour for a
	// sign of life; after Misses unanswered ones the neighbour counts as lost.
	Heartbeat time.Duration
	Misses    int

	// RollInterval is how often an agent reads the Roll from the API in a
	// small cluster; while a fence is open, witnesses read twice as often.
	RollInterval time.Duration

	// RollLife is L: an agent may pet only while it holds a roll younger than
	// this. Longer survives longer outages of API and peers together, and adds
	// the same amount to the wait.
	RollLife time.Duration

	// RealTimeout bounds κT, the real time from the last pet to the reset. The
	// agent chooses the nominal timeout T from it and from the driver's κ.
	RealTimeout time.Duration

	// GateReads is r: so many consecutive fresh reads of the witnesses must
	// have shown a suspicion before it may become a withholding.
	GateReads int

	// PetDelay is δ: the holder's bound from its check of the deadline to the
	// completed ping. It resets the node when the bound is broken.
	PetDelay time.Duration

	// ResetLatency is g+ℓ: the watchdog's granularity plus the time from its
	// expiry until the machine has truly stopped.
	ResetLatency time.Duration

	// Drain is Q: how long a write that already left the host may take to
	// reach the storage.
	Drain time.Duration

	// RejoinGuard lies between the quarantine that keeps a booting kubelet
	// from resuming old pods and the last look for life before the taint.
	RejoinGuard time.Duration

	// ShutdownTimeout is the long T under which a host shuts down in order.
	ShutdownTimeout time.Duration
}

// Standard returns the default profile: power cut to taint in about 29 s.
func Standard() Profile {
	return Profile{
		Heartbeat:       500 * time.Millisecond,
		Misses:          4,
		RollInterval:    time.Second,
		RollLife:        5 * time.Second,
		RealTimeout:     10200 * time.Millisecond,
		GateReads:       6,
		PetDelay:        time.Second,
		ResetLatency:    3 * time.Second,
		Drain:           2 * time.Second,
		RejoinGuard:     2 * time.Second,
		ShutdownTimeout: 5 * time.Minute,
	}
}

// Fast returns the profile for quick networks and watchdogs: power cut to
// taint in about 18 s.
func Fast() Profile {
	p := Standard()
	p.RollInterval = 500 * time.Millisecond
	p.RollLife = 3 * time.Second
	p.RealTimeout = 5100 * time.Millisecond
	p.ResetLatency = 2 * time.Second
	p.Drain = time.Second
	return p
}

// Patient returns the profile that survives the reboot of a switch without a
// reset: L is 90 s, and so much longer is the failover.
func Patient() Profile {
	p := Standard()
	p.RollLife = 90 * time.Second
	return p
}

// Named returns the shipped profile of that name: standard, fast or patient.
func Named(name string) (Profile, error) {
	switch name {
	case "standard":
		return Standard(), nil
	case "fast":
		return Fast(), nil
	case "patient":
		return Patient(), nil
	}
	return Profile{}, fmt.Errorf("unknown profile %q: use standard, fast or patient", name)
}

// LostAfter returns how long a neighbour may leave pings unanswered before it
// counts as lost. Half a heartbeat lets the last ping's answer arrive.
func (p Profile) LostAfter() time.Duration {
	return time.Duration(p.Misses)*p.Heartbeat + p.Heartbeat/2
}

// GateInterval returns the interval at which witnesses read the Roll while a
// fence is open: half the roll interval.
func (p Profile) GateInterval() time.Duration { return p.RollInterval / 2 }

// Detection bounds the time from a node's death until the wait begins: the
// neighbours' misses (the last answered ping was sent at most one heartbeat
// before the death), the gate of fresh reads, and one more read that
// acknowledges the withholding.
func (p Profile) Detection() time.Duration {
	return p.LostAfter() + time.Duration(p.GateReads+1)*p.GateInterval() + p.GateInterval()
}

// Validate returns an error that names every inequality which p breaks, with
// its two sides.
func (p Profile) Validate() error {
	var errs []error
	require := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	for _, d := range []struct {
		name string
		d    time.Duration
	}{
		{"heartbeat", p.Heartbeat}, {"rollInterval", p.RollInterval}, {"rollLife", p.RollLife},
		{"realTimeout", p.RealTimeout}, {"petDelay", p.PetDelay}, {"resetLatency", p.ResetLatency},
		{"drain", p.Drain}, {"rejoinGuard", p.RejoinGuard}, {"shutdownTimeout", p.ShutdownTimeout},
	} {
		switch {
		case d.d <= 0:
			errs = append(errs, fmt.Errorf("%s > 0 does not hold: it is %v", d.name, d.d))
		case d.d > MaxTerm:
			errs = append(errs, fmt.Errorf("%s ≤ %v does not hold: it is %v", d.name, MaxTerm, d.d))
		}
	}
	require(p.Misses >= 2, "misses ≥ 2 does not hold: it is %d; one lost packet must not accuse a node", p.Misses)
	require(p.GateReads >= MinGateReads,
		"gateReads ≥ %d does not hold: it is %d; a live node must have the time to refute (its poll period in reads, plus 3)",
		MinGateReads, p.GateReads)
	for _, c := range []struct {
		name string
		n    int
	}{{"misses", p.Misses}, {"gateReads", p.GateReads}} {
		require(c.n <= MaxCount, "%s ≤ %d does not hold: it is %d", c.name, MaxCount, c.n)
	}
	require(2*p.RollInterval <= p.RollLife/2,
		"2·rollInterval ≤ rollLife/2 does not hold: %v > %v; one lost read must not use up half of a roll's life",
		2*p.RollInterval, p.RollLife/2)
	require(p.Heartbeat <= p.RollLife/4,
		"heartbeat ≤ rollLife/4 does not hold: %v > %v; a relay must arrive well within a roll's life",
		p.Heartbeat, p.RollLife/4)
	require(p.PetDelay < p.RealTimeout,
		"petDelay < realTimeout does not hold: %v ≥ %v; the bound on a pet must be shorter than the watchdog",
		p.PetDelay, p.RealTimeout)
	require(p.ShutdownTimeout >= p.RealTimeout,
		"shutdownTimeout ≥ realTimeout does not hold: %v < %v", p.ShutdownTimeout, p.RealTimeout)
	return errors.Join(errs...)
}

const (
	// MinGateReads is the least r: a node reads the Roll every second gate
	// interval, and the model needs that period plus 3 (PROTOCOL.md §4).
	MinGateReads = 5
	// MaxTerm bounds each time of a Profile or Promise, so that no sum of
	// them can overflow.
	MaxTerm = 24 * time.Hour
	// MaxCount bounds each number of a Profile that multiplies a time, for the
	// same reason.
	MaxCount = 1000
)

package timing

import "time"

// An Instant is a reading of two clocks of one host, taken together: the time
// since boot on CLOCK_MONOTONIC_RAW, which never slews but stands still while
// the host is suspended, and on CLOCK_BOOTTIME, which counts suspension but may
// be slewed by a time daemon (up to 10 %).
//
// Neither is right alone, so every question is answered by the clock that is
// safe for it: Age by the larger difference, Elapsed by the smaller one.
// Instants of different hosts, or of different boots of one host, must not be
// compared. The zero Instant is the boot itself: infinitely old in practice.
type Instant struct {
	Raw  time.Duration // CLOCK_MONOTONIC_RAW since boot
	Boot time.Duration // CLOCK_BOOTTIME since boot
}

// At returns the Instant d after the boot on both clocks. Tests and simulators
// with one ideal clock use it.
func At(d time.Duration) Instant { return Instant{Raw: d, Boot: d} }

// Add returns the Instant d later on both clocks; d may be negative.
func (t Instant) Add(d time.Duration) Instant {
	return Instant{Raw: t.Raw + d, Boot: t.Boot + d}
}

// Age returns how much time has passed from t to now, at most: evidence counts
// as old as it may be.
func (t Instant) Age(now Instant) time.Duration {
	return max(now.Raw-t.Raw, now.Boot-t.Boot)
}

// Elapsed returns how much time has passed from t to now, at least: whoever
// waits for something to have died waits by this one.
func (t Instant) Elapsed(now Instant) time.Duration {
	return min(now.Raw-t.Raw, now.Boot-t.Boot)
}

// Passed reports whether the deadline t has passed at now, on either clock.
// A deadline that is reached has passed.
func (t Instant) Passed(now Instant) bool { return t.Age(now) >= 0 }

// After reports whether t is later than u on both clocks.
func (t Instant) After(u Instant) bool { return t.Raw > u.Raw && t.Boot > u.Boot }

// IsZero reports whether t was never set.
func (t Instant) IsZero() bool { return t == Instant{} }

// Earlier returns the earlier of t and u on each clock.
func (t Instant) Earlier(u Instant) Instant {
	return Instant{Raw: min(t.Raw, u.Raw), Boot: min(t.Boot, u.Boot)}
}

// Later returns the later of t and u on each clock.
func (t Instant) Later(u Instant) Instant {
	return Instant{Raw: max(t.Raw, u.Raw), Boot: max(t.Boot, u.Boot)}
}

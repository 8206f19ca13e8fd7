package world

import (
	"time"

	"github.com/picket-dev/picket/proto/timing"
)

// A clock is one host's pair of clocks, in the world's time. Both count from
// origin, and run fast by so many parts in a million.
type clock struct {
	origin    time.Duration
	raw, boot int64
}

const million = 1_000_000

func (c clock) read(t time.Duration) timing.Instant {
	d := t - c.origin
	return timing.Instant{
		Raw:  d + d*time.Duration(c.raw)/million,
		Boot: d + d*time.Duration(c.boot)/million,
	}
}

// until returns the instant of the world at which i has passed on both clocks;
// on one of them, if either is true.
func (c clock) until(now time.Duration, i timing.Instant, either bool) time.Duration {
	at := c.read(now)
	raw := (i.Raw - at.Raw) * million / time.Duration(million+c.raw)
	boot := (i.Boot - at.Boot) * million / time.Duration(million+c.boot)
	left := max(raw, boot)
	if either {
		left = min(raw, boot)
	}
	if left < 0 {
		return now
	}
	return now + left + 2*time.Microsecond // what integers lose
}

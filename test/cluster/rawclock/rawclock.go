// Package rawclock reads CLOCK_MONOTONIC_RAW, the one clock of a cluster test.
//
// The test and all processes of its machines share this kernel, so their raw
// times compare directly: pings in the watchdog's log, writes in the disks'
// logs and events in the scenario's timeline lie on one axis. It refuses to
// know the wall clock, which steps and slews.
package rawclock

import (
	"time"

	"golang.org/x/sys/unix"
)

// Now is the raw monotonic time since this host's boot.
func Now() time.Duration {
	var ts unix.Timespec
	// The call cannot fail for a clock that every Linux since 2.6.28 has.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC_RAW, &ts)
	return time.Duration(ts.Nano())
}

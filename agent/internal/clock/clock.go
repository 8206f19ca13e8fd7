package clock

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/proto/timing"
)

// Now returns the present on CLOCK_MONOTONIC_RAW and CLOCK_BOOTTIME, without
// allocating. RAW is read first, so a thread that is stopped between the two
// reads sees a BOOTTIME that is late, never early: a deadline may seem nearer
// than it is.
//
// It panics where the kernel has no such clock (before Linux 2.6.39): without
// one nothing can be promised.
//
// Both clocks belong to the time namespace of the process. Processes that
// exchange Instants must share one; the holder's client checks that they do.
func Now() timing.Instant {
	raw := read(unix.CLOCK_MONOTONIC_RAW)
	return timing.Instant{Raw: raw, Boot: read(unix.CLOCK_BOOTTIME)}
}

func read(id int32) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(id, &ts); err != nil {
		panic("read clock of this host: " + err.Error())
	}
	return time.Duration(ts.Nano())
}

package clock

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/proto/timing"
)

// Now returns the present on CLOCK_MONOTONIC_RAW and CLOCK_BOOTTIME. It panics
// where the kernel has no such clock: without one no wait can be trusted.
func Now() timing.Instant {
	return timing.Instant{Raw: read(unix.CLOCK_MONOTONIC_RAW), Boot: read(unix.CLOCK_BOOTTIME)}
}

func read(id int32) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(id, &ts); err != nil {
		panic("read clock of this host: " + err.Error())
	}
	return time.Duration(ts.Nano())
}

package main

import (
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/proto/timing"
)

// wake is what ends the loop's poll beside the agent.
type wake struct {
	alarm   int // a timer on CLOCK_BOOTTIME, which fires at once after a suspension
	signals int // readable after a SIGTERM
}

func newWake() (*wake, error) {
	alarm, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("make timer: %w", err)
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("make event: %w", err)
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGTERM, unix.SIGINT)
	// A write to a terminal or log that is gone must not end the holder.
	signal.Ignore(unix.SIGHUP, unix.SIGPIPE)
	go func() {
		one := []byte{1, 0, 0, 0, 0, 0, 0, 0}
		for range c {
			_, _ = unix.Write(fd, one)
		}
	}()
	return &wake{alarm: alarm, signals: fd}, nil
}

// at sets the alarm for the instant t, by whichever clock reaches it first.
func (w *wake) at(t, now timing.Instant) error {
	wait := max(-t.Age(now), time.Nanosecond)
	return unix.TimerfdSettime(w.alarm, unix.TFD_TIMER_ABSTIME,
		&unix.ItimerSpec{Value: unix.NsecToTimespec(int64(now.Boot + wait))}, nil)
}

// never stops the alarm.
func (w *wake) never() error {
	return unix.TimerfdSettime(w.alarm, 0, &unix.ItimerSpec{}, nil)
}

// signalled reports, once, that a SIGTERM has come.
func (w *wake) signalled() bool {
	var b [8]byte
	n, _ := unix.Read(w.signals, b[:])
	return n > 0
}

package main

import (
	"time"

	"github.com/picket-dev/picket/agent/internal/watchdog"
)

// A device is an open watchdog. All but Close ping it.
type device interface {
	// Ping restarts the timeout.
	Ping() error
	// SetTimeout sets the timeout, rounded up to what the device can count,
	// and returns the one in force, as the device reports it, also with an
	// error; zero where it cannot tell.
	SetTimeout(time.Duration) (time.Duration, error)
	// Close stops the device and gives it up. After an error it may still
	// run.
	Close() error
}

// An opener knows the one device of the configuration.
type opener interface {
	// Inspect returns what can be known of the device without opening it, and
	// whether it runs.
	Inspect() (watchdog.Facts, watchdog.Answer, error)
	// Open opens the device to be used with a timeout of want, or refuses it
	// with an error that says what to do next. Resume says that a running
	// device is ours; else it is refused. A descriptor that was handed to this
	// process is used first.
	Open(want time.Duration, resume bool) (opened, error)
}

// opened is a device with what is known about it.
type opened struct {
	device
	facts watchdog.Facts
	// timeout in force.
	timeout time.Duration
	// stored says that the service manager keeps the descriptor, too.
	stored bool
}

// A resetter resets the host at once. Where it returns, the host lives on.
type resetter interface {
	Reset() error
}

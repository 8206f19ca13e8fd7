package systemd

import (
	"context"
	"fmt"
	"math"
	"time"
)

// DeviceDefault is the timeout of a manager that pets a watchdog with whatever
// timeout the device has.
const DeviceDefault time.Duration = -1

// RuntimeWatchdog returns the timeout under which the manager itself pets a
// watchdog; 0 where it pets none.
func (m *Manager) RuntimeWatchdog(ctx context.Context) (time.Duration, error) {
	var usec uint64
	err := m.get(ctx, "RuntimeWatchdogUSec", &usec)
	return duration(usec), err
}

// SetRuntimeWatchdog makes the manager pet a watchdog with that timeout. With 0
// it gives its device up by a magic close; a nowayout device it keeps.
func (m *Manager) SetRuntimeWatchdog(ctx context.Context, t time.Duration) error {
	return m.set(ctx, "RuntimeWatchdogUSec", usec(t))
}

// RebootWatchdog returns the timeout that the host's shutdown sets for its last
// phase, on the device that the manager would use; 0 for none.
func (m *Manager) RebootWatchdog(ctx context.Context) (time.Duration, error) {
	var usec uint64
	err := m.get(ctx, "RebootWatchdogUSec", &usec)
	if named(err, unknownProperty) {
		err = m.get(ctx, "ShutdownWatchdogUSec", &usec) // its name before systemd 243
	}
	return duration(usec), err
}

// SetRebootWatchdog sets what RebootWatchdog returns.
func (m *Manager) SetRebootWatchdog(ctx context.Context, t time.Duration) error {
	err := m.set(ctx, "RebootWatchdogUSec", usec(t))
	if named(err, unknownProperty) {
		err = m.set(ctx, "ShutdownWatchdogUSec", usec(t))
	}
	return err
}

// WatchdogDevice returns the path of the device that the manager pets or would
// pet; empty where it has not chosen one, or is too old to tell.
func (m *Manager) WatchdogDevice(ctx context.Context) (string, error) {
	var path string
	err := m.get(ctx, "WatchdogDevice", &path)
	if named(err, unknownProperty) {
		return "", nil
	}
	return path, err
}

// LoadModule loads a kernel module through the host's modprobe@.service.
func (m *Manager) LoadModule(ctx context.Context, module string) error {
	return m.StartUnit(ctx, fmt.Sprintf("modprobe@%s.service", module))
}

// duration converts from systemd's microseconds, where the largest number means
// that there is none.
func duration(usec uint64) time.Duration {
	if usec > math.MaxInt64/1000 {
		return DeviceDefault
	}
	return time.Duration(usec) * time.Microsecond
}

// usec is the inverse of duration.
func usec(t time.Duration) uint64 {
	if t < 0 {
		return math.MaxUint64
	}
	return uint64(t / time.Microsecond)
}

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

// A Final holds the timeouts that the host's shutdown sets for its last phase,
// on the device that the manager would use; 0 for none. By then everything else
// has been killed, and whatever they are, the shutdown pings that device.
type Final struct{ Reboot, KExec time.Duration }

// The properties of a Final, by their names since systemd 243.
const (
	rebootWatchdog   = "RebootWatchdogUSec"
	kexecWatchdog    = "KExecWatchdogUSec"
	shutdownWatchdog = "ShutdownWatchdogUSec" // RebootWatchdogUSec before that
)

// FinalWatchdog returns the timeouts of the last phase. A manager that does not
// know the one for kexec sets none there.
func (m *Manager) FinalWatchdog(ctx context.Context) (Final, error) {
	var reboot, kexec uint64
	err := m.get(ctx, rebootWatchdog, &reboot)
	if named(err, unknownProperty) {
		err = m.get(ctx, shutdownWatchdog, &reboot)
	}
	if err != nil {
		return Final{}, err
	}
	if err = m.get(ctx, kexecWatchdog, &kexec); named(err, unknownProperty) {
		err = nil
	}
	return Final{Reboot: duration(reboot), KExec: duration(kexec)}, err
}

// SetFinalWatchdog sets what FinalWatchdog returns, until the manager is
// executed anew.
func (m *Manager) SetFinalWatchdog(ctx context.Context, f Final) error {
	err := m.set(ctx, rebootWatchdog, usec(f.Reboot))
	if named(err, unknownProperty) {
		err = m.set(ctx, shutdownWatchdog, usec(f.Reboot))
	}
	if err != nil {
		return err
	}
	if err = m.set(ctx, kexecWatchdog, usec(f.KExec)); named(err, unknownProperty) && f.KExec == 0 {
		return nil
	}
	return err
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

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

// Watchdogs are the timeouts under which the manager pets a watchdog; 0: it pets
// none then. They mean the one device that it would use.
type Watchdogs struct {
	// Runtime is for while the host runs.
	Runtime time.Duration
	// Reboot and KExec are for the last phase of a shutdown. By then everything
	// else has been killed.
	Reboot, KExec time.Duration
}

// The properties of Watchdogs, by their names since systemd 243.
const (
	runtimeWatchdog  = "RuntimeWatchdogUSec"
	rebootWatchdog   = "RebootWatchdogUSec"
	kexecWatchdog    = "KExecWatchdogUSec"
	shutdownWatchdog = "ShutdownWatchdogUSec" // RebootWatchdogUSec before that
)

// Watchdogs returns what the manager has. One that does not know the timeout for
// kexec sets none there.
func (m *Manager) Watchdogs(ctx context.Context) (Watchdogs, error) {
	var runtime, reboot, kexec uint64
	if err := m.get(ctx, runtimeWatchdog, &runtime); err != nil {
		return Watchdogs{}, err
	}
	err := m.get(ctx, rebootWatchdog, &reboot)
	if named(err, unknownProperty) {
		err = m.get(ctx, shutdownWatchdog, &reboot)
	}
	if err != nil {
		return Watchdogs{}, err
	}
	if err = m.get(ctx, kexecWatchdog, &kexec); named(err, unknownProperty) {
		err = nil
	}
	return Watchdogs{Runtime: duration(runtime), Reboot: duration(reboot), KExec: duration(kexec)}, err
}

// noOverride is what to set over D-Bus so that the configuration counts. 0 would
// do so before systemd 255; since then it is a timeout like others, and would
// count on when the DropIn is gone.
const noOverride uint64 = math.MaxUint64

// Apply makes the manager read the DropIn, which its caller has placed, and
// returns what it then has. What somebody has set over D-Bus would count before
// it, and is withdrawn. Where Taken is set, the manager gives its device up by a
// magic close; a nowayout device it keeps.
func (m *Manager) Apply(ctx context.Context, d DropIn) (Watchdogs, error) {
	for _, name := range d.properties() {
		if err := m.set(ctx, name, noOverride); err != nil && !named(err, unknownProperty) {
			return Watchdogs{}, err
		}
	}
	if err := m.Reload(ctx); err != nil {
		return Watchdogs{}, err
	}
	return m.Watchdogs(ctx)
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

// usec converts a length to systemd's microseconds.
func usec(t time.Duration) uint64 { return uint64(t / time.Microsecond) }

package watchdog

import (
	"fmt"
	"strings"
	"time"
)

// Kind says what stands behind a device. The zero Kind is unknown.
type Kind uint8

const (
	// KindUnknown is the Kind of a device that nobody has looked at.
	KindUnknown Kind = iota
	// KindHardware resets the machine even when its kernel is dead.
	KindHardware
	// KindSoftdog is a timer of the kernel: it dies with a hard lockup and at
	// kexec, and so proves less.
	KindSoftdog
	// KindFile is a file that tests use in place of a device.
	KindFile
)

// String returns the name that NodeGuards and the CLI show.
func (k Kind) String() string {
	switch k {
	case KindUnknown:
		return "unknown"
	case KindHardware:
		return "hardware"
	case KindSoftdog:
		return "softdog"
	case KindFile:
		return "file"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// UnknownKappa is κ·1000 of a driver that is not in the table: some dogs bite
// only at the second expiry, and until a self-test has measured a driver it
// must be taken for one of them.
const UnknownKappa = 2000

// A Driver is what is known about the devices of one kernel driver.
type Driver struct {
	// Name is the name of the kernel module, with underscores.
	Name string
	// Kind of its devices.
	Kind Kind
	// Kappa is κ·1000, the real time to a reset over the nominal timeout.
	Kappa int
	// Min and Max bound the nominal timeout, for drivers that do not say so in
	// sysfs; zero where nothing is known.
	Min, Max time.Duration
	// Stoppable says that the device takes a magic close although its options
	// do not announce it (ipmi_watchdog).
	Stoppable bool

	// identity is how the identity of its devices begins.
	identity []string
}

// drivers returns what was measured, or read in the drivers' sources.
func drivers() []Driver {
	return []Driver{
		{Name: "softdog", Kind: KindSoftdog, Kappa: 1020, Min: time.Second, Max: 65535 * time.Second,
			identity: []string{"Software Watchdog"}},
		{Name: "i6300esb", Kind: KindHardware, Kappa: 1020, Min: time.Second, Max: 2046 * time.Second,
			identity: []string{"i6300ESB timer"}},
		// Acts on the second expiry; sysfs says min = max = 0.
		{Name: "iTCO_wdt", Kind: KindHardware, Kappa: 2000, Min: 3 * time.Second, Max: 614 * time.Second,
			identity: []string{"iTCO_wdt"}},
		// Its pretimeout is an NMI 9 s before the expiry, which stops the dog and
		// panics: such a kernel writes nothing any more.
		{Name: "hpwdt", Kind: KindHardware, Kappa: 1020, Min: time.Second, Max: 8388 * time.Second,
			identity: []string{"HPE iLO2+ HW Watchdog Timer", "HP iLO2+ HW Watchdog Timer"}},
		{Name: "sp5100_tco", Kind: KindHardware, Kappa: 1020, Min: time.Second, Max: 65535 * time.Second,
			identity: []string{"SP5100 TCO timer"}},
		// The hardware counts to 16 s at most; a kernel worker makes it more.
		{Name: "bcm2835_wdt", Kind: KindHardware, Kappa: 1020, Min: time.Second,
			identity: []string{"Broadcom BCM2835 Watchdog timer"}},
		{Name: "diag288_wdt", Kind: KindHardware, Kappa: 1020, Min: 15 * time.Second, Max: 3600 * time.Second,
			identity: []string{"z Watchdog"}},
		// Not in the kernel's watchdog core, so it has no entry in sysfs. A ping
		// can block on the BMC, and the BMC's own reset forgets the timer: κ stays
		// unknown until it was measured.
		{Name: "ipmi_watchdog", Kind: KindHardware, Kappa: UnknownKappa, Stoppable: true,
			identity: []string{"IPMI"}},
	}
}

// Lookup returns what is known about the driver of a device with that
// identity. A driver that is not in the table counts as hardware with κ = 2
// and no bounds of its own.
func Lookup(identity string) Driver {
	for _, d := range drivers() {
		for _, prefix := range d.identity {
			if strings.HasPrefix(identity, prefix) {
				d.identity = nil
				return d
			}
		}
	}
	return Driver{Name: "unknown", Kind: KindHardware, Kappa: UnknownKappa}
}

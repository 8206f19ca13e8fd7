package watchdog

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Use says what a device is wanted for.
type Use struct {
	// Device is the path of the device, for messages.
	Device string
	// Timeout is the wanted nominal timeout.
	Timeout time.Duration
	// Outlives says that the holder outlives the agent and its pod.
	Outlives bool
	// Resume says that this boot's marker proves the running dog to be ours.
	Resume bool
}

// Check returns why the device that i describes must not be used so, or nil.
// What is not known is not refused: the holder checks again when it has opened
// the device and knows more. The text says what to do next.
func (i Info) Check(u Use) error {
	d := Lookup(i.Identity)
	driver := d.Name
	if driver == "unknown" {
		driver = "its driver"
	}
	stoppable := d.Stoppable || i.Options&unix.WDIOF_MAGICCLOSE != 0
	switch {
	case i.HasOptions && i.Options&unix.WDIOF_ALARMONLY != 0:
		return fmt.Errorf("%s (%s) only raises an alarm and never resets (WDIOF_ALARMONLY): "+
			"choose another watchdog, or `modprobe softdog`", u.Device, i.Identity)
	case i.HasOptions && !stoppable && i.Nowayout != Yes:
		return fmt.Errorf("%s (%s) stops when its holder dies (no WDIOF_MAGICCLOSE, no nowayout): "+
			"load %s with nowayout=1 and run the holder under systemd, or choose another watchdog",
			u.Device, i.Identity, driver)
	case i.Active == Yes && !u.Resume:
		return fmt.Errorf("%s (%s) runs already, and not for us (state=active in sysfs)", u.Device, i.Identity)
	case i.SoftNoboot == Yes:
		return fmt.Errorf("%s resets nothing: softdog was loaded with soft_noboot=1; "+
			"reload it with `modprobe -r softdog && modprobe softdog soft_noboot=0`", u.Device)
	case i.Identity != "" && i.Nowayout != No && !u.Outlives:
		return fmt.Errorf("%s (%s) is, or may be, nowayout, and this holder does not outlive the agent: "+
			"an upgrade would reset the node; run the holder under systemd (outlives: true), or load %s with nowayout=0",
			u.Device, i.Identity, driver)
	}
	return i.Facts().CheckTimeout(u.Timeout)
}

// CheckTimeout returns an error for a nominal timeout that the device cannot
// take.
func (f Facts) CheckTimeout(t time.Duration) error {
	switch {
	case t <= 0:
		return fmt.Errorf("timeout %v is not positive", t)
	case f.Min > 0 && t < f.Min:
		return fmt.Errorf("timeout %v is below the %v that %s takes at least: choose a longer one", t, f.Min, f.Driver)
	case f.Max > 0 && t > f.Max:
		return fmt.Errorf("timeout %v is above the %v that %s takes at most: choose a shorter one", t, f.Max, f.Driver)
	}
	return nil
}

// Busy returns the error for a device that others keep, with the ways out.
func Busy(device string, keepers []Keeper) error {
	var names []string
	remedy := "stop that process (for the watchdog daemon: `systemctl disable --now watchdog`)"
	for _, k := range keepers {
		names = append(names, k.String())
		if k.PID == 1 {
			remedy = "either take it over: set RuntimeWatchdogSec=0 in a drop-in of /etc/systemd/system.conf.d " +
				"and run `systemctl daemon-reexec` (Talos: remove its WatchdogTimerConfig); " +
				"or leave it to init and give Picket a dog of its own: `modprobe softdog`, device /dev/watchdog1"
		}
	}
	if len(names) == 0 {
		names = []string{"a process that this one cannot see"}
		remedy = "find it with `fuser -v " + device + "` on the host; if it is systemd, set RuntimeWatchdogSec=0 and " +
			"run `systemctl daemon-reexec`, or leave it that dog and `modprobe softdog` for Picket"
	}
	return fmt.Errorf("%s is kept by %s: %s", device, strings.Join(names, ", "), remedy)
}

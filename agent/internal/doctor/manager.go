package doctor

import (
	"fmt"
	"time"

	"github.com/picket-dev/picket/proto/finding"
	"github.com/picket-dev/picket/systemd"
)

// cooperative is the systemd since which a drop-in can keep it off the watchdog of
// a holder: before, RebootWatchdogSec and KExecWatchdogSec are not known to it.
const cooperative = 243

// manager judges whether the service manager leaves the watchdog alone.
func manager(f Facts) (string, []finding.Finding) {
	s := f.Systemd
	switch {
	case !s.There:
		return "there is none", one(finding.Finding{
			ID: NoSystemd, Severity: finding.Note, What: "the host has no systemd, so the holder is a child of the agent",
			Why: "its watchdog gets one more ping when it ends: each fence waits by κT+g+ℓ longer (u=1), and a nowayout device is refused",
			Fix: "grep . /sys/class/watchdog/watchdog*/nowayout    # 1: load its driver with nowayout=0. Where it says 0, all is as it can be",
		})
	case s.Trouble != "":
		return "does not answer", one(cannot("systemd", s.Trouble, "# as root, or in the agent's pod: it is reached by /run/systemd/private"))
	}
	w := s.Watchdogs
	saw := fmt.Sprintf("%s; watchdogs: runtime %s, reboot %s, kexec %s", s.Version, off(w.Runtime), off(w.Reboot), off(w.KExec))
	quiet := w.Reboot == 0 && w.KExec == 0
	switch {
	case s.Release < cooperative && !quiet:
		return saw, one(finding.Finding{
			ID: SystemdTooOld, Severity: finding.Error,
			What: fmt.Sprintf("systemd %d would ping the watchdog in a shutdown, and cannot be told not to while it runs: that takes %d", s.Release, cooperative),
			Why:  "it asks nobody whether the node is fenced, so the agent does not arm (A12)",
			Fix:  "mkdir -p /etc/systemd/system.conf.d && printf '[Manager]\\nShutdownWatchdogSec=0\\n' >/etc/systemd/system.conf.d/picket.conf && systemctl daemon-reexec",
		})
	case f.Agent.Status.GetPhase() == "Armed" && !quiet:
		return saw, one(finding.Finding{
			ID: SystemdPets, Severity: finding.Error, What: "the node is armed, and systemd would ping its watchdog when it shuts down",
			Why: "those pings ask nobody whether the node is fenced, and no wait covers them; the agent becomes unarmed within 10 s of seeing it",
			Fix: lines("ls /run/systemd/system.conf.d/    # "+systemd.DropInPath+" should be there, and sort last", "systemctl daemon-reload"),
		})
	}
	return saw, nil
}

// off writes a timeout of systemd's.
func off(d time.Duration) string {
	if d == systemd.DeviceDefault {
		return "the device's own"
	}
	if d == 0 {
		return "off"
	}
	return d.String()
}

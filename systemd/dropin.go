package systemd

import (
	"fmt"
	"strings"
)

// DropInPath is where Picket's part of the manager's configuration lies, below
// the host's root. It sorts behind everybody else's, and is gone with the boot.
const DropInPath = "run/systemd/system.conf.d/zz-picket.conf"

// A DropIn is Picket's part of the manager's configuration: what keeps the
// manager off the watchdogs. A host that has it keeps its own configuration,
// which counts again when the file is gone and the manager is told to Reload.
type DropIn struct {
	// Taken is the kernel's name of the device that the manager must not pet
	// while the host runs, such as watchdog0; empty: it pets what it likes. With
	// it, it pets none: it cannot be told which.
	Taken string
}

const (
	dropInHead = `# Written by picket-agent. While Picket guards this node, only its holder may pet
# the watchdog: systemd would do so without asking whether the node is fenced, for
# as long as a shutdown takes. It goes when Picket leaves the node, and with the boot.
[Manager]
RebootWatchdogSec=0
KExecWatchdogSec=0
`
	takenHead  = "# Nor may systemd pet it while the host runs. The holder's device is "
	dropInTail = "RuntimeWatchdogSec=0\n"
)

// Text returns the file's content.
func (d DropIn) Text() string {
	if d.Taken == "" {
		return dropInHead
	}
	return fmt.Sprintf("%s%s%s\n%s", dropInHead, takenHead, d.Taken, dropInTail)
}

// ParseDropIn is the inverse of Text. What Text did not write has taken nothing.
func ParseDropIn(text string) DropIn {
	for line := range strings.Lines(text) {
		if device, ok := strings.CutPrefix(line, takenHead); ok {
			return DropIn{Taken: strings.TrimSuffix(device, "\n")}
		}
	}
	return DropIn{}
}

// Obeyed reports whether a manager that has these watchdogs does as the DropIn
// says.
func (d DropIn) Obeyed(w Watchdogs) bool {
	return w.Reboot == 0 && w.KExec == 0 && (d.Taken == "" || w.Runtime == 0)
}

// properties are those that the DropIn sets.
func (d DropIn) properties() []string {
	if d.Taken == "" {
		return []string{rebootWatchdog, kexecWatchdog}
	}
	return []string{rebootWatchdog, kexecWatchdog, runtimeWatchdog}
}

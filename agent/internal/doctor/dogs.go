package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/picket-dev/picket/agent/internal/watchdog"
	"github.com/picket-dev/picket/proto/finding"
)

const (
	loadSoftdog = "modprobe softdog && echo softdog >/etc/modules-load.d/picket.conf"
	takeOver    = `kubectl patch fencingpolicy default --type merge -p '{"spec":{"watchdog":{"systemd":"TakeOver"}}}'`
	selfTest    = "picket-agent watchdog self-test --yes    # resets the node; drain it first"
)

// dogs judges the watchdogs by the choice that the agent itself would make.
func dogs(f Facts) (string, []finding.Finding) {
	d := f.Dogs
	if d.Trouble != "" {
		return "not seen", one(cannot("the watchdogs", d.Trouble, "picket-agent watchdog --root /    # as root, on the host"))
	}
	var found []finding.Finding
	for _, v := range d.Verdicts {
		if v.Candidate.Failed != "" {
			found = append(found, finding.Finding{
				ID: SelfTestFailed, Severity: finding.Warning, What: fmt.Sprintf("%s: %s", v.Candidate.Name, v.Candidate.Failed),
				Why: "a watchdog that does not reset the node lets two write; this one is not used any more", Fix: selfTest,
			})
		}
	}
	chosen := d.chosen()
	if chosen == nil && !d.Choice.LoadSoftdog {
		return d.saw(), append(found, d.none())
	}
	if kept := d.keptBySystemd(); kept != nil && (chosen == nil || chosen.Facts().Kind != watchdog.KindHardware) {
		found = append(found, finding.Finding{
			ID: WatchdogKeptBySystemd, Severity: finding.Warning,
			What: fmt.Sprintf("systemd keeps %s (%s), and Picket takes softdog", kept.Name, kept.Facts().Driver),
			Why:  "a hardware watchdog resets a machine whose kernel is dead, softdog does not; under systemd it asks nobody whether the node is fenced",
			Fix:  takeOver,
		})
	}
	if chosen == nil || chosen.Facts().Kind == watchdog.KindSoftdog {
		found = append(found, softOnly())
	}
	if chosen != nil {
		found = append(found, d.quality(*chosen, f.Agent, f.Node)...)
	}
	return d.saw(), found
}

// chosen returns the device to use, or nil.
func (d Dogs) chosen() *watchdog.Candidate {
	for i := range d.Verdicts {
		if d.Verdicts[i].Outcome == watchdog.Chosen {
			return &d.Verdicts[i].Candidate
		}
	}
	return nil
}

// keptBySystemd returns a hardware watchdog that was refused because PID 1 has it.
func (d Dogs) keptBySystemd() *watchdog.Candidate {
	for i := range d.Verdicts {
		c := &d.Verdicts[i].Candidate
		if d.Verdicts[i].Outcome == watchdog.Refused && c.Facts().Kind == watchdog.KindHardware &&
			slices.ContainsFunc(c.Keepers, func(k watchdog.Keeper) bool { return k.PID == 1 }) {
			return c
		}
	}
	return nil
}

// none says that no device can be used, and why not the ones that there are.
func (d Dogs) none() finding.Finding {
	x := finding.Finding{
		ID: NoWatchdog, Severity: finding.Error, What: d.Choice.Why,
		Why: "nothing else resets a machine that hangs: without one the node stays unarmed (A12)", Fix: loadSoftdog,
	}
	for _, v := range d.Verdicts {
		x.What += fmt.Sprintf("; %s (%s): %s", v.Candidate.Name, v.Candidate.Facts().Driver, v.Why)
	}
	if d.keptBySystemd() != nil {
		x.Fix = lines(loadSoftdog, "# or, better, let Picket take systemd's:", takeOver)
	}
	return x
}

func softOnly() finding.Finding {
	return finding.Finding{
		ID: WatchdogSoftOnly, Severity: finding.Warning, What: "the watchdog is softdog, a timer of the kernel",
		Why: "it dies with a hard lockup of the kernel and at kexec: such a node may live on when its wait is over. A kernel that detects lockups and panics covers the first",
		Fix: lines("# best, a hardware watchdog: enable it in the firmware, and load its driver. Else:",
			"printf '%s\\n' kernel.nmi_watchdog=1 kernel.hardlockup_panic=1 kernel.panic=10 >>/etc/sysctl.d/90-picket.conf && sysctl --system"),
	}
}

// quality judges the device that is to be used.
func (d Dogs) quality(c watchdog.Candidate, a Agent, node string) []finding.Finding {
	var found []finding.Finding
	facts := c.Facts()
	if kt := facts.RealTimeout(d.Choice.Timeout); kt > d.RealTimeout && d.RealTimeout > 0 {
		found = append(found, finding.Finding{
			ID: WatchdogSlow, Severity: finding.Warning,
			What: fmt.Sprintf("%s (%s) resets after %v at the latest, and the profile wants %v", c.Name, facts.Driver, kt, d.RealTimeout),
			Why:  fmt.Sprintf("each fence of this node waits %v longer", kt-d.RealTimeout),
			Fix:  lines("picket-agent watchdog    # is there a better one? A κ that was only assumed, a self-test measures:", selfTest),
		})
	}
	if w := a.Status.GetWatchdog(); !w.GetVerified() && c.Measured == 0 && c.Failed == "" {
		found = append(found, finding.Finding{
			ID: WatchdogUntested, Severity: finding.Note, What: fmt.Sprintf("no self-test has seen %s (%s) reset this machine under this kernel", c.Name, facts.Driver),
			Why: "some are wired to nothing, or act late: that it resets in time is an assumption until it was seen. A policy with requireVerified does not fence this node on time",
			Fix: lines("kubectl drain "+node+" --ignore-daemonsets --delete-emptydir-data", selfTest),
		})
	}
	return found
}

// saw names the devices and what becomes of them.
func (d Dogs) saw() string {
	var all []string
	for _, v := range d.Verdicts {
		all = append(all, fmt.Sprintf("%s %s %s", v.Candidate.Name, v.Candidate.Facts().Driver, v.Outcome))
	}
	if d.Choice.LoadSoftdog {
		all = append(all, "softdog to be loaded")
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, "; ")
}

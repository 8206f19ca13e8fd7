package doctor

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/proto/finding"
)

// unkillable is the oom_score_adj of a process that the kernel does not kill for
// want of memory.
const unkillable = -1000

// holder judges whether the pets come in time.
func holder(f Facts) (string, []finding.Finding) {
	w := f.Agent.Status.GetWatchdog()
	var found []finding.Finding
	if f.Agent.Status != nil && w != nil && !w.GetReachable() {
		found = append(found, finding.Finding{
			ID: NoHolder, Severity: finding.Error, What: "the agent does not reach picket-holder",
			Why: "it pets the watchdog; an armed node resets when it is gone, any other cannot arm",
			Fix: "systemctl status picket-holder; journalctl -u picket-holder -n 50",
		})
	}
	if w.GetReachable() && !w.GetOutlives() && f.Systemd.There {
		found = append(found, finding.Finding{
			ID: HolderEndsWithAgent, Severity: finding.Warning, What: "the holder is a child of the agent, though the host has systemd",
			Why: "an agent that dies takes it along, which pings the watchdog once more: each fence waits by κT+g+ℓ longer (u=1)",
			Fix: lines("kubectl -n picket get configmap picket-agent -o yaml | grep launch    # Auto, not Child", "journalctl -u picket-holder -n 50    # why systemd did not start it"),
		})
	}
	found = append(found, late(f)...)
	h := f.Holder
	switch {
	case h.Trouble != "":
		return "not seen", append(found, cannot("picket-holder", h.Trouble, "# as root, with the host's /proc"))
	case h.PID == 0:
		return "does not run", found
	}
	if missing := h.missing(); len(missing) > 0 {
		found = append(found, finding.Finding{
			ID: HolderUnprotected, Severity: finding.Warning, What: "picket-holder runs without " + strings.Join(missing, ", "),
			Why: "under pressure on processors or memory its pets may come late, and the node resets without need",
			Fix: lines("systemctl show picket-holder -p CPUSchedulingPolicy -p OOMScoreAdjust -p LimitMEMLOCK",
				"# a kernel with CONFIG_RT_GROUP_SCHED gives services no real time: sysctl kernel.sched_rt_runtime_us, and the cpu controller's cpu.rt_runtime_us"),
		})
	}
	return fmt.Sprintf("pid %d, %s, %d MiB locked, oom_score_adj %d", h.PID, h.schedule(), h.Locked>>20, h.OOM), found
}

// late judges the worst delay of a pet against δ, behind which the holder itself
// resets the node.
func late(f Facts) []finding.Finding {
	worst := f.Agent.Status.GetWatchdog().GetWorstPetDelay().AsDuration()
	bound := f.Agent.Status.GetWatchdogPolicy().GetPetDelay().AsDuration()
	if bound <= 0 || worst < bound/2 {
		return nil
	}
	return one(finding.Finding{
		ID: PetsAreLate, Severity: finding.Warning, What: fmt.Sprintf("the worst pet took %v from its check, and %v is the bound δ", worst, bound),
		Why: "when δ is broken the holder resets the node at once, since the wait counts on it",
		Fix: lines("# see what kept the processor: firmware (SMI), a hypervisor, real-time tasks, a driver of the watchdog that blocks (IPMI)",
			"ps -eLo rtprio,pid,comm --sort=-rtprio | head -20"),
	})
}

// missing names the protections that the process lacks.
func (h Holder) missing() []string {
	var all []string
	if h.Policy != unix.SCHED_RR && h.Policy != unix.SCHED_FIFO {
		all = append(all, "a real-time priority")
	}
	if h.Locked == 0 {
		all = append(all, "locked memory")
	}
	if h.OOM != unkillable {
		all = append(all, fmt.Sprintf("protection from the OOM killer (oom_score_adj is %d)", h.OOM))
	}
	return all
}

func (h Holder) schedule() string {
	switch h.Policy {
	case unix.SCHED_RR:
		return fmt.Sprintf("SCHED_RR %d", h.Priority)
	case unix.SCHED_FIFO:
		return fmt.Sprintf("SCHED_FIFO %d", h.Priority)
	}
	return "no real time"
}

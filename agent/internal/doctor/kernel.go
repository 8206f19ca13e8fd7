package doctor

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/picket-dev/picket/agent/internal/watchdog"
	"github.com/picket-dev/picket/proto/finding"
)

// sysrq judges the way by which the holder resets the host at once (A1, A6).
func sysrq(f Facts) (string, []finding.Finding) {
	mask := "kernel.sysrq " + cmp.Or(f.Sysrq.Mask, "unknown") + ", which binds the keyboard alone"
	if f.Sysrq.Trouble == "" {
		return "sysrq-trigger can be written; " + mask, nil
	}
	return mask, one(finding.Finding{
		ID: SysrqUnreachable, Severity: finding.Error, What: "sysrq-trigger cannot be written: " + f.Sysrq.Trouble,
		Why: "a withheld node resets itself by it at once; without it the holder refuses to arm",
		Fix: lines("# run this as root. In a pod it takes the agent's: privileged, with an unmasked /proc.",
			"grep MAGIC_SYSRQ /boot/config-$(uname -r)    # CONFIG_MAGIC_SYSRQ=y"),
	})
}

// known reports whether the clock source is one that hardware or a hypervisor
// counts on its own.
func known(source string) bool {
	switch source {
	case "tsc", "tsc-early", "hpet", "acpi_pm", "kvm-clock", "xen", "hyperv_clocksource_tsc_page", "hyperv_clocksource_msr", "vmware-clock",
		"arch_sys_counter", "arch_mem_counter", "tod", "timebase", "riscv_clocksource", "stp", "MIPS", "Constant", "loongarch-clocksource":
		return true
	}
	return false
}

// clock judges CLOCK_MONOTONIC_RAW, by which every age and deadline is counted.
// What NTP does to the wall clock matters to nobody here.
func clock(f Facts) (string, []finding.Finding) {
	c := f.Clock
	saw := "clocksource " + cmp.Or(c.Source, "unknown")
	unusable := finding.Finding{
		ID: ClockUnusable, Severity: finding.Error,
		Why: "the age of a roll and the wait are counted on CLOCK_MONOTONIC_RAW: one that stands still or loses time lets a fenced node pet on",
		Fix: otherClock(),
	}
	switch {
	case c.Trouble != "":
		unusable.What = c.Trouble
	case c.Source == "jiffies" || c.Source == "refined-jiffies":
		unusable.What = "the kernel counts time by its own ticks (" + c.Source + "), and loses those that come late"
	case c.Boot > 0 && (c.Raw < c.Boot*4/5 || c.Raw > c.Boot*5/4):
		unusable.What = fmt.Sprintf("CLOCK_MONOTONIC_RAW went on by %v while CLOCK_BOOTTIME went on by %v", c.Raw.Round(time.Microsecond), c.Boot.Round(time.Microsecond))
	case c.Source != "" && !known(c.Source):
		return saw, one(finding.Finding{
			ID: ClockUnknown, Severity: finding.Note, What: "nobody here knows the clocksource " + c.Source,
			Why: "raw clocks of two hosts may drift by one part in a thousand: see that this one holds it",
			Fix: otherClock(),
		})
	default:
		return saw, nil
	}
	return saw, one(unusable)
}

// otherClock takes another clock source, now and at every boot.
func otherClock() string {
	return lines("cat /sys/devices/system/clocksource/clocksource0/available_clocksource    # take a better one:",
		"echo hpet >/sys/devices/system/clocksource/clocksource0/current_clocksource    # and clocksource=hpet among the kernel's arguments")
}

// kernel judges what the kernel does about its own trouble.
func kernel(f Facts) (string, []finding.Finding) {
	k := f.Kernel
	var found []finding.Finding
	if k.Panic != nil && *k.Panic == 0 {
		x := finding.Finding{
			ID: PanicStays, Severity: finding.Note, What: "after a panic the kernel waits for a person (kernel.panic=0)",
			Why: "a kernel that panicked writes nothing, so no fence depends on it; its watchdog resets it",
			Fix: persist("kernel.panic=10"),
		}
		if f.Dogs.deadInPanic() {
			x.Severity = finding.Warning
			x.Why = "a kernel that panicked writes nothing, so no fence depends on it; but its watchdog is dead with it, and the node does not come back by itself"
		}
		found = append(found, x)
	}
	if k.PanicOnOops != nil && *k.PanicOnOops == 0 {
		found = append(found, finding.Finding{
			ID: OopsGoesOn, Severity: finding.Note, What: "after an oops the kernel goes on (kernel.panic_on_oops=0)",
			Why: "it may go on with damaged state, hold locks for ever, and still pet its watchdog: a panic is a clean end",
			Fix: persist("kernel.panic_on_oops=1", "kernel.panic=10"),
		})
	}
	if k.HungTaskPanic != nil && *k.HungTaskPanic != 0 && (k.HungTaskTimeout == nil || *k.HungTaskTimeout != 0) {
		within := "hung_task_timeout_secs"
		if k.HungTaskTimeout != nil {
			within = fmt.Sprintf("%d s", *k.HungTaskTimeout)
		}
		found = append(found, finding.Finding{
			ID: HungTaskPanics, Severity: finding.Warning, What: "a task that waits for its storage for " + within + " makes the kernel panic (kernel.hung_task_panic)",
			Why: "storage that is away for so long then takes down every node that uses it, all at once, though Picket resets nobody for it (A10)",
			Fix: persist("kernel.hung_task_panic=0"),
		})
	}
	return strings.Join([]string{setting("panic", k.Panic), setting("panic_on_oops", k.PanicOnOops), setting("hung_task_panic", k.HungTaskPanic)}, ", "), found
}

// deadInPanic reports whether the watchdog does not survive a panic: softdog is a
// timer of the kernel, and hpwdt's own interrupt stops it first.
func (d Dogs) deadInPanic() bool {
	c := d.chosen()
	return c == nil || c.Facts().Kind == watchdog.KindSoftdog || c.Facts().Driver == "hpwdt"
}

// realTime judges the share of a processor that real-time tasks may take. The
// usual 95 % of each second cost the holder 50 ms at worst.
func realTime(f Facts) (string, []finding.Finding) {
	k := f.Kernel
	saw := setting("sched_rt_runtime_us", k.RealTime) + " of " + setting("sched_rt_period_us", k.Period)
	if k.RealTime == nil || *k.RealTime >= 0 {
		return saw, nil
	}
	return saw, one(finding.Finding{
		ID: RealTimeUnbounded, Severity: finding.Note, What: "real-time tasks may take a whole processor (kernel.sched_rt_runtime_us=-1)",
		Why: "one that spins above the holder's priority starves it, the agent and the kubelet, until the watchdog resets the node",
		Fix: persist("kernel.sched_rt_runtime_us=950000"),
	})
}

// persist sets kernel parameters, now and at every boot.
func persist(settings ...string) string {
	return "printf '%s\\n' " + strings.Join(settings, " ") + " >>/etc/sysctl.d/90-picket.conf && sysctl --system"
}

func setting(name string, value *int) string {
	if value == nil {
		return name + " unknown"
	}
	return fmt.Sprintf("%s %d", name, *value)
}

package doctor

import (
	"time"

	"github.com/picket-dev/picket/agent/internal/watchdog"
	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/systemd"
)

// Facts are what there is to judge of a node. What could not be seen says so in
// its Trouble.
type Facts struct {
	// Node is its name, or what its host calls itself.
	Node    string
	Agent   Agent
	Machine Machine
	Dogs    Dogs
	Systemd Systemd
	Holder  Holder
	Sysrq   Sysrq
	Clock   Clock
	Kernel  Kernel
}

// Agent is what the running agent says of itself.
type Agent struct {
	// Status is nil where nobody answers; Trouble says why.
	Status  *peerv1.StatusReply
	Trouble string
}

// Machine is what the node is. Each text says why, or is empty.
type Machine struct {
	SharedKernel, Hypervisor, BreakGlass string
	// HasMachineID and HasUUID say whether it has an ID of its own, in
	// /etc/machine-id and in its firmware.
	HasMachineID, HasUUID bool
}

// Dogs are the host's watchdogs, and the choice among them.
type Dogs struct {
	Trouble  string
	Choice   watchdog.Choice
	Verdicts []watchdog.Verdict
	// RealTimeout is the κT that the profile in force wants.
	RealTimeout time.Duration
}

// Systemd is the host's service manager.
type Systemd struct {
	// There says that the host was started by one.
	There bool
	// Trouble says why it could not be asked.
	Trouble   string
	Release   int
	Version   string
	Watchdogs systemd.Watchdogs
}

// Holder is the process picket-holder, as /proc shows it.
type Holder struct {
	// PID is 0 where none runs.
	PID int
	// Policy is its thread's scheduling policy, Priority that of real time.
	Policy, Priority int
	// Locked is how much memory it has locked, in bytes.
	Locked int64
	// OOM is its oom_score_adj.
	OOM int
	// Trouble says what could not be read.
	Trouble string
}

// Sysrq is the way to reset the host at once.
type Sysrq struct {
	// Trouble says why it cannot be written, or is empty.
	Trouble string
	// Mask is kernel.sysrq.
	Mask string
}

// Clock is the kernel's clock.
type Clock struct {
	// Trouble says why a clock cannot be read.
	Trouble string
	// Source is the clocksource in use; empty where sysfs does not tell.
	Source string
	// Raw and Boot are how far CLOCK_MONOTONIC_RAW and CLOCK_BOOTTIME went on
	// during one short wait.
	Raw, Boot time.Duration
}

// Kernel holds settings of the kernel; nil where it has none of the name.
type Kernel struct {
	Panic, PanicOnOops, HungTaskPanic *int
	// HungTaskTimeout is in seconds.
	HungTaskTimeout *int
	// RealTime is sched_rt_runtime_us, of each Period.
	RealTime, Period *int
}

package doctor

import "github.com/picket-dev/picket/proto/finding"

// What can be found on a node. Each has its entry in deploy/RUNBOOK.md; those
// that a NodeGuard also gives as its reason share that one's.
const (
	// CannotLook is a check that could not be made.
	CannotLook finding.ID = "CannotLook"

	// Unarmed is a node that nothing guards now.
	Unarmed finding.ID = "Unarmed"
	// NoHolder is a picket-holder that does not answer.
	NoHolder finding.ID = "NoHolder"
	// HolderEndsWithAgent is a holder that is a child of the agent.
	HolderEndsWithAgent finding.ID = "HolderEndsWithAgent"
	// HolderUnprotected is a holder that lacks what keeps its pets in time.
	HolderUnprotected finding.ID = "HolderUnprotected"
	// PetsAreLate is a holder whose worst delay comes near its bound.
	PetsAreLate finding.ID = "PetsAreLate"

	// SharedKernel is a node that is a container.
	SharedKernel finding.ID = "SharedKernel"
	// VirtualMachine is a node that whoever runs it may pause.
	VirtualMachine finding.ID = "VirtualMachine"
	// BreakGlass is a node that a person has disarmed.
	BreakGlass finding.ID = "BreakGlass"
	// NoMachineIdentity is a machine that cannot prove to be the one it was.
	NoMachineIdentity finding.ID = "NoMachineIdentity"

	// NoWatchdog is a node without a usable watchdog.
	NoWatchdog finding.ID = "NoWatchdog"
	// WatchdogKeptBySystemd is a better watchdog that systemd has.
	WatchdogKeptBySystemd finding.ID = "WatchdogKeptBySystemd"
	// WatchdogSoftOnly is a node whose only watchdog is a timer of its kernel.
	WatchdogSoftOnly finding.ID = "WatchdogSoftOnly"
	// WatchdogSlow is one that resets later than the profile wants.
	WatchdogSlow finding.ID = "WatchdogSlow"
	// WatchdogUntested is one that no self-test has seen reset the node.
	WatchdogUntested finding.ID = "WatchdogUntested"
	// SelfTestFailed is one that a self-test has seen not to reset the node.
	SelfTestFailed finding.ID = "SelfTestFailed"

	// SystemdTooOld is a systemd that cannot be told to leave the watchdog alone.
	SystemdTooOld finding.ID = "SystemdTooOld"
	// SystemdPets is a systemd that would ping an armed node's watchdog.
	SystemdPets finding.ID = "SystemdPets"
	// NoSystemd is a host without one.
	NoSystemd finding.ID = "NoSystemd"

	// SysrqUnreachable is a kernel that cannot be told to reset at once.
	SysrqUnreachable finding.ID = "SysrqUnreachable"
	// ClockUnusable is a clock by which no deadline can be kept.
	ClockUnusable finding.ID = "ClockUnusable"
	// ClockUnknown is a clock source that nobody here knows.
	ClockUnknown finding.ID = "ClockUnknown"
	// PanicStays is a kernel that waits for a person after a panic.
	PanicStays finding.ID = "PanicStays"
	// OopsGoesOn is a kernel that goes on with damaged state.
	OopsGoesOn finding.ID = "OopsGoesOn"
	// HungTaskPanics is a kernel that panics when storage is away for long.
	HungTaskPanics finding.ID = "HungTaskPanics"
	// RealTimeUnbounded is a scheduler that lets real-time tasks starve all else.
	RealTimeUnbounded finding.ID = "RealTimeUnbounded"

	// PeersLost is a node that too few witnesses answer.
	PeersLost finding.ID = "PeersLost"
	// PeerUnreachable is a peer of which nothing is heard.
	PeerUnreachable finding.ID = "PeerUnreachable"
	// PeerOneWay is a link of which one direction works.
	PeerOneWay finding.ID = "PeerOneWay"
	// APIUnreachable is an API server that gives no roll.
	APIUnreachable finding.ID = "APIUnreachable"
	// APISlow is an API server whose rolls are old when they come.
	APISlow finding.ID = "APISlow"
	// APISingle is an agent that knows one way to the API only.
	APISingle finding.ID = "APISingle"
	// HistoryBroken is a Roll that was seen to go back.
	HistoryBroken finding.ID = "HistoryBroken"
)

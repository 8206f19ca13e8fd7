package decide

// A Rule is the number of a rule of PROTOCOL.md, such as "A5". It appears in
// logs, events and the CLI.
type Rule string

// The agent's rules.
const (
	A1  Rule = "A1"  // own boot withheld: latch and reset
	A2  Rule = "A2"  // fresh roll: petUntil = s + L
	A3  Rule = "A3"  // own boot suspected: refute
	A4  Rule = "A4"  // own boot suspected and no API: go on while a roll allows it
	A5  Rule = "A5"  // no roll younger than L/2: ask everybody
	A6  Rule = "A6"  // petUntil passed: latch, even if a roll arrives later
	A7  Rule = "A7"  // too few witnesses: abstain, then become unarmed
	A8  Rule = "A8"  // neighbours lost: publish them, read the API oneself
	A9  Rule = "A9"  // own loop late: no judgement about others
	A10 Rule = "A10" // storage network lost only: report
	A11 Rule = "A11" // watchdog failing: become unarmed
	A12 Rule = "A12" // not fit to be armed: say why, never reset
	A13 Rule = "A13" // leaving: become unarmed by the handshake
	A14 Rule = "A14" // own boot was fenced and still runs: reset
)

// A Phase is how the node stands to its watchdog.
type Phase int

// The phases. Latched absorbs: no event leads out of it.
const (
	PhaseUnknown Phase = iota
	Unarmed            // the watchdog does not gate this node
	Arming             // the holder was asked to gate, and has not confirmed
	Armed              // the holder gates: no roll, no pet
	Leaving            // still gated, on the way to unarmed
	Latched            // never pets again in this boot
)

// String returns the name that the API and the CLI use.
func (p Phase) String() string {
	switch p {
	case Unarmed:
		return "Unarmed"
	case Arming:
		return "Arming"
	case Armed:
		return "Armed"
	case Leaving:
		return "Leaving"
	case Latched:
		return "Latched"
	case PhaseUnknown:
	}
	return "Unknown"
}

// A Reason is one CamelCase word for why the node is in its phase.
type Reason string

// The reasons that the core itself finds; others come from the host or from
// the controller.
const (
	ReasonNone         Reason = ""
	ReasonNoGuard      Reason = "NoNodeGuard"
	ReasonNoRoll       Reason = "NoRollYet"
	ReasonNoHolder     Reason = "NoHolder"
	ReasonNoWatchdog   Reason = "NoWatchdog"
	ReasonDeviceFailed Reason = "WatchdogFailed"
	ReasonMemoryLost   Reason = "MemoryLost"
	ReasonPeersLost    Reason = "PeersLost"
	ReasonWithheld     Reason = "Withheld"
	ReasonStopping     Reason = "Stopping"
	ReasonShutdown     Reason = "ShuttingDown"
	ReasonPruned       Reason = "FieldPruned"
	ReasonSelfTest     Reason = "SelfTest"
	ReasonSuspected    Reason = "Suspected"
	ReasonDeadline     Reason = "DeadlinePassed"
	ReasonFenced       Reason = "BootWasFenced"
)

package world

import (
	"fmt"
	"time"
)

// A Fault is one element of a schedule: something that goes wrong, or that a
// person does.
type Fault struct {
	Kind FaultKind
	On   Moment        // it waits for this to happen first
	Its  bool          // it befalls the node for which that happened
	At   time.Duration // from the beginning, or from that moment
	For  time.Duration // how long it lasts, where it does
	Node int
	Peer int // another node, where there is one
}

// A Moment is a point in the life of a fence or of a promise.
type Moment uint8

// The moments.
const (
	NoMoment Moment = iota
	Suspected
	Refutes
	Withheld
	Quarantined
	Tainted
	Unarmed
	EpochChange
	Leaves // an agent has something to publish before it uses it
	Boots
	Decided // a leader is about to taint out-of-service
)

func (m Moment) String() string {
	return [...]string{"", "a suspicion", "a refutation", "a withholding", "a NoExecute quarantine", "a taint", "an unarmed promise", "a change of witnesses", "an offer", "a boot", "the decision to taint"}[m]
}

// A FaultKind says what goes wrong.
type FaultKind uint8

// The kinds of faults.
const (
	PowerCut FaultKind = iota // for For; for good if that is 0
	FastReboot
	PowerOn
	Hang         // the kernel hangs, the disk does not
	HangAndClose // the same, and the holder's process ends on the way
	Isolate
	Island    // with one peer
	Tardy     // the API's answers to it come late
	Mute      // the API refuses what it writes
	Silence   // nobody hears its answers to heartbeats
	CutOut    // one way, to the API
	CutIn     // one way, from the API
	CutPeer   // one way, to a peer
	Blockade  // the agents' port, everywhere
	APIDown   // for everybody
	APIApart  // for nodes only
	APIRefuse // for everybody, and says so
	APISlow
	Lossy
	Twice
	AgentCrash
	AgentDies // in the middle of a verdict
	AgentPause
	Upgrade
	HolderCrash
	HolderPause
	HolderStall // one slow ping
	StallAndHang
	LastGasp // as StallAndHang, at the last instant of its deadline
	DeviceFails
	Shutdown     // in order
	ShutdownHang // the same, and it hangs
	LinkDown
	StorageDown
	KubeletHang
	LeaderCrash
	LeaderPause // and another one leads
	Rival       // two lead
	WatchBreaks
	Retune // the policy changes L and T
	Observe
	Exclude
	PauseFencing
	HumanFence
	HumanDelete // of a fence
	HumanForce  // the same, with its finalizer
	Proof       // of what is true
	FalseProof  // of what is not
	ForeignTaint
	StripTaints
	DeleteRoll
	RestoreRoll
	DeleteNode
	Join
	lastFault
)

func (k FaultKind) String() string {
	return [...]string{
		"power cut", "fast reboot", "power back", "kernel hang", "kernel hang with an unclean close", "isolated", "on an island", "answered late by the API", "writes refused", "heartbeats unanswered",
		"cut towards the API", "cut from the API", "cut towards a peer", "peers' port blocked", "API down", "API away from nodes",
		"API refuses", "API slow", "messages lost", "answers twice", "agent crashes", "agent dies in a verdict", "agent paused", "agent upgraded",
		"holder crashes", "holder paused", "slow ping", "slow ping and kernel hang", "last gasp", "device fails", "shutdown", "shutdown hangs",
		"link down", "storage link down", "kubelet hangs", "leader crashes", "leader paused", "rival leader", "watch breaks",
		"policy retuned", "policy observes", "node excluded", "fencing paused", "fence asked for", "fence deleted", "fence removed by force",
		"true proof", "false proof", "foreign taint", "our taints removed", "Roll deleted", "Roll restored", "Node deleted", "node joins",
	}[k]
}

func (f Fault) String() string {
	text := fmt.Sprintf("%v of n%d", f.Kind, f.Node+1)
	switch f.Kind {
	case CutPeer, Island:
		text += fmt.Sprintf(" (and n%d)", f.Peer+1)
	case Blockade, APIDown, APIApart, APIRefuse, APISlow, Lossy, Twice, LeaderCrash, LeaderPause, Rival, WatchBreaks, Retune, Observe, PauseFencing, DeleteRoll, RestoreRoll:
		text = f.Kind.String()
	default:
	}
	if f.On == NoMoment {
		text += fmt.Sprintf(" at %.3fs", f.At.Seconds())
	} else {
		text += fmt.Sprintf(" %.3fs after %v", f.At.Seconds(), f.On)
	}
	if f.For > 0 {
		text += fmt.Sprintf(" for %.3fs", f.For.Seconds())
	}
	return text
}

package plan

import "github.com/picket-dev/picket/proto/timing"

// A Rule is the number of a rule of PROTOCOL.md, such as "C5".
type Rule string

// The controller's rules.
const (
	C1  Rule = "C1"  // peers lost it: suspect
	C2  Rule = "C2"  // kubelet silent: deliberate reboot
	C3  Rule = "C3"  // somebody asked for a fence
	C4  Rule = "C4"  // withheld and armed: quarantine, endpoints drop
	C5  Rule = "C5"  // the wait is over: look for life, then taint
	C6  Rule = "C6"  // tainted: delete pods, wait for the detach
	C7  Rule = "C7"  // detached: remove the out-of-service taint
	C8  Rule = "C8"  // new boot, clean and ready: lift the quarantine
	C9  Rule = "C9"  // not to be fenced on time: say why
	C10 Rule = "C10" // own observation gap: restart the waits
	C11 Rule = "C11" // somebody else's taints: never adopt
	C12 Rule = "C12" // many agents without peers: alert
)

// An Action is something for the adapter to do. Each write carries the version
// that it was decided upon; an empty version means to create. An action is asked
// for again in each plan until its effect is seen: the adapter does not begin one
// while another about the same object is under way. Events, SilencePods and
// MakeFence come once.
type Action interface{ action() }

// PutRoll writes the Roll.
type PutRoll struct{ Roll Roll }

// ReleaseRoll removes our finalizer from a Roll that somebody deleted.
type ReleaseRoll struct{ Version string }

// PutGuard writes a NodeGuard's spec.
type PutGuard struct {
	Node, Version string
	Spec          GuardSpec
}

// DropGuard deletes the NodeGuard of a node that is gone.
type DropGuard struct{ Node, Version string }

// MakeFence creates a NodeFence.
type MakeFence struct {
	Node   string
	Reason Reason
}

// PutFence writes a NodeFence's status.
type PutFence struct {
	Name, Version string
	Status        FenceStatus
}

// DropFence deletes a NodeFence that has ended (or lets go of it, if somebody
// else deletes it).
type DropFence struct{ Name, UID, Version string }

// Look asks for consistent reads of the node of a fence; the answer goes to
// Core.Saw.
type Look struct{ Fence, Node string }

// Survey asks for consistent reads of what is left on the node of a fence; the
// answer goes to Core.Surveyed.
type Survey struct{ Fence, Node string }

// PutTaints replaces a node's taints and our annotations.
type PutTaints struct {
	Node, Version string
	Rule          Rule
	Fence         string // annotation; empty: remove it
	OutOfService  string // annotation; empty: remove it
	Taints        []Taint
}

// SilencePods sets Ready=False on the node's pods, so that endpoints drop, and
// gives those with picket.dev/on-fence: retain tolerations for our taints.
type SilencePods struct {
	Node, Fence string
	KeepReady   bool
}

// DeletePod deletes a pod without grace, if it is still this one.
type DeletePod struct {
	Fence                         string
	Namespace, Name, UID, Version string
}

// Event tells people about a node.
type Event struct {
	Node    string
	Warning bool
	Rule    Rule
	Reason  string // one CamelCase word
	Message string
}

func (PutRoll) action()     {}
func (ReleaseRoll) action() {}
func (PutGuard) action()    {}
func (DropGuard) action()   {}
func (MakeFence) action()   {}
func (PutFence) action()    {}
func (DropFence) action()   {}
func (Look) action()        {}
func (Survey) action()      {}
func (PutTaints) action()   {}
func (SilencePods) action() {}
func (DeletePod) action()   {}
func (Event) action()       {}

// Saw is the answer to a Look: all of it read consistently, the Node first and
// the Roll last, no read sent before Sent.
type Saw struct {
	Fence string
	Sent  timing.Instant
	Node  *Node  // nil: gone
	Guard *Guard // nil: gone
	Lease string // the kubelet Lease's renew time, opaque; empty: none
	Roll  *Roll  // nil: gone
}

// Surveyed is the answer to a Survey.
type Surveyed struct {
	Fence       string
	Sent        timing.Instant
	Pods        []Pod
	Attachments []string // VolumeAttachments, but for those of tolerating pods
	Volumes     []string // status.volumesAttached, but for those of tolerating pods
}

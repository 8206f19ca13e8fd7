package plan

import (
	"slices"
	"time"

	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// A World is what the controller knows, read before the instant at which Plan
// is called. Nodes, guards and fences may be behind; the Roll is the newest
// consistent read or the reply to an own write, and never goes back unless it
// does so in the API. What Plan has written and the API has stored must be seen
// in the next World; Plan changes nothing in it.
type World struct {
	Policy Policy
	Roll   *Roll // nil: there is none
	Nodes  map[string]Node
	Guards map[string]Guard
	Fences []Fence // the oldest first: of a node, the oldest open one counts
}

// Roll is the Roll object.
type Roll struct {
	roll.Roll
	Version  string // resourceVersion
	Broken   string
	Deleting bool
	Sent     timing.Instant // when the read that showed it was sent
}

// Policy is the FencingPolicy, with its defaults filled in.
type Policy struct {
	Observe         bool
	Uninstall       bool   // with Observe: agents take everything off their hosts, once none is armed
	Paused          string // why new fences are paused; empty: they are not
	Profile         timing.Profile
	MaxWithheld     int // percent of the nodes
	NotReadyAfter   time.Duration
	KeepReady       bool
	Watchdog        Watchdog
	RejoinClean     bool // a fenced boot that still runs may clean itself
	AcceptTwoNodes  bool
	RequireVerified bool
	ResumeHistory   string
}

// Watchdog is which watchdog agents take; the zero value is the default. The
// planner only hands it on.
type Watchdog struct {
	PreferSoftdog bool
	Device        string // the kernel's name of the one to take; empty: choose
	TakeOver      bool   // take it from systemd
	AcceptVM      bool   // arm virtual machines
}

// Node is what matters of a Node object.
type Node struct {
	Name, UID, Version string

	Boot, MachineID, SystemUUID string

	Ready        bool
	NotReadyFor  time.Duration // for C2; 0 while Ready
	Heartbeat    string        // the kubelet's last status heartbeat, opaque
	Taints       []Taint
	Fence        string // annotation: the fence that our taints belong to
	OutOfService string // annotation: the fence whose out-of-service taint is ours
	Domain       string
	Place        Place
	ControlPlane bool
	Excluded     bool
}

// A Place is where a node stands, as its labels say it for people. The planner
// only hands it on.
type Place struct{ Zone, Rack string }

// A Taint is a taint of a Node.
type Taint struct{ Key, Value, Effect string }

// Guard is a NodeGuard.
type Guard struct {
	Name, Version string
	Spec          GuardSpec
	Status        GuardStatus
}

// GuardSpec is the controller's word to an agent.
type GuardSpec struct {
	NodeUID    string
	Neighbours []Peer
	Witnesses  []Peer
	Callers    []Peer
	Profile    timing.Profile
	ProbeEvery time.Duration
	Watchdog   Watchdog
	Unarmed    string
	FencedBoot string
	// RejoinClean is the policy's, and only told where there is a FencedBoot.
	RejoinClean bool
	Place       Place
}

// Peer is another agent.
type Peer struct {
	Node        string
	Addresses   []string
	Fingerprint string
	Place       Place
}

// GuardStatus is the agent's word.
type GuardStatus struct {
	Writes                      int64
	Boot, MachineID, SystemUUID string
	Addresses                   []string
	Fingerprint                 string
	Promise                     timing.Promise
	Gated                       bool // by its phase, whatever it promises: the boot may live by rolls
	Verified                    bool
	History                     string
	Serial                      int64
	Fences                      []string
	Streak                      int64
	Refutes                     string
	Lost                        []string
	PeersLost                   bool
	HistoryBroken               string
	// Clean says that nothing is left of volumes that have moved since the
	// FencedBoot of the Spec was fenced.
	Clean bool
}

// Fence is a NodeFence.
type Fence struct {
	Name, UID, Version string
	Node               string // the node that the spec names
	Reason             Reason
	Proof              string // boot ID that somebody has proven dead; empty: none
	ProofBy            string
	Foreign            bool // owned by somebody else (medik8s): never deleted by us
	Deleting           bool
	Status             FenceStatus
}

// Reason is why a fence was asked for.
type Reason string

// The reasons; every other one is treated as Requested.
const (
	PeersLost     Reason = "PeersLost"
	KubeletSilent Reason = "KubeletSilent"
	Requested     Reason = "Requested"
	// Orphaned fences go on for an entry of the Roll whose NodeFence was lost,
	// and never fence anything else.
	Orphaned Reason = "Orphaned"
)

// Phase is how far a fence has come.
type Phase string

// The phases of a fence.
const (
	Pending   Phase = "Pending"
	Blocked   Phase = "Blocked"
	Suspected Phase = "Suspected"
	Withheld  Phase = "Withheld"
	Fenced    Phase = "Fenced"
	Detached  Phase = "Detached"
	Recovered Phase = "Recovered"
	Refuted   Phase = "Refuted"
)

// ended reports whether nothing more will happen to the fence.
func (p Phase) ended() bool { return p == Recovered || p == Refuted }

// FenceStatus is the controller's account of a fence.
type FenceStatus struct {
	Node, NodeUID, Boot, MachineID, SystemUUID string

	Fence        string // ID in the Roll
	Attempt      int
	Phase        Phase
	WaitsFor     string
	DeadlineIn   time.Duration // 0: none
	Acknowledged []string
	Blockers     []string
	QuorumShort  bool
	Steps        []Step
}

// same reports whether two accounts say the same.
func (st *FenceStatus) same(o *FenceStatus) bool {
	return st.Node == o.Node && st.NodeUID == o.NodeUID && st.Boot == o.Boot &&
		st.MachineID == o.MachineID && st.SystemUUID == o.SystemUUID &&
		st.Fence == o.Fence && st.Attempt == o.Attempt && st.Phase == o.Phase && st.WaitsFor == o.WaitsFor &&
		st.DeadlineIn == o.DeadlineIn && slices.Equal(st.Acknowledged, o.Acknowledged) &&
		slices.Equal(st.Blockers, o.Blockers) && st.QuorumShort == o.QuorumShort && slices.Equal(st.Steps, o.Steps)
}

// A Step is one entry of the timeline; the adapter adds the time to new ones.
type Step struct {
	Rule Rule
	What string
}

// Pod is what matters of a pod on a fenced node.
type Pod struct {
	Namespace, Name, UID, Version string
	Tolerates                     bool // the out-of-service taint
	Retain                        bool // picket.dev/on-fence: retain
	Deleting                      bool
	Finalizers                    []string
}

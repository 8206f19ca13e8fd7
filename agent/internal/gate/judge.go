package gate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/picket-dev/picket/agent/internal/host"
)

const (
	// QuarantineKey is the key of the controller's quarantine taints; their
	// value is the boot that is fenced.
	QuarantineKey = "picket.dev/fenced"
	// OutOfServiceKey is the key of the taint under which Kubernetes moves a
	// node's volumes.
	OutOfServiceKey = "node.kubernetes.io/out-of-service"

	noExecute = "NoExecute"
)

// An Object is the node's Node in the API, as far as the gate reads it.
type Object struct {
	// Version is its resourceVersion.
	Version string
	// Boot, MachineID and SystemUUID are what a kubelet wrote into its status.
	Boot, MachineID, SystemUUID string
	Taints                      []Taint
}

// A Taint is one of a Node's.
type Taint struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Effect string `json:"effect"`
}

// A Word is what is to be done with the kubelet.
type Word int

const (
	// Unknown is the zero Word: nothing was judged.
	Unknown Word = iota
	// Hold means that the kubelet must wait.
	Hold
	// Answer means that it must wait until the Node names this boot: the gate is
	// to write that, and then to ask again.
	Answer
	// Open means that it may start.
	Open
)

// A Reason says in one word why the kubelet is held or let go.
type Reason string

// What a Node says.
const (
	// FenceUndecided is answered, or holds where this boot has no answer: the
	// controller waits for the old boot's death, or for proof of it, and has not
	// yet set the taint by which a kubelet refuses that boot's pods.
	FenceUndecided Reason = "FenceUndecided"
	// FenceAnswered opens: the Node names this boot, so the undecided fence ends
	// without a taint (PROTOCOL.md §11).
	FenceAnswered Reason = "FenceAnswered"
	// VolumesMoving holds: the node is out of service, and its volumes are on
	// their way to other nodes.
	VolumesMoving Reason = "VolumesMoving"
	// FenceDecided opens: the kubelet refuses the old pods, their volumes have
	// moved, and only a kubelet that is Ready ends the quarantine (C8).
	FenceDecided Reason = "FenceDecided"
	// OwnBoot opens: the fence is this boot's own. Whatever it had mapped it
	// still has, and the agent, which deals with that (A14), needs the kubelet.
	OwnBoot Reason = "OwnBoot"
	// NotFenced opens: there is no quarantine.
	NotFenced Reason = "NotFenced"
)

// A Verdict is a word with its reason.
type Verdict struct {
	Word   Word
	Reason Reason
	Text   string // the same for people
}

// Judge says whether the kubelet of this boot may start on the node. A
// quarantine that does not name this boot is another's, even if its value is no
// boot ID: whoever set it, this boot does not know what it is for.
func Judge(o Object, self host.Identity) Verdict {
	var others []string
	own := false
	for _, t := range o.Taints {
		switch {
		case t.Key != QuarantineKey:
		case strings.EqualFold(strings.TrimSpace(t.Value), self.BootID):
			own = true
		default:
			others = append(others, t.Value)
		}
	}
	if len(others) == 0 {
		if own {
			return Verdict{Open, OwnBoot, "the node is quarantined for this very boot, which is the agent's to deal with"}
		}
		return Verdict{Open, NotFenced, "the node is not quarantined"}
	}
	if slices.ContainsFunc(o.Taints, func(t Taint) bool { return t.Key == OutOfServiceKey }) {
		return Verdict{Hold, VolumesMoving, fmt.Sprintf("boot %.60q is fenced, and its volumes are moving to other nodes", others[0])}
	}
	for _, value := range others {
		if !slices.Contains(o.Taints, Taint{QuarantineKey, value, noExecute}) {
			return undecided(o, self, value)
		}
	}
	return Verdict{Open, FenceDecided, fmt.Sprintf("the fence of boot %.60q is decided: the kubelet refuses its pods", others[0])}
}

// undecided judges a node on which the fence of another boot is undecided. The
// Node may go on to name this boot only where it names this machine: under
// another one's name the fenced boot may still run, and its pods with it.
func undecided(o Object, self host.Identity, fenced string) Verdict {
	text := fmt.Sprintf("the fence of boot %.60q is undecided", fenced)
	switch {
	case o.Boot == self.BootID:
		return Verdict{Open, FenceAnswered, text + ", and ends without a taint, since the Node names this boot"}
	case !o.names(self):
		return Verdict{Hold, FenceUndecided, text + ", and the Node does not name this machine"}
	}
	return Verdict{Answer, FenceUndecided, text}
}

// names reports whether machine ID and system UUID are both there and equal, as
// the controller compares them.
func (o Object) names(self host.Identity) bool {
	return self.MachineID != "" && o.MachineID == self.MachineID &&
		self.SystemUUID != "" && strings.EqualFold(o.SystemUUID, self.SystemUUID)
}

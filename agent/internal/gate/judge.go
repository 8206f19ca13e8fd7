package gate

import (
	"fmt"
	"slices"
	"strings"
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
	// Open means that it may start.
	Open
)

// A Reason says in one word why the kubelet is held or let go.
type Reason string

// What a node's taints say.
const (
	// FenceUndecided holds: the controller waits for the old boot's death, or
	// for proof of it, and has not yet set the taint by which a kubelet refuses
	// that boot's pods.
	FenceUndecided Reason = "FenceUndecided"
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

// Judge says whether the kubelet of this boot may start on a node with these
// taints. A quarantine that does not name this boot is another's, even if its
// value is no boot ID: whoever set it, this boot does not know what it is for.
func Judge(taints []Taint, boot string) Verdict {
	var others []string
	own := false
	for _, t := range taints {
		switch {
		case t.Key != QuarantineKey:
		case strings.EqualFold(strings.TrimSpace(t.Value), boot):
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
	if slices.ContainsFunc(taints, func(t Taint) bool { return t.Key == OutOfServiceKey }) {
		return Verdict{Hold, VolumesMoving, fmt.Sprintf("boot %.60q is fenced, and its volumes are moving to other nodes", others[0])}
	}
	for _, value := range others {
		if !slices.Contains(taints, Taint{QuarantineKey, value, noExecute}) {
			return Verdict{Hold, FenceUndecided, fmt.Sprintf("the fence of boot %.60q is undecided", value)}
		}
	}
	return Verdict{Open, FenceDecided, fmt.Sprintf("the fence of boot %.60q is decided: the kubelet refuses its pods", others[0])}
}

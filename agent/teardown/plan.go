package teardown

import (
	"fmt"
	"slices"
)

// A Rejoin is how the policy lets a node come back that was fenced and did not
// reset.
type Rejoin int

// The ways to come back. What is unknown counts as Reset.
const (
	RejoinUnknown Rejoin = iota
	RejoinReset          // reset it: the default
	RejoinClean          // tear down what is stale, reset where that is not safe
)

// An Aim says for whom a plan is made.
type Aim struct {
	// SameBoot says that the boot that was fenced is the one that runs. Unset,
	// only what came back by itself after a reset is to be removed.
	SameBoot bool
	Rejoin   Rejoin
}

// A State is what a plan comes to.
type State int

// The states. Unknown is none that a plan has.
const (
	StateUnknown State = iota
	Clean              // nothing stale is left: attest it
	Work               // carry out the steps
	Blocked            // a person must look: the quarantine stays
	Reset              // only a reset is safe: now, by sysrq, without a sync
)

// String returns the state's name.
func (s State) String() string {
	switch s {
	case Clean:
		return "Clean"
	case Work:
		return "Work"
	case Blocked:
		return "Blocked"
	case Reset:
		return "Reset"
	case StateUnknown:
	}
	return "Unknown"
}

// A Blocker is something that can be neither left as it is nor torn down.
type Blocker struct {
	Volume string `json:"volume,omitempty"` // empty where no volume is known
	Device string `json:"device,omitempty"` // empty where it concerns the whole host
	Why    string `json:"why"`
}

// A Plan is a verdict over one inventory. A plan over the inventory after some
// of its steps is the rest of it, so that whoever carries it out may stop and
// plan anew at any point, and should after each step: what the host shows then
// is the only proof that the step was done.
type Plan struct {
	State State  `json:"state"`
	Why   string `json:"why"`
	Steps []Step `json:"steps,omitempty"`
	// Stuck is what becomes of the state when a step exceeds its bound.
	Stuck State `json:"stuck"`
	// Blockers explain Blocked and Reset. Beside Work they are what will be left.
	Blockers []Blocker `json:"blockers,omitempty"`
	// Tree shows the host's devices and what becomes of each.
	Tree []Item `json:"tree,omitempty"`
}

// Make returns what to do on a host so that nothing of a volume that has moved
// is left on it.
func Make(inv Inventory, api Attachments, aim Aim) Plan {
	h := newHost(inv, api, aim)
	h.findHost()
	h.claim()
	if api.Known {
		h.judge()
		h.spare()
	}
	work := h.steps()
	for _, s := range h.stacks {
		if s.clears() && !s.planned {
			s.block("no step is known that removes what is left of it")
		}
	}
	wide, held := h.wideBlockers(), h.held()
	p := Plan{Blockers: slices.Concat(wide, h.blockers(), held), Stuck: Blocked}
	if aim.SameBoot || h.dirty() {
		p.Stuck = Reset
	}
	switch why := h.reset(p.Blockers); {
	case why != "":
		p.State, p.Why = Reset, why
	case len(wide) > 0:
		p.State, p.Why = Blocked, "what could not be read may be a volume that has moved"
	case len(work) > 0:
		p.State, p.Why = Work, "something of a volume that has moved is left"
		p.Steps = work
	case len(p.Blockers) > len(held):
		p.State, p.Why = Blocked, "what is left of a volume that has moved needs a person"
	case len(held) > 0:
		p.State, p.Why = Blocked, "Kubernetes has not finished taking volumes away from this node (C6)"
	default:
		p.State, p.Why = Clean, "nothing is left of a volume that has moved"
	}
	switch {
	case p.State == Work && len(p.Blockers) == 0:
		p.Steps = append(p.Steps,
			Step{Op: Verify, Bound: Verify.bound(), Why: "an exit code proves nothing: only a fresh inventory does"},
			attest())
	case p.State == Clean:
		p.Steps = []Step{attest()}
	}
	p.Tree = h.tree(p.Steps)
	return p
}

func attest() Step {
	return Step{Op: Attest, Bound: Attest.bound(), Why: "the quarantine is lifted only on Clean (C8)"}
}

// wideBlockers returns those of the whole host: with them nothing is certain of
// any device.
func (h *host) wideBlockers() []Blocker {
	var found []Blocker
	if !h.api.Known {
		why := "what is attached to this node could not be read"
		if h.api.Why != "" {
			why += ": " + h.api.Why
		}
		found = append(found, Blocker{Why: why})
	}
	for _, u := range h.Unknown {
		if (u.Device == Number{}) {
			found = append(found, Blocker{Why: fmt.Sprintf("%s could not be read: %s", u.What, u.Why)})
		}
	}
	if h.aim.SameBoot && !h.ClientsKnown {
		found = append(found, Blocker{Why: "whether the kernel still writes to a Ceph cluster could not be read"})
	}
	return found
}

// blockers returns those of single stacks.
func (h *host) blockers() []Blocker {
	var found []Blocker
	for _, s := range h.stacks {
		for _, why := range s.blockers {
			b := Blocker{Volume: s.moved(), Why: why}
			if len(s.devices) > 0 {
				b.Device = s.devices[0].Name
			}
			found = append(found, b)
		}
	}
	return found
}

// held returns the volumes that Kubernetes has yet to take away from this node. In
// a later boot than the fenced one they count as attached until then, and what is
// on the host of them stays; but it is not Clean for as long: what comes back of
// them after that, or is left, nobody would look for. Whoever cleared the
// out-of-service taint too early, or lost it with the Node, reads here what the
// quarantine waits for (17, 21, 22). The fenced boot has no use for this: there
// they are stale already.
func (h *host) held() []Blocker {
	if h.aim.SameBoot {
		return nil
	}
	var found []Blocker
	seen := map[*volume]bool{}
	for _, v := range h.said {
		if v.lingers() && !seen[v] {
			found = append(found, Blocker{Volume: v.name(), Why: "no pod of this node uses it, and it has yet to be detached from here: " + v.held})
		}
		seen[v] = true
	}
	return found
}

// dirty reports whether something may be writing to a volume that has moved.
func (h *host) dirty() bool { return slices.ContainsFunc(h.stacks, h.regained) }

// regained reports whether something of the stack is stale and in use, and has to
// end now, whatever that takes.
//
// In the fenced boot that is all that is stale and used. In a later one nothing in
// use is from before: the fenced boot's mounts, processes and dirty pages died with
// it. There it is what an attachment says is elsewhere. Where nothing attaches a
// volume, a look that finds it used by no pod shows no more than a pod that ends
// or has yet to start, since host and API are read one after the other: whatever
// was written to it, was for a pod of this boot. A reset would undo nothing of
// that, and reboots a healthy node.
func (h *host) regained(s *stack) bool {
	return s.stale && s.used() && len(s.host) == 0 && (h.aim.SameBoot || s.displaced())
}

// spare leaves to the kubelet what is in use in a later boot of volumes that nothing
// attaches: it unmounts what it has mounted, and writes back what a pod has written.
// Until it has, or a person has, the node is not Clean.
func (h *host) spare() {
	for _, s := range h.stacks {
		if s.stale && s.used() && len(s.host) == 0 && !h.regained(s) {
			s.blockers = slices.Insert(s.blockers, 0, "in use, though no pod of this node has it any more: its kubelet unmounts it, or a person must")
		}
	}
}

// reset returns why only a reset is safe, or nothing. In a later boot than the
// fenced one nothing old is in flight, and what blocks is for a person to see,
// unless a volume that has moved is in use again.
func (h *host) reset(blockers []Blocker) string {
	switch {
	case h.aim.SameBoot && h.aim.Rejoin != RejoinClean:
		return "this boot was fenced and did not reset, and the policy does not say rejoin: Clean (A14)"
	case h.aim.SameBoot && len(blockers) > 0:
		return "this boot was fenced and did not reset, and it cannot be proven clean: " + blockers[0].Why
	case h.aim.SameBoot:
		return ""
	}
	for _, s := range h.stacks {
		switch {
		case !h.regained(s):
		case s.uncut:
			return "a volume that has moved is in use, and cannot be cut off: " + s.blockers[0]
		case h.aim.Rejoin != RejoinClean:
			return "a volume that has moved is in use, and the policy does not say rejoin: Clean"
		}
	}
	return ""
}

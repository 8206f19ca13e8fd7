package plan

import (
	"fmt"
	"time"

	"github.com/picket-dev/picket/proto/roll"
)

// suspected waits at the gate: the victim must have had the time to speak
// before anything is withheld from it.
func (p *step) suspected(f *Fence) {
	st := &f.Status
	switch p.entry(st.Fence) {
	case roll.Unlisted:
		p.retreat(f, startOver)
		return
	case roll.Withheld:
		st.enter(Withheld, C1, "withheld at serial %d", p.w.Roll.Serial)
		return
	case roll.Suspected:
	}
	switch {
	case f.Deleting:
		p.retreat(f, retreat{Refuted, C1, "the fence was deleted"})
		return
	case p.rebooted(f):
		p.retreat(f, retreat{Recovered, C1, "the node has booted anew"})
		return
	case !f.mayRefute():
	case p.w.Guards[st.Node].Status.Refutes == st.Fence:
		p.retreat(f, retreat{Refuted, C1, spoke})
		return
	case !p.lost(st.Node):
		p.retreat(f, retreat{Refuted, C1, p.acquitted(st.Node)})
		return
	}
	t := p.trial(f, Suspected)
	if f.mayRefute() && !p.countReads(f, t) {
		t.after = p.now // looks that were sent before the gate opened are void
		p.waitForGate(f, t)
		return
	}
	st.QuorumShort = false
	if why := p.forbids(f); len(why) > 0 {
		t.after = p.now
		p.blocked(f, why)
		return
	}
	st.Blockers = nil
	if !f.mayRefute() || p.staysSilent(f, t) {
		p.setEntry(st, roll.Withheld)
	}
}

// staysSilent takes a last look, and reports whether the node is armed and has
// not spoken.
func (p *step) staysSilent(f *Fence, t *trial) bool {
	st := &f.Status
	saw := p.look(f, t)
	switch {
	case saw == nil:
		st.WaitsFor = "C1: a last look whether the node has spoken"
		return false
	case saw.Guard == nil, saw.Guard.Status.Boot != st.Boot, !saw.Guard.Status.Promise.Armed:
		p.retreat(f, retreat{Refuted, C9, "the node is not armed"})
		return false
	case saw.Guard.Status.Refutes == st.Fence:
		p.retreat(f, retreat{Refuted, C1, spoke})
		return false
	}
	return true
}

// waitForGate says what the gate waits for, and when it takes suspiciously
// long.
func (p *step) waitForGate(f *Fence, t *trial) {
	profile := p.w.Policy.Profile
	f.Status.Blockers = nil
	f.Status.WaitsFor = fmt.Sprintf("C1: %d fresh reads by a cover of witnesses in every epoch", profile.GateReads)
	patience := 2 * time.Duration(profile.GateReads+1) * profile.GateInterval()
	if t.since.Elapsed(p.now) > patience {
		p.quorumBlocked(f, "too few witnesses read the Roll")
	}
	p.wakeAt(p.now.Add(profile.GateInterval()))
}

// quorumBlocked says that C cannot be reached, and what a human can do.
func (p *step) quorumBlocked(f *Fence, why string) {
	f.Status.QuorumShort = true
	p.event(f.Status.Node, true, C9, "QuorumBlocked",
		"fence %s waits: %s; bring witnesses back, or prove the node dead with spec.proof", f.Name, why)
}

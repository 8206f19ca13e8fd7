package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/picket-dev/picket/proto/roll"
)

// keepEnded is how long a fence that has ended stays readable.
const keepEnded = time.Hour

// fence carries one fence a step further and writes its status if it changed.
func (p *step) fence(f *Fence) {
	before := f.Status
	f.Status.Steps = slices.Clip(f.Status.Steps) // what is appended goes elsewhere
	t := p.trials[f.Status.Fence]
	switch ph, first := f.Status.Phase, p.byID[f.Status.Fence]; {
	case first != f && f.Status.Fence != "" && !ph.ended():
		f.Status.enter(Refuted, C11, "fence %s goes on under this ID", first.Name)
	case t != nil && t.phase == ph && t.retreat != nil:
		p.retreat(f, *t.retreat)
	default:
		p.phase(f)
	}
	if !f.Status.same(&before) {
		p.do(PutFence{Name: f.Name, Version: f.Version, Status: f.Status})
	}
}

func (p *step) phase(f *Fence) {
	switch f.Status.Phase {
	case "":
		p.identify(f)
	case Pending, Blocked:
		p.pending(f)
	case Suspected:
		p.suspected(f)
	case Withheld:
		p.withheld(f)
	case Fenced:
		p.fenced(f)
	case Detached:
		p.detached(f)
	case Recovered, Refuted:
		p.ended(f)
	}
}

// enter moves the fence to a phase and notes the step.
func (st *FenceStatus) enter(ph Phase, r Rule, format string, args ...any) {
	st.Phase = ph
	st.Blockers = nil
	st.WaitsFor = ""
	st.QuorumShort = false
	st.Steps = append(st.Steps, Step{Rule: r, What: fmt.Sprintf(format, args...)})
}

// rule returns the number of the rule that asked for the fence.
func (f *Fence) rule() Rule {
	switch f.Reason {
	case PeersLost:
		return C1
	case KubeletSilent:
		return C2
	case Orphaned:
		return C11
	case Requested:
	}
	return C3
}

// identify names the boot that is to be fenced: the one that runs now, or for
// an orphan the one that the Roll lists.
func (p *step) identify(f *Fence) {
	st := &f.Status
	n, ok := p.w.Nodes[f.Node]
	switch {
	case f.Reason == Orphaned:
		if !p.adopt(f, func(e roll.Entry) bool { return e.Node == f.Node && e.State == roll.Withheld }) {
			st.enter(Refuted, C11, nothingLeft)
		}
		return
	case !ok || n.Boot == "":
		st.Phase = Blocked
		st.Blockers = []string{fmt.Sprintf("NoNode: there is no node %q with a boot ID; check spec.node", f.Node)}
		p.release(f)
		return
	}
	*st = FenceStatus{Node: n.Name, NodeUID: n.UID, Boot: n.Boot, MachineID: n.MachineID, SystemUUID: n.SystemUUID}
	p.attempt(f)
	st.enter(Pending, f.rule(), "%s", p.grounds(f))
}

// grounds says what the fence was asked for: its own timeline must know, since
// nobody keeps the events for long.
func (p *step) grounds(f *Fence) string {
	switch m := p.member(f.Node); {
	case f.Reason == PeersLost && len(m.verdict.accuse) > 0:
		return fmt.Sprintf("reported lost by %v", m.verdict.accuse)
	case f.Reason == KubeletSilent && m.NotReadyFor > 0:
		return fmt.Sprintf("kubelet NotReady for %v", m.NotReadyFor)
	}
	return fmt.Sprintf("asked for: %s", f.Reason)
}

const nothingLeft = "the Roll lists nothing that it could go on for"

// adopt makes the fence go on for an entry of the Roll that no NodeFence
// accounts for: one was deleted together with its finalizer, or a write that
// nobody knows of arrived late.
func (p *step) adopt(f *Fence, suits func(roll.Entry) bool) bool {
	i := slices.IndexFunc(p.w.Roll.Entries, func(e roll.Entry) bool { return suits(e) && !p.accounted(e.Fence) })
	if i < 0 {
		return false
	}
	e := p.w.Roll.Entries[i]
	st := &f.Status
	st.Node, st.NodeUID, st.Boot, st.Fence = e.Node, e.UID, e.Boot, e.Fence
	if n := p.w.Nodes[e.Node]; n.Boot == e.Boot {
		st.MachineID, st.SystemUUID = n.MachineID, n.SystemUUID
	}
	p.byID[e.Fence] = f
	phase := Phase(e.State.String())
	if p.fencedBoot(e.Node) == e.Boot { // withheld alone, a new boot would go without C8
		phase = Fenced
	}
	st.enter(phase, C11, "goes on for fence %s, whose NodeFence was lost", e.Fence)
	return true
}

// attempt gives the fence an ID that it never had, under this history or
// another one. A leader lists only IDs that it has given itself, and each once:
// that the ID could be stored proves that what it knew of the fence was not
// behind.
func (p *step) attempt(f *Fence) {
	st := &f.Status
	h := p.w.Roll.History
	st.Attempt++
	st.Fence = fmt.Sprintf("%s.%s.%d", f.UID, h[:min(8, len(h))], st.Attempt)
	p.byID[st.Fence] = f
	p.named[st.Fence] = true
}

// accounted reports whether some NodeFence carries the ID and has not ended:
// what is left of one that has is nobody's.
func (p *step) accounted(fence string) bool {
	f := p.byID[fence]
	return f != nil && f.Status.Fence == fence && !f.Status.Phase.ended()
}

// release lets go of a fence that somebody deletes.
func (p *step) release(f *Fence) {
	if f.Deleting {
		p.do(DropFence{Name: f.Name, UID: f.UID, Version: f.Version})
	}
}

// pending waits until nothing speaks against the fence (C9), then lists its
// boot: suspected if it may speak for itself, else withheld (C2, C3).
func (p *step) pending(f *Fence) {
	st := &f.Status
	if st.Node == "" { // there was no such node yet
		st.Phase = ""
		p.identify(f)
		return
	}
	switch entry := p.entry(st.Fence); {
	case entry == roll.Suspected:
		delete(p.named, st.Fence)
		st.enter(Suspected, f.rule(), "suspected at serial %d", p.w.Roll.Serial)
		return
	case entry == roll.Withheld:
		delete(p.named, st.Fence)
		st.enter(Withheld, f.rule(), "withheld at serial %d", p.w.Roll.Serial)
		return
	case f.Deleting:
		st.enter(Refuted, f.rule(), "deleted before it began")
		return
	case p.rebooted(f):
		st.enter(Recovered, C5, "the node has booted anew")
		return
	case f.mayRefute() && !p.lost(st.Node):
		st.enter(Refuted, C1, "%s", p.acquitted(st.Node))
		return
	}
	if p.adopt(f, func(e roll.Entry) bool { return e.Boot == st.Boot }) {
		return
	}
	if f.Reason == Orphaned {
		st.enter(Refuted, C11, nothingLeft)
		return
	}
	if !p.named[st.Fence] {
		p.attempt(f)
		return
	}
	if why := p.blockers(f); len(why) > 0 {
		st.Phase = Blocked
		p.blocked(f, why)
		return
	}
	p.hush(st.Node, "FenceBlocked")
	state := roll.Withheld
	if f.mayRefute() {
		state = roll.Suspected
	}
	p.setEntry(st, state)
}

// blocked says what keeps the fence from going on (C9).
func (p *step) blocked(f *Fence, why []string) {
	st := &f.Status
	if !slices.Equal(why, st.Blockers) {
		st.Blockers = why
	}
	st.WaitsFor = "C9: " + strings.Join(why, "; ")
	p.event(st.Node, true, C9, "FenceBlocked", "fence %s does not go on: %s", f.Name, strings.Join(why, "; "))
}

// proven reports whether somebody has proven the fenced boot dead.
func (f *Fence) proven() bool { return f.Proof != "" && f.Proof == f.Status.Boot }

// mayRefute reports whether the node is asked to speak before anything is
// withheld from it (C1).
func (f *Fence) mayRefute() bool { return f.Reason == PeersLost && !f.proven() }

// rebooted reports whether another boot of the same machine is known: positive
// proof that the fenced boot is dead. Machine ID and system UUID must both be
// there and equal, since a name can move to another machine.
func (p *step) rebooted(f *Fence) bool {
	st := f.Status
	g := p.w.Guards[st.Node].Status
	n := p.w.Nodes[st.Node]
	return anew(st, g.Boot, g.MachineID, g.SystemUUID) || anew(st, n.Boot, n.MachineID, n.SystemUUID)
}

func anew(st FenceStatus, boot, machine, system string) bool {
	return boot != "" && boot != st.Boot &&
		machine != "" && machine == st.MachineID &&
		system != "" && strings.EqualFold(system, st.SystemUUID)
}

// ended deletes a fence after it was readable for long enough, and lets go of
// one that somebody else deletes.
func (p *step) ended(f *Fence) {
	since, known := p.over[f.UID]
	if !known {
		since = p.now
	}
	p.overNow[f.UID] = since
	over := since.Add(keepEnded)
	switch {
	case f.Deleting:
		p.release(f)
	case f.Foreign:
	case over.Passed(p.now):
		p.do(DropFence{Name: f.Name, UID: f.UID, Version: f.Version})
	default:
		p.wakeAt(over)
	}
}

package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// silence is how long a boot that showed signs of life after c must have been
// silent before it is tainted.
const silence = 20 * time.Second

// withheld runs PROTOCOL.md's steps 4 to 7: read the guard after the commit,
// collect the acknowledgements, read the clock, wait, look for life, taint.
func (p *step) withheld(f *Fence) {
	st := &f.Status
	switch {
	case p.w.Nodes[st.Node].OutOfService == st.Fence:
		p.tainted(f)
		return
	case p.entry(st.Fence) != roll.Withheld:
		p.retreat(f, startOver)
		return
	case p.rebooted(f):
		p.retreat(f, retreat{Recovered, C5, "the node has booted anew: nothing to taint"})
		return
	case f.Deleting:
		p.retreat(f, retreat{Refuted, C3, "the fence was deleted"})
		return
	}
	t := p.trial(f, Withheld)
	if t.proof && !f.proven() { // taken back: what was done without a promise is void
		delete(p.trials, st.Fence)
		t = p.trial(f, Withheld)
	}
	if !t.judged && !p.readPromise(f, t) {
		return
	}
	p.quarantine(f, t, "NoSchedule")
	p.silencePods(f, t)
	if !t.counting && !p.startWait(f, t) {
		return
	}
	p.tellWait(f, t)
	p.finish(f, t)
}

// tainted notes that the node carries the fence's out-of-service taint. From
// then on Kubernetes moves the volumes: not even a new boot takes that back.
func (p *step) tainted(f *Fence) {
	f.Status.enter(Fenced, C5, "tainted out-of-service")
	p.event(f.Status.Node, true, C5, "Fenced", "the node provably cannot write: Kubernetes may move its volumes")
}

// readPromise reads the NodeGuard after the withholding was committed (step 4).
// It reports whether there is a promise to wait on.
func (p *step) readPromise(f *Fence, t *trial) bool {
	st := &f.Status
	saw := p.look(f, t)
	if saw == nil {
		return false
	}
	if f.proven() {
		t.judged, t.proof = true, true
		return true
	}
	g := saw.Guard
	switch {
	case g == nil, g.Status.Boot != st.Boot, !g.Status.Promise.Armed:
		p.retreat(f, retreat{Refuted, C9, "the node is not armed: only a proof can fence it"})
		return false
	case g.Status.History != p.w.Roll.History:
		p.retreat(f, retreat{Refuted, C9, "the node has not published under this history"})
		return false
	}
	if err := g.Status.Promise.Validate(); err != nil {
		p.retreat(f, retreat{Refuted, C9, "the node's promise is void: " + err.Error()})
		return false
	}
	t.judged = true
	t.promise = g.Status.Promise
	return true
}

// startWait collects the acknowledgements (step 5) and then reads the clock
// (step 6): c is this step's now, which is later than everything in its world.
func (p *step) startWait(f *Fence, t *trial) bool {
	st := &f.Status
	wait := time.Duration(0)
	if !f.proven() {
		var enough bool
		st.Acknowledged, enough = p.acknowledged(f, t)
		if !enough {
			st.WaitsFor = "C5: acknowledgements of a cover of witnesses in every epoch"
			if t.since.Elapsed(p.now) > 4*p.w.Policy.Profile.RollInterval {
				p.quorumBlocked(f, fmt.Sprintf("only %v acknowledged the withholding", st.Acknowledged))
			}
			p.wakeAt(p.now.Add(p.w.Policy.Profile.GateInterval()))
			return false
		}
		wait = timing.Wait(t.promise, p.w.Policy.Profile)
	}
	t.counting = true
	t.deadline = p.now.Add(wait)
	t.after = p.now // the look whose signs of life are compared with later ones
	t.steps, t.told = len(st.Steps), Step{C5, "proven dead by " + f.ProofBy + ": no wait"}
	if !f.proven() {
		t.acked = st.Acknowledged
		t.told.What = fmt.Sprintf("acknowledged by %v: waiting W = %v", st.Acknowledged, wait.Round(time.Millisecond))
	}
	return true
}

// tellWait says that the wait runs, and for how long: again, where the write that
// said so was lost.
func (p *step) tellWait(f *Fence, t *trial) {
	st := &f.Status
	if slices.Contains(st.Steps[min(t.steps, len(st.Steps)):], t.told) {
		return
	}
	left := max(0, -t.deadline.Elapsed(p.now))
	st.Acknowledged, st.QuorumShort, st.DeadlineIn = t.acked, false, left
	st.WaitsFor = fmt.Sprintf("C5: the wait of %v", left.Round(time.Millisecond))
	st.Steps = append(st.Steps, t.told)
}

// finish applies C5 from c on: a look right after c, the wait, and step 7.
func (p *step) finish(f *Fence, t *trial) {
	if f.proven() && !t.proof {
		t.proof = true
		if t.deadline.Elapsed(p.now) < 0 { // it ends the wait, not the rejoin guard
			t.deadline = p.now
			t.after = t.after.Earlier(p.now)
		}
	}
	saw := p.look(f, t)
	if saw == nil {
		return
	}
	if saw.Node != nil && saw.Node.OutOfService == f.Status.Fence {
		p.tainted(f) // the reply to the write was lost
		return
	}
	if t.life == "" {
		t.life = saw.life()
		t.after = t.deadline
		p.wakeAt(t.deadline)
		return
	}
	st := &f.Status
	switch {
	case saw.Roll == nil || !saw.withholds(st.Fence):
		t.after = p.now.Add(p.w.Policy.Profile.GateInterval())
		p.wakeAt(t.after)
		return // a later step sees the Roll itself, and starts over
	case saw.Node == nil:
		st.enter(Fenced, C5, "the wait is over, and the Node object is gone: nothing to taint")
		return
	case saw.Node.UID != st.NodeUID:
		p.retreat(f, retreat{Recovered, C5, "the Node object was made anew: nothing to taint"})
		return
	case saw.Node.Boot != st.Boot, saw.Guard != nil && saw.Guard.Status.Boot != "" && saw.Guard.Status.Boot != st.Boot:
		p.retreat(f, retreat{Recovered, C5, "the node has booted anew: nothing to taint"})
		return
	case p.alive(t, saw):
		st.WaitsFor = fmt.Sprintf("C5: %v of silence, or a new boot: the node showed life after the withholding", silence)
		return
	}
	p.taint(f, t, saw)
}

// alive reports whether signs of life changed since c and have not been silent
// for long enough. A node whose power was cut shows none, and pays nothing.
func (p *step) alive(t *trial, saw *Saw) bool {
	if now := saw.life(); now != t.life {
		t.life = now
		t.changed = p.now
		t.guarded = timing.Instant{}
	}
	if t.changed.IsZero() || t.changed.Elapsed(p.now) >= silence {
		return false
	}
	t.after = p.now.Add(time.Second)
	p.wakeAt(t.after)
	return true
}

// taint sets the NoExecute quarantine, by which a booting kubelet refuses the
// old pods, lets the rejoin guard pass, and then taints out-of-service: on the
// version of a look that was sent after the guard.
func (p *step) taint(f *Fence, t *trial, saw *Saw) {
	st := &f.Status
	guard := p.w.Policy.Profile.RejoinGuard
	switch {
	case !saw.Node.quarantined(st, "NoExecute"):
		p.do(saw.Node.mark(st, C5, "NoSchedule", "NoExecute"))
		t.guarded = timing.Instant{}
		t.after = p.now
		st.WaitsFor = "C5: quarantine"
	case t.guarded.IsZero():
		t.guarded = saw.Sent
		t.after = saw.Sent.Add(guard)
		p.wakeAt(t.after)
		st.WaitsFor = fmt.Sprintf("C5: the rejoin guard of %v", guard)
	default:
		a := saw.Node.mark(st, C5, "NoSchedule", "NoExecute")
		a.OutOfService = st.Fence
		a.Taints = append(a.Taints, outOfService)
		p.do(a)
		t.after = p.now
	}
}

// withholds reports whether the Roll of the look still withholds the fence.
func (s *Saw) withholds(fence string) bool {
	for _, e := range s.Roll.Entries {
		if e.Fence == fence {
			return e.State == roll.Withheld
		}
	}
	return false
}

// life returns all signs of life of a look in one word. What the controller
// itself writes is not among them.
func (s *Saw) life() string {
	word := "lease=" + s.Lease
	if s.Node != nil {
		word += " node=" + s.Node.Heartbeat
	}
	if s.Guard != nil {
		word += fmt.Sprintf(" guard=%d", s.Guard.Status.Writes)
	}
	return word
}

package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// surveyEvery is how often the rest on a fenced node is counted.
const surveyEvery = 500 * time.Millisecond

// fenced applies C6 and C7: delete what runs on the dead node, wait until
// nothing of it is attached any more, and remove the out-of-service taint.
func (p *step) fenced(f *Fence) {
	st := &f.Status
	t := p.trial(f, Fenced)
	if p.entry(st.Fence) == roll.Unlisted {
		p.setEntry(st, roll.Withheld) // the Roll went back behind this fence
	}
	if t.survey == nil || t.again.Elapsed(t.survey.Sent) < 0 {
		p.quarantine(f, t, "NoSchedule", "NoExecute")
		if t.again.Elapsed(p.now) >= 0 {
			p.do(Survey{Fence: st.Fence, Node: st.Node})
		}
		p.wakeAt(t.again)
		return
	}
	t.after = t.counted // a Node from before the count may be another one by now
	saw := p.look(f, t)
	if saw == nil {
		return
	}
	t.again = t.survey.Sent.Add(surveyEvery)
	p.wakeAt(t.again)
	owns := st.owns(saw.Node)
	left := p.clear(f, t.survey, owns)
	switch {
	case len(left) == 0:
		p.lift(f, t, "its pods and volumes have moved")
	case !owns && st.succeeded(saw.Node):
		p.lift(f, t, "boot "+saw.Node.Boot+" has taken the node over, and what is left there is its own")
	default:
		st.Blockers = left
		st.WaitsFor = "C6: pods and volumes to be gone"
		p.quarantine(f, t, "NoSchedule", "NoExecute")
	}
}

// owns reports whether what is bound to the node's name can only be the fenced
// boot's: no other boot of it may run pods. A Node that was made anew may be
// that of a boot that has yet to say so; one that names another boot has it
// refuse the old pods as long as our out-of-service taint is there.
func (st *FenceStatus) owns(n *Node) bool {
	switch {
	case n == nil:
		return true
	case n.UID != st.NodeUID:
		return false
	}
	return !st.succeeded(n) || n.OutOfService == st.Fence && slices.Contains(n.Taints, outOfService)
}

// succeeded reports whether the node names another boot than the fenced one.
func (st *FenceStatus) succeeded(n *Node) bool { return n.Boot != "" && n.Boot != st.Boot }

// clear returns what is left on the node, and deletes the pods that the taint
// is for if the fence owns them. Which boot runs a pod the pod does not say: a
// new one's kubelet goes on with those that it finds bound to its name.
func (p *step) clear(f *Fence, s *Surveyed, owns bool) []string {
	var left []string
	for _, pod := range s.Pods {
		if pod.Tolerates || pod.Retain {
			continue
		}
		why := "pod " + pod.Namespace + "/" + pod.Name
		if owns && pod.Deleting && len(pod.Finalizers) > 0 {
			why += fmt.Sprintf(" (finalizers %v)", pod.Finalizers)
			p.event(f.Status.Node, true, C6, "DetachBlocked",
				"%s keeps the fence from ending: whoever owns the finalizer must remove it", why)
		}
		left = append(left, why)
		if owns {
			p.do(DeletePod{Fence: f.Status.Fence, Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, Version: pod.Version})
		}
	}
	for _, va := range s.Attachments {
		left = append(left, "volumeattachment "+va)
	}
	for _, v := range s.Volumes {
		left = append(left, "attached volume "+v)
	}
	slices.Sort(left)
	return left
}

// lift applies C7: it removes the out-of-service taint, if it is ours. Whether
// it is there only the look can tell, since the cache may not have seen it come.
func (p *step) lift(f *Fence, t *trial, why string) {
	st, saw := &f.Status, t.saw
	st.Blockers = nil
	st.WaitsFor = "C7: removing the out-of-service taint"
	switch {
	case saw.Node != nil && saw.Node.OutOfService != "":
		p.do(saw.Node.mark(st, C7, "NoSchedule", "NoExecute"))
		return
	}
	st.enter(Detached, C7, "%s", why)
	p.event(st.Node, false, C7, "Detached", "%s; the quarantine stays until a clean new boot", why)
}

// detached applies C8: a new boot that is clean and ready gets its quarantine
// lifted, be its Node object the old one or not. A node that is gone for good
// ends the fence, too.
func (p *step) detached(f *Fence) {
	st := &f.Status
	t := p.trial(f, Detached)
	m := p.member(st.Node)
	if m == nil {
		p.goneForGood(f, t)
		return
	}
	st.WaitsFor = p.held(m, st.Boot)
	if st.WaitsFor != "" {
		t.back = timing.Instant{}
		p.silentAgain(m, st)
	} else if !p.welcome(t, m) {
		st.WaitsFor = "C8: its neighbours to hear it again"
	}
	if st.WaitsFor != "" {
		p.quarantine(f, t, "NoSchedule", "NoExecute")
		return
	}
	p.retreat(f, retreat{Recovered, C8, "a new boot, clean and ready: welcome back"})
}

// held says what a node still waits for after its boot was fenced, or nothing.
func (p *step) held(m *member, fenced string) string {
	switch {
	case m.Boot == fenced || !m.answers():
		return "C8: a new boot of the node"
	case !m.guard.Status.Clean || m.guard.Spec.FencedBoot != fenced: // of another fence's volumes
		return "C8: the agent's word that no moved volume is left on the node"
	case !m.Ready:
		return "C8: the kubelet to be Ready"
	}
	return ""
}

// silentAgain says of a boot that is lost before its quarantine was lifted why
// nobody fences it: the fence of the boot before is not over.
func (p *step) silentAgain(m *member, st *FenceStatus) {
	if m.verdict.lost && m.Boot != st.Boot && m.answers() && m.guard.Status.Promise.Armed {
		p.event(m.Name, true, C9, "NotFenced",
			"boot %s is reported lost by %v while it is in the quarantine of fence %s: it is not fenced, and what tolerates the quarantine does not move until the node boots again",
			m.Boot, m.verdict.accuse, st.Fence)
	}
}

// welcome gives the neighbours of a node that is back the time to hear it: it would
// be suspected at once, for the silence of its last boot. One that they do not hear
// by then is silent in this boot, too, and that is for the next fence.
func (p *step) welcome(t *trial, m *member) bool {
	if t.back.IsZero() {
		t.back = p.now
	}
	until := t.back.Add(2 * p.w.Policy.Profile.LostAfter())
	if !m.verdict.lost || p.unarmed(m) != "" || until.Passed(p.now) {
		return true
	}
	p.wakeAt(until)
	return false
}

// goneForGood ends the fence of a node whose object is gone, as far as a look
// can tell: the cache may only not have it yet.
func (p *step) goneForGood(f *Fence, t *trial) {
	saw := p.look(f, t)
	switch {
	case saw == nil:
	case saw.Node == nil:
		p.retreat(f, retreat{Recovered, C8, "the Node object is gone"})
	default:
		t.after = p.now.Add(idle)
	}
}

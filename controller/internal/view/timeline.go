package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/matrix"
	"github.com/picket-dev/picket/proto/roll"
)

// A Timeline is the story of one fence.
type Timeline struct {
	Node string `json:"node"`
	// Fence is the NodeFence's name; empty: the node has none.
	Fence     string                  `json:"fence,omitempty"`
	ID        string                  `json:"id,omitempty"`
	BootID    string                  `json:"bootID,omitempty"`
	Phase     v1alpha1.NodeFencePhase `json:"phase,omitempty"`
	Reason    string                  `json:"reason,omitempty"`
	Requester string                  `json:"requester,omitempty"`
	// Why says in one sentence why the node was fenced, Evidence what for.
	Why      string   `json:"why"`
	Evidence []string `json:"evidence,omitempty"`
	// Outcome says how it ended or stands, Next what happens if nothing changes.
	Outcome string `json:"outcome"`
	Next    string `json:"next,omitempty"`
	// Begun is when the first step was taken; Steps count their seconds from it.
	Begun *metav1.MicroTime `json:"begun,omitempty"`
	Steps []Step            `json:"steps,omitempty"`
	// Tainted is from the first step to the out-of-service taint, which Bound
	// bounds under the node's promise; 0: there was none.
	Tainted metav1.Duration `json:"tainted"`
	Bound   metav1.Duration `json:"bound"`
	// Node as it stands now, and other NodeFences of it, the newest first.
	Now    *Node    `json:"now,omitempty"`
	Others []string `json:"others,omitempty"`
	Gaps   []Gap    `json:"gaps,omitempty"`

	health Health
}

// A Step is something that happened.
type Step struct {
	At    metav1.MicroTime `json:"at"`
	After metav1.Duration  `json:"after"`
	Rule  string           `json:"rule"`
	What  string           `json:"what"`
	// Event is the reason of a Kubernetes event; empty: the step is one of the
	// NodeFence's own. Events know whole seconds only.
	Event string `json:"event,omitempty"`
}

// Timeline tells the story of a node's newest fence, or of the one with that
// name. It returns an error that says what to do if there is no such node or
// fence.
func (s *Snapshot) Timeline(node, name string) (*Timeline, error) {
	fences := s.FencesOf(node)
	v := &Timeline{Node: node, Gaps: s.Gaps, health: Fine}
	for _, n := range s.nodes() {
		if n.Name == node {
			v.Now = &n
		}
	}
	if v.Now == nil && len(fences) == 0 {
		return nil, fmt.Errorf("there is no node %q and no fence of one: kubectl picket status lists the nodes", node)
	}
	chosen := slices.IndexFunc(fences, func(f v1alpha1.NodeFence) bool { return name == "" || f.Name == name })
	if chosen < 0 && name != "" {
		return nil, fmt.Errorf("%s has no fence %q: kubectl get nodefences lists them all (one that ended is kept for an hour)", node, name)
	}
	for i, f := range fences {
		if i != chosen {
			v.Others = append(v.Others, fmt.Sprintf("%s (%s)", f.Name, f.Status.Phase))
		}
	}
	if chosen < 0 {
		v.unfenced(s)
		return v, nil
	}
	v.tell(s, &fences[chosen])
	return v, nil
}

// unfenced says why there is nothing to tell.
func (v *Timeline) unfenced(s *Snapshot) {
	v.Why = "the node has no fence: nobody asked for one, or it ended more than an hour ago"
	v.Outcome = "not fenced"
	if v.Now != nil && len(v.Now.LostBy) > 0 {
		v.health = Degraded
		v.Evidence = append(v.Evidence, s.accusers(v.Node)...)
	}
	v.Steps = s.events(v.Node, "", time.Time{}, s.Now)
	v.count()
}

// tell tells the story of the fence.
func (v *Timeline) tell(s *Snapshot, f *v1alpha1.NodeFence) {
	st := &f.Status
	v.Fence, v.ID, v.BootID, v.Phase = f.Name, st.Fence, st.BootID, st.Phase
	v.Reason, v.Requester = cmp.Or(f.Spec.Reason, v1alpha1.ReasonRequested), f.Spec.Requester
	begin := f.CreationTimestamp.Time
	end := s.Now
	for _, t := range st.Timeline {
		v.Steps = append(v.Steps, Step{At: t.At, Rule: t.Rule, What: t.What})
	}
	if n := len(st.Timeline); n > 0 {
		begin = st.Timeline[0].At.Time
		if !Open(f) {
			end = st.Timeline[n-1].At.Time
		}
	}
	v.Begun = &metav1.MicroTime{Time: begin}
	v.Steps = append(v.Steps, s.events(v.Node, f.Name, begin.Add(-30*time.Second), end.Add(5*time.Second))...)
	v.count()
	v.judge(s, f)
	v.bound(s, f)
}

// judge says why the fence was made, and how it stands.
func (v *Timeline) judge(s *Snapshot, f *v1alpha1.NodeFence) {
	switch v.Reason {
	case v1alpha1.ReasonPeersLost:
		v.Why = "its neighbours did not hear it any more (C1)"
	case v1alpha1.ReasonKubeletSilent:
		v.Why = "its kubelet was NotReady for too long, though its agent answered (C2)"
	case "Orphaned":
		v.Why = "the Roll lists its boot, and the NodeFence of that was lost (C11)"
	default:
		v.Why = fmt.Sprintf("%s asked for it (C3), reason %s", cmp.Or(v.Requester, "somebody"), v.Reason)
	}
	if f.Spec.Proof != nil {
		v.Evidence = append(v.Evidence, fmt.Sprintf("%s says that boot %s is dead: %s", f.Spec.Proof.By, short(f.Spec.Proof.BootID), f.Spec.Proof.Kind))
	}
	if steps := f.Status.Timeline; len(steps) > 0 && (v.Reason == v1alpha1.ReasonPeersLost || v.Reason == v1alpha1.ReasonKubeletSilent) {
		v.Evidence = append(v.Evidence, steps[0].What)
	}
	if Open(f) {
		v.Evidence = append(v.Evidence, s.accusers(v.Node)...)
		v.health = Degraded
		if v.Phase == v1alpha1.FenceSuspected || v.Phase == v1alpha1.FenceWithheld {
			v.health = Counting
		}
		v.Next = s.next(f)
	}
	if acks, _ := s.acks(f); f.Status.Phase == v1alpha1.FenceWithheld && acks != "" {
		v.Evidence = append(v.Evidence, acks)
	} else if len(f.Status.Acknowledged) > 0 {
		v.Evidence = append(v.Evidence, "witnesses "+matrix.Names(f.Status.Acknowledged)+" acknowledged that it is withheld")
	}
	for _, b := range f.Status.Blockers {
		v.Evidence = append(v.Evidence, "blocked by "+b)
	}
	v.Outcome = outcome(f)
}

// outcome says how the fence ended or stands.
func outcome(f *v1alpha1.NodeFence) string {
	last := ""
	if n := len(f.Status.Timeline); n > 0 {
		last = f.Status.Timeline[n-1].What
	}
	switch f.Status.Phase {
	case "", v1alpha1.FencePending:
		return "it has not begun: nothing is withheld from the node"
	case v1alpha1.FenceSuspected:
		return "it is suspected: nothing is withheld from it yet"
	case v1alpha1.FenceWithheld:
		return "it may not run on: its watchdog resets it, and nothing moves before that is proven"
	case v1alpha1.FenceFenced:
		return "it provably cannot write: Kubernetes moves its volumes and pods"
	case v1alpha1.FenceDetached:
		return "its volumes and pods have moved; it is quarantined until a new, clean boot"
	case v1alpha1.FenceBlocked:
		return "it is not fenced: something forbids that (C9)"
	case v1alpha1.FenceRefuted:
		return "it was not fenced: " + last
	case v1alpha1.FenceRecovered:
		return "it is over: " + last
	}
	return string(f.Status.Phase)
}

// accusers says who does not hear the node now.
func (s *Snapshot) accusers(node string) []string {
	m := s.matrix(s.Domains)
	t := m.About(node)
	if t.Lost == 0 {
		return nil
	}
	var names []string
	for _, from := range m.Nodes() {
		if m.Sight(from, node) == matrix.Lost {
			names = append(names, from)
		}
	}
	return []string{fmt.Sprintf("now lost by %d of the %d that watch it: %s", t.Lost, t.Lost+t.Heard, matrix.Names(names))}
}

// acks says which witnesses know that the fence withholds the node, and reports
// whether they suffice in every epoch, by their NodeGuards.
func (s *Snapshot) acks(f *v1alpha1.NodeFence) (text string, covered bool) {
	if s.Roll == nil {
		return "", false
	}
	var parts []string
	covered = len(s.Roll.Spec.Epochs) > 0
	for _, e := range s.Roll.Spec.Epochs {
		var names []string
		for _, w := range e.Witnesses {
			g := s.guard(w)
			if w != FencedNode(f) && g != nil && g.Status.Acked.History == s.Roll.Spec.History && slices.Contains(g.Status.Acked.Fences, f.Status.Fence) {
				names = append(names, w)
			}
		}
		cover := roll.Epoch{Witnesses: e.Witnesses}.Cover()
		covered = covered && len(names) >= cover
		parts = append(parts, fmt.Sprintf("%d of the %d witnesses of epoch %d acknowledged that it is withheld, %d must: %s",
			len(names), len(e.Witnesses), e.Number, cover, cmp.Or(matrix.Names(names), "nobody yet")))
	}
	return strings.Join(parts, "; "), covered
}

// bound compares the time to the taint with what the node's promise bounds.
func (v *Timeline) bound(s *Snapshot, f *v1alpha1.NodeFence) {
	for _, t := range f.Status.Timeline {
		if t.Rule == "C5" && strings.HasPrefix(t.What, "tainted out-of-service") {
			v.Tainted.Duration = t.At.Sub(v.Begun.Time)
		}
	}
	g := s.guard(v.Node)
	if g == nil || g.Status.BootID != v.BootID || f.Spec.Proof != nil {
		return // the promise of another boot bounds nothing here
	}
	if w := s.wait(g); w != nil {
		v.Bound.Duration = w.Failover.Duration - w.LostAfter.Duration // the first step is the peers' word
	}
}

// events returns what the controller has said of the node, or of the fence, in
// that time. Those that only repeat a step are left out.
func (s *Snapshot) events(node, fence string, from, to time.Time) []Step {
	var steps []Step
	for i := range s.Events {
		e := &s.Events[i]
		o := e.InvolvedObject
		ours := o.Kind == "Node" && o.Name == node || fence != "" && o.Kind == "NodeFence" && o.Name == fence
		at := when(e)
		if e.Source.Component != "picket-controller" || !ours || at.Before(from) || at.After(to) || repeats(e.Reason) {
			continue
		}
		rule, what, ok := strings.Cut(e.Message, ": ")
		if !ok || RuleText(rule) == "" {
			rule, what = "", e.Message
		}
		if e.Count > 1 {
			what += fmt.Sprintf(" (%d times)", e.Count)
		}
		if slices.ContainsFunc(steps, func(t Step) bool { return t.Rule == rule && t.What == what }) {
			continue // one about the Node, one about the NodeFence
		}
		steps = append(steps, Step{At: metav1.MicroTime{Time: at}, Rule: rule, What: what, Event: e.Reason})
	}
	return steps
}

// when returns when an event happened first.
func when(e *corev1.Event) time.Time {
	for _, t := range []time.Time{e.FirstTimestamp.Time, e.EventTime.Time, e.CreationTimestamp.Time} {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

// repeats reports whether events of the reason say what a step of the NodeFence
// says.
func repeats(reason string) bool {
	return slices.Contains([]string{
		v1alpha1.ReasonPeersLost, v1alpha1.ReasonKubeletSilent,
		string(v1alpha1.FenceFenced), string(v1alpha1.FenceDetached), string(v1alpha1.FenceRecovered),
		string(v1alpha1.FenceRefuted), string(v1alpha1.FencePending),
	}, reason)
}

// count sorts the steps, and counts their seconds. Events come first in their
// second: they know no more of the time.
func (v *Timeline) count() {
	slices.SortStableFunc(v.Steps, func(a, b Step) int { return a.At.Compare(b.At.Time) })
	for i := range v.Steps {
		if v.Begun != nil {
			v.Steps[i].After.Duration = v.Steps[i].At.Sub(v.Begun.Time)
		}
	}
}

// Health is the exit code's reason.
func (v *Timeline) Health() Health { return v.health }

// JSON is the timeline itself.
func (v *Timeline) JSON() any { return v }

package view

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/matrix"
	"github.com/picket-dev/picket/proto/screen"
)

// A Status is the whole cluster at a glance.
type Status struct {
	State Health `json:"state"`
	// Problems says what is not as it should be, the worst first.
	Problems []string `json:"problems"`
	Armed    int      `json:"armed"`
	Unarmed  int      `json:"unarmed"`
	// Reasons counts the unarmed nodes by why they are.
	Reasons    []Reason   `json:"reasons,omitempty"`
	Fencing    Fencing    `json:"fencing"`
	Controller Controller `json:"controller"`
	Roll       Roll       `json:"roll"`
	Fences     []Fence    `json:"fences"`
	Nodes      []Node     `json:"nodes"`
	Gaps       []Gap      `json:"gaps,omitempty"`
	Now        time.Time  `json:"now"`

	findings []matrix.Finding
	lost     int
	links    int
}

// A Reason is why some nodes are unarmed.
type Reason struct {
	Reason string   `json:"reason"`
	Nodes  []string `json:"nodes"`
	// Message is what the first of them says.
	Message string `json:"message,omitempty"`
}

// Fencing is what the policy allows.
type Fencing struct {
	// Off says why no new fence begins; empty: they do.
	Off     string `json:"off,omitempty"`
	Mode    string `json:"mode"`
	Profile string `json:"profile"`
	// Paused is the pause's reason, Until its end; both empty: there is none.
	Paused string       `json:"paused,omitempty"`
	Until  *metav1.Time `json:"until,omitempty"`
	// Refused says why the policy as it is written is not in force.
	Refused string `json:"refused,omitempty"`
	// Failover is the longest bound of all armed nodes.
	Failover metav1.Duration `json:"failover"`
}

// Controller is who leads.
type Controller struct {
	// Leader is empty where nobody leads; Known is false where that is not known.
	Leader  string       `json:"leader,omitempty"`
	Known   bool         `json:"known"`
	Renewed *metav1.Time `json:"renewed,omitempty"`
}

// Roll is what the Roll says.
type Roll struct {
	Exists    bool    `json:"exists"`
	Serial    int64   `json:"serial,omitempty"`
	History   string  `json:"history,omitempty"`
	Broken    string  `json:"broken,omitempty"`
	Epochs    []Epoch `json:"epochs,omitempty"`
	Suspected int     `json:"suspected"`
	Withheld  int     `json:"withheld"`
}

// An Epoch is a set of witnesses, and how many of them can speak.
type Epoch struct {
	Number    int64    `json:"number"`
	State     string   `json:"state"`
	Witnesses []string `json:"witnesses"`
	// Speaking have read this history in a boot that still runs; Quorum of them
	// must, or an API outage resets nodes.
	Speaking int `json:"speaking"`
	Quorum   int `json:"quorum"`
}

// A Fence is an open NodeFence in one line.
type Fence struct {
	Name     string                  `json:"name"`
	Node     string                  `json:"node"`
	Phase    v1alpha1.NodeFencePhase `json:"phase"`
	Reason   string                  `json:"reason"`
	Deadline *metav1.Time            `json:"deadline,omitempty"`
	Next     string                  `json:"next"`
	Blockers []string                `json:"blockers,omitempty"`
}

// leaseStale is how long a leader may not have renewed a lease of 4 s.
const leaseStale = 15 * time.Second

// Status returns the whole cluster at a glance.
func (s *Snapshot) Status() *Status {
	v := &Status{Now: s.Now, Gaps: s.Gaps, Nodes: s.nodes(), Problems: []string{}, Fences: []Fence{}}
	m := s.matrix(s.Domains)
	v.findings = m.Findings(kindOf(s.Domains))
	for _, n := range m.Nodes() {
		t := m.About(n)
		v.lost += t.Lost
		v.links += t.Lost + t.Heard + t.Untold
	}
	v.count()
	v.Fencing = s.fencing(v.Nodes)
	v.Controller = s.controller()
	v.Roll = s.roll()
	for i := range s.Fences {
		if f := &s.Fences[i]; Open(f) {
			v.Fences = append(v.Fences, s.fence(f))
		}
	}
	slices.SortFunc(v.Fences, func(a, b Fence) int {
		return cmp.Or(matrix.Compare(a.Node, b.Node), cmp.Compare(a.Name, b.Name))
	})
	v.judge()
	return v
}

// count counts who is armed, and why others are not.
func (v *Status) count() {
	byReason := make(map[string]*Reason)
	for _, n := range v.Nodes {
		if n.Armed {
			v.Armed++
			continue
		}
		v.Unarmed++
		why := n.why()
		r := byReason[why]
		if r == nil {
			r = &Reason{Reason: why, Message: n.Message}
			byReason[why] = r
		}
		r.Nodes = append(r.Nodes, n.Name)
	}
	for _, r := range byReason {
		v.Reasons = append(v.Reasons, *r)
	}
	slices.SortFunc(v.Reasons, func(a, b Reason) int {
		return cmp.Or(len(b.Nodes)-len(a.Nodes), cmp.Compare(a.Reason, b.Reason))
	})
}

// why says in one word why the node is not armed.
func (n Node) why() string {
	switch n.Phase {
	case phaseNoGuard, phaseNoAgent, phaseOldBoot, phaseSilent, phaseDead:
		return n.Phase
	}
	return cmp.Or(n.Reason, n.Phase)
}

// fencing says what the policy allows.
func (s *Snapshot) fencing(nodes []Node) Fencing {
	p := s.Policy
	if p == nil {
		p = &v1alpha1.FencingPolicy{}
	}
	v := Fencing{Mode: string(cmp.Or(p.Spec.Mode, v1alpha1.Enforce)), Profile: cmp.Or(p.Spec.Profile, "standard")}
	for _, n := range nodes {
		v.Failover.Duration = max(v.Failover.Duration, n.Failover.Duration)
	}
	for _, c := range p.Status.Conditions {
		if c.Type == v1alpha1.ConditionAccepted && c.Status == metav1.ConditionFalse {
			v.Refused = c.Message
		}
	}
	if x := p.Spec.Pause; x != nil && (x.Until == nil || s.Now.Before(x.Until.Time)) {
		v.Paused, v.Until = cmp.Or(x.Reason, "no reason given"), x.Until
	}
	switch {
	case v.Mode == string(v1alpha1.Observe):
		v.Off = "the policy's mode is Observe: nothing is armed, nothing is fenced"
	case v.Mode == string(v1alpha1.Uninstall):
		v.Off = "the policy's mode is Uninstall: agents become unarmed and leave their hosts, no new fence begins"
	case s.Broken():
		v.Off = "the Roll's history is broken (" + s.Roll.Spec.Broken + "): to go on, kubectl picket resume"
	case v.Paused != "":
		v.Off = "paused: " + v.Paused
	}
	return v
}

// controller says who leads.
func (s *Snapshot) controller() Controller {
	if !s.has(KindLeases) {
		return Controller{}
	}
	v := Controller{Known: true}
	l := s.Leader
	if l == nil || l.Spec.RenewTime == nil || l.Spec.HolderIdentity == nil {
		return v
	}
	v.Renewed = &metav1.Time{Time: l.Spec.RenewTime.Time}
	if s.Now.Sub(v.Renewed.Time) < leaseStale {
		v.Leader = *l.Spec.HolderIdentity
	}
	return v
}

// roll says what the Roll says, and which witnesses can speak for it.
func (s *Snapshot) roll() Roll {
	if s.Roll == nil {
		return Roll{}
	}
	spec := s.Roll.Spec
	v := Roll{Exists: true, Serial: spec.Serial, History: spec.History, Broken: spec.Broken}
	for _, e := range spec.Epochs {
		x := Epoch{Number: e.Number, State: string(e.State), Witnesses: e.Witnesses, Quorum: len(e.Witnesses)/2 + 1}
		for _, w := range e.Witnesses {
			if s.speaks(w, spec.History) {
				x.Speaking++
			}
		}
		v.Epochs = append(v.Epochs, x)
	}
	for _, e := range spec.Entries {
		switch e.State {
		case "Suspected":
			v.Suspected++
		case "Withheld":
			v.Withheld++
		}
	}
	return v
}

// speaks reports whether the witness has read this history in a boot that still
// runs, and is not being fenced.
func (s *Snapshot) speaks(witness, history string) bool {
	g := s.guard(witness)
	if g == nil || g.Status.Acked.History != history {
		return false
	}
	boot := ""
	if n := s.node(witness); n != nil {
		boot = n.Status.NodeInfo.BootID
	}
	f := s.OpenFence(witness)
	return mute(g, boot, s.Now).phase == "" && (f == nil || f.Status.Phase == v1alpha1.FencePending || f.Status.Phase == v1alpha1.FenceBlocked)
}

// fence puts an open NodeFence into one line.
func (s *Snapshot) fence(f *v1alpha1.NodeFence) Fence {
	return Fence{
		Name: f.Name, Node: FencedNode(f), Phase: f.Status.Phase, Reason: cmp.Or(f.Spec.Reason, v1alpha1.ReasonRequested),
		Deadline: f.Status.Deadline, Blockers: f.Status.Blockers, Next: s.next(f),
	}
}

// next says what happens to a fence next, if nothing changes.
func (s *Snapshot) next(f *v1alpha1.NodeFence) string {
	st := &f.Status
	switch st.Phase {
	case "", v1alpha1.FencePending:
		if st.WaitsFor != "" {
			return "waits for " + st.WaitsFor
		}
		return "is about to begin"
	case v1alpha1.FenceSuspected:
		return "withheld in a few seconds, unless it speaks or is heard again"
	case v1alpha1.FenceWithheld:
		if st.Deadline == nil {
			return s.nextWithoutDeadline(f)
		}
		if left := st.Deadline.Sub(s.Now); left > 0 {
			return fmt.Sprintf("tainted out-of-service in %.0f s and the rejoin guard, unless it boots anew", left.Seconds())
		}
		return "waits for " + cmp.Or(st.WaitsFor, "the last look for life")
	case v1alpha1.FenceFenced:
		return "its volumes move; waits for " + cmp.Or(st.WaitsFor, "C6: pods and volumes to be gone")
	case v1alpha1.FenceDetached:
		return "volumes have moved; waits for " + cmp.Or(st.WaitsFor, "C8: a new boot of the node")
	case v1alpha1.FenceBlocked:
		return "does not go on: " + cmp.Or(st.WaitsFor, "C9")
	case v1alpha1.FenceRecovered, v1alpha1.FenceRefuted:
		return "over"
	}
	return st.WaitsFor
}

// nextWithoutDeadline says what a withheld node waits for. Its wait may run
// although the NodeFence does not say so yet.
func (s *Snapshot) nextWithoutDeadline(f *v1alpha1.NodeFence) string {
	if _, covered := s.acks(f); covered {
		if g := s.guard(FencedNode(f)); g != nil && g.Status.BootID == f.Status.BootID {
			if w := s.wait(g); w != nil {
				return fmt.Sprintf("enough witnesses have acknowledged: tainted out-of-service within %s and the rejoin guard, unless it boots anew", screen.Seconds(w.Wait.Duration))
			}
		}
	}
	return "waits for " + cmp.Or(f.Status.WaitsFor, "its acknowledgements")
}

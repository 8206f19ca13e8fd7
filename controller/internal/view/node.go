package view

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/matrix"
	"github.com/picket-dev/picket/proto/timing"
)

// silentAfter is how long an agent may say nothing: it writes its NodeGuard at
// least every five minutes.
const silentAfter = 6 * time.Minute

// A Node is one node's standing.
type Node struct {
	Name   string `json:"name"`
	Domain string `json:"domain,omitempty"`
	// Phase is the agent's word, or NoGuard, NoAgent, OldBoot or Silent where it
	// has none that counts, or Dead for a boot that was fenced.
	Phase   string `json:"phase"`
	Armed   bool   `json:"armed"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`

	Watchdog v1alpha1.Watchdog `json:"watchdog"`
	Timeout  metav1.Duration   `json:"timeout"`
	// Wait is W of an armed node, Failover the bound from its death to the taint.
	Wait     metav1.Duration `json:"wait"`
	Failover metav1.Duration `json:"failover"`

	// LostBy are those of its Watchers that do not hear it; Lost are those that
	// it does not hear.
	LostBy   []string `json:"lostBy,omitempty"`
	Watchers int      `json:"watchers"`
	Lost     []string `json:"lost,omitempty"`

	// Fence is the open one.
	Fence      string                  `json:"fence,omitempty"`
	FencePhase v1alpha1.NodeFencePhase `json:"fencePhase,omitempty"`

	Ready      string   `json:"ready,omitempty"` // of the kubelet
	Conditions []string `json:"conditions,omitempty"`
	Storage    string   `json:"storage,omitempty"`
	Volumes    int      `json:"volumes"`
	BootID     string   `json:"bootID,omitempty"`
	API        string   `json:"api,omitempty"`
	Version    string   `json:"version,omitempty"`
	// Spoke is when the agent last wrote its NodeGuard, by the API's clock.
	Spoke *metav1.Time `json:"spoke,omitempty"`
}

// The phases that an agent cannot give itself.
const (
	phaseNoGuard = "NoGuard"
	phaseNoAgent = "NoAgent"
	phaseOldBoot = "OldBoot"
	phaseSilent  = "Silent"
	phaseDead    = "Dead"
)

// nodes returns the standing of every node, by name.
func (s *Snapshot) nodes() []Node {
	m := s.matrix(s.Domains)
	byName := make(map[string]*Node)
	for i := range s.Nodes {
		n := &s.Nodes[i]
		byName[n.Name] = &Node{Name: n.Name, Domain: n.Labels[s.Domains], Phase: phaseNoGuard, Ready: ready(n), BootID: n.Status.NodeInfo.BootID}
	}
	for i := range s.Guards {
		g := &s.Guards[i]
		n := byName[g.Name]
		if n == nil {
			if s.has(KindNodes) && s.OpenFence(g.Name) == nil {
				continue // the node left; the controller removes its guard
			}
			n = &Node{Name: g.Name}
			byName[g.Name] = n
		}
		n.take(g, s.Now)
		tally := m.About(g.Name)
		n.Watchers = tally.Heard + tally.Lost
	}
	for i := range s.Guards {
		for _, lost := range s.Guards[i].Status.Lost {
			if n := byName[lost]; n != nil && m.Mute(s.Guards[i].Name) == "" {
				n.LostBy = append(n.LostBy, s.Guards[i].Name)
			}
		}
	}
	for i := range s.Fences {
		f := &s.Fences[i]
		if n := byName[FencedNode(f)]; n != nil && Open(f) {
			open := s.OpenFence(n.Name)
			n.Fence, n.FencePhase = open.Name, open.Status.Phase
			if p := open.Status.Phase; (p == v1alpha1.FenceFenced || p == v1alpha1.FenceDetached) && open.Status.BootID == n.BootID {
				n.Phase, n.Reason, n.Message, n.Armed = phaseDead, "", "its last boot is fenced, and no new one is known", false
			}
		}
	}
	all := make([]Node, 0, len(byName))
	for _, n := range byName {
		slices.SortFunc(n.LostBy, matrix.Compare)
		all = append(all, *n)
	}
	slices.SortFunc(all, func(a, b Node) int { return matrix.Compare(a.Name, b.Name) })
	return all
}

// take puts the agent's word into n.
func (n *Node) take(g *v1alpha1.NodeGuard, now time.Time) {
	st := &g.Status
	n.Phase, n.Reason, n.Message = st.Phase, st.Reason, st.Message
	n.Watchdog, n.Timeout = st.Watchdog, st.Promise.Timeout
	n.Lost = st.Lost
	n.Storage, n.Volumes = st.Storage.State, len(volumes(st.Storage))
	n.API, n.Version = st.APIEndpoint, st.Version
	for _, c := range st.Conditions {
		if c.Status == metav1.ConditionTrue {
			n.Conditions = append(n.Conditions, c.Type)
		}
	}
	if at := WrittenAt(g); !at.IsZero() {
		n.Spoke = &metav1.Time{Time: at}
	}
	why := mute(g, n.BootID, now)
	if why.phase != "" {
		n.Phase, n.Reason, n.Message = why.phase, "", why.text
		return
	}
	if n.BootID == "" {
		n.BootID = st.BootID
	}
	if p, err := st.Promise.Pure(); err == nil && p.Armed {
		profile := g.Spec.Timing.Resolve(timing.Standard())
		n.Armed = true
		n.Wait.Duration, n.Failover.Duration = timing.Wait(p, profile), timing.Failover(p, profile)
	}
}

// A muteness says why an agent's word does not count.
type muteness struct{ phase, text string }

// mute says why the guard's word is not that of the boot that runs, or nothing.
// boot is the one that the Node names; "" if that is not known.
func mute(g *v1alpha1.NodeGuard, boot string, now time.Time) muteness {
	st := &g.Status
	at := WrittenAt(g)
	switch {
	case st.BootID == "":
		return muteness{phaseNoAgent, "its agent has not spoken yet: is there a picket-agent pod on it?"}
	case boot != "" && boot != st.BootID:
		return muteness{phaseOldBoot, "its agent has not spoken since the node booted: is there a picket-agent pod on it?"}
	case !at.IsZero() && now.Sub(at) > silentAfter:
		return muteness{phaseSilent, fmt.Sprintf("its agent has said nothing for %d min", int(now.Sub(at).Minutes()))}
	}
	return muteness{}
}

// volumes returns the names of the volumes that are on the node, each once.
func volumes(s v1alpha1.Storage) []string {
	var names []string
	for _, d := range s.Devices {
		name := d.Volume
		if name == "" {
			name = d.Path
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// ready says what the Node's Ready condition says.
func ready(n *corev1.Node) string {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			switch c.Status {
			case corev1.ConditionTrue:
				return "Ready"
			case corev1.ConditionFalse:
				return "NotReady"
			case corev1.ConditionUnknown:
			}
		}
	}
	return "Unknown"
}

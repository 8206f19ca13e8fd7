package view

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/matrix"
	"github.com/picket-dev/picket/proto/screen"
)

// A Question is what `where` was asked, as far as the API could tell.
type Question struct {
	// Node is the node that was asked for, or Volume the PersistentVolume; one of
	// them is empty. Claim is the PersistentVolumeClaim that led to the volume.
	Node, Volume, Claim string
	// PV is the volume's object; nil: it is not known.
	PV *corev1.PersistentVolume
	// Attachments are all VolumeAttachments; nil with Unread not empty: why they
	// could not be read.
	Attachments []storagev1.VolumeAttachment
	Unread      string
}

// A Where says on which nodes volumes are mounted or mapped.
type Where struct {
	Node   string `json:"node,omitempty"`
	Volume string `json:"volume,omitempty"`
	Claim  string `json:"claim,omitempty"`
	// Single says that one node at a time may have the volume.
	Single bool    `json:"single"`
	Places []Place `json:"places"`
	// Warnings say what does not fit together.
	Warnings []string `json:"warnings,omitempty"`
}

// A Place is a volume on a node.
type Place struct {
	Volume string `json:"volume"`
	Node   string `json:"node"`
	Path   string `json:"path,omitempty"`
	// Attached says that Kubernetes holds the volume for attached there.
	Attached bool   `json:"attached"`
	Standing string `json:"standing"`
	// Left is Stale where the volume has moved and is there still, Stuck where the
	// node can neither leave it nor tear it down.
	Left string `json:"left,omitempty"`
}

// Where answers the question from what the nodes' agents have mapped, and from
// what Kubernetes holds for attached.
func (s *Snapshot) Where(q Question) *Where {
	v := &Where{Node: q.Node, Volume: q.Volume, Claim: q.Claim, Single: single(q.PV), Places: []Place{}}
	wanted := func(node, volume string) bool {
		return (q.Node == "" || node == q.Node) && (q.Volume == "" || volume == q.Volume)
	}
	names := q.names()
	attached := make(map[[2]string]bool)
	for _, a := range q.Attachments {
		if pv := a.Spec.Source.PersistentVolumeName; pv != nil && wanted(a.Spec.NodeName, *pv) {
			attached[[2]string{a.Spec.NodeName, *pv}] = a.Status.Attached
		}
	}
	standing := make(map[string]string)
	for _, n := range s.nodes() {
		standing[n.Name] = n.standing()
	}
	for i := range s.Guards {
		g := &s.Guards[i]
		here := v.Node == "" || g.Name == v.Node
		if unsure := unsure(g); here && unsure != "" {
			v.Warnings = append(v.Warnings, unsure)
		}
		for _, d := range g.Status.Storage.Devices {
			volume := cmp.Or(names[d.Volume], d.Volume)
			if !wanted(g.Name, volume) {
				continue
			}
			key := [2]string{g.Name, volume}
			v.Places = append(v.Places, Place{Volume: volume, Node: g.Name, Path: d.Path, Attached: attached[key], Standing: standing[g.Name], Left: d.Standing})
		}
	}
	for _, p := range v.Places {
		delete(attached, [2]string{p.Node, p.Volume})
	}
	for key, on := range attached {
		if on {
			v.Places = append(v.Places, Place{Volume: key[1], Node: key[0], Attached: true, Standing: standing[key[0]]})
		}
	}
	slices.SortFunc(v.Places, func(a, b Place) int {
		if c := matrix.Compare(a.Node, b.Node); c != 0 {
			return c
		}
		return matrix.Compare(a.Volume+a.Path, b.Volume+b.Path)
	})
	v.warn(q)
	return v
}

// names are what agents call volumes by whose PersistentVolumes they do not know:
// the handle, or the driver with the hash of it.
func (q Question) names() map[string]string {
	if q.PV == nil || q.PV.Spec.CSI == nil || q.Volume == "" {
		return nil
	}
	c := q.PV.Spec.CSI
	return map[string]string{
		c.VolumeHandle: q.Volume,
		fmt.Sprintf("%s %x", c.Driver, sha256.Sum256([]byte(c.VolumeHandle))): q.Volume,
	}
}

// unsure says why a node's list of devices may lack some, or nothing.
func unsure(g *v1alpha1.NodeGuard) string {
	switch st := g.Status.Storage; {
	case st.State == v1alpha1.StorageUnknown:
		return g.Name + " does not know all that it has: " + cmp.Or(st.Message, "it has not looked yet")
	case st.Omitted > 0:
		return fmt.Sprintf("%s has %d devices more than it lists: picket-agent devices shows them there", g.Name, st.Omitted)
	}
	return ""
}

// standing says whether the node's word is one of now.
func (n Node) standing() string {
	switch {
	case n.Fence != "":
		return "fence " + string(n.FencePhase) + ": its word is from before"
	case n.Phase == phaseOldBoot, n.Phase == phaseSilent, n.Phase == phaseNoAgent:
		return n.Phase + ": its word is old"
	}
	return n.Phase
}

// single reports whether only one node at a time may have the volume.
func single(pv *corev1.PersistentVolume) bool {
	if pv == nil {
		return false
	}
	for _, m := range pv.Spec.AccessModes {
		if m == corev1.ReadWriteMany || m == corev1.ReadOnlyMany {
			return false
		}
	}
	return len(pv.Spec.AccessModes) > 0
}

// warn finds what does not fit together.
func (v *Where) warn(q Question) {
	nodes := make(map[string]bool)
	for _, p := range v.Places {
		nodes[p.Node] = true
		if p.Left != "" {
			v.Warnings = append(v.Warnings, fmt.Sprintf("%s has %s left of %s, which has moved (%s): picket-agent devices --plan says more there", p.Node, p.Path, cmp.Or(p.Volume, "a volume"), p.Left))
			continue
		}
		if q.Unread == "" && p.Path != "" && p.Volume != "" && !p.Attached && v.Volume != "" {
			v.Warnings = append(v.Warnings, fmt.Sprintf("%s has %s mapped, and Kubernetes does not hold it for attached there", p.Node, p.Volume))
		}
	}
	if v.Single && len(nodes) > 1 {
		names := make([]string, 0, len(nodes))
		for n := range nodes {
			names = append(names, n)
		}
		v.Warnings = append(v.Warnings, fmt.Sprintf("a volume for one node at a time is on %s: the word of a fenced or silent node is old, any other two are one too many", matrix.Names(names)))
	}
	if q.Unread != "" {
		v.Warnings = append(v.Warnings, "VolumeAttachments were not read: "+q.Unread)
	}
	slices.Sort(v.Warnings)
	v.Warnings = slices.Compact(v.Warnings)
}

// Health is degraded if something does not fit together.
func (v *Where) Health() Health {
	if len(v.Warnings) > 0 {
		return Degraded
	}
	return Fine
}

// JSON is the answer itself.
func (v *Where) JSON() any { return v }

// Draw says it in a line, then lists the places.
func (v *Where) Draw(s *screen.Screen, _ bool) {
	what := v.Volume
	if v.Claim != "" {
		what = fmt.Sprintf("%s (claim %s)", v.Volume, v.Claim)
	}
	switch {
	case v.Node != "" && len(v.Places) == 0:
		s.Line(screen.Say("no volume is on " + v.Node))
	case len(v.Places) == 0:
		s.Line(screen.Say(what + " is on no node"))
	case v.Node == "":
		s.Line(screen.Cell{Text: what, Tone: screen.Strong})
	}
	for _, w := range v.Warnings {
		s.Line(screen.Cell{Text: w, Tone: screen.Bad})
	}
	if len(v.Places) == 0 {
		return
	}
	t := screen.Table{Head: []string{"NODE", "VOLUME", "DEVICE", "ATTACHED", "NODE IS"}}
	for _, p := range v.Places {
		attached := "no"
		if p.Attached {
			attached = "yes"
		}
		if p.Left != "" {
			attached += ", " + strings.ToLower(p.Left)
		}
		t.Add(screen.Say(p.Node), screen.Say(p.Volume), screen.Say(p.Path), screen.Say(attached), screen.Say(p.Standing))
	}
	s.Table(t)
}

package view

import (
	"cmp"
	"fmt"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/matrix"
	"github.com/picket-dev/picket/proto/screen"
)

// A Doom is a boot that somebody is about to declare dead.
type Doom struct {
	Node, BootID, MachineID, SystemUUID string

	Addresses []string
	Volumes   []string
	// Fence is the open fence that the proof goes into; nil: there is none.
	Fence *v1alpha1.NodeFence
}

// Doom returns the boot of the node that a proof would be about, or an error that
// says why none is needed or possible.
func (s *Snapshot) Doom(node string) (*Doom, error) {
	if _, err := s.Standing(node); err != nil {
		return nil, err
	}
	x := &Doom{Node: node}
	present := ""
	if n := s.node(node); n != nil {
		i := n.Status.NodeInfo
		present, x.MachineID, x.SystemUUID = i.BootID, i.MachineID, i.SystemUUID
		for _, a := range n.Status.Addresses {
			x.Addresses = append(x.Addresses, a.Address)
		}
	}
	if g := s.guard(node); g != nil {
		x.MachineID, x.SystemUUID = cmp.Or(x.MachineID, g.Status.MachineID), cmp.Or(x.SystemUUID, g.Status.SystemUUID)
		x.Volumes = volumes(g.Status.Storage)
		present = cmp.Or(present, g.Status.BootID)
	}
	x.BootID = present
	if f := s.OpenFence(node); f != nil {
		x.Fence = f
		x.BootID = cmp.Or(f.Status.BootID, present)
		switch f.Status.Phase {
		case v1alpha1.FenceFenced, v1alpha1.FenceDetached:
			return nil, fmt.Errorf("boot %s of %s is proven dead already (%s is %s): there is nothing to confirm", short(x.BootID), node, f.Name, f.Status.Phase)
		case v1alpha1.FencePending, v1alpha1.FenceSuspected, v1alpha1.FenceRefuted, v1alpha1.FenceWithheld, v1alpha1.FenceRecovered, v1alpha1.FenceBlocked:
		}
		if f.Spec.Proof != nil && f.Spec.Proof.BootID == x.BootID {
			return nil, fmt.Errorf("%s has said already that boot %s of %s is dead: kubectl picket timeline %s", f.Spec.Proof.By, short(x.BootID), node, node)
		}
	}
	switch {
	case x.BootID == "":
		return nil, fmt.Errorf("no boot of %s is known, so there is none to declare dead: its kubelet and its agent have never spoken", node)
	case present != "" && present != x.BootID:
		return nil, fmt.Errorf("%s has booted anew since it was fenced (boot %s): it is not off, and the fence ends by itself", node, short(present))
	}
	return x, nil
}

// VolumeList says which volumes move.
func (x *Doom) VolumeList() string {
	if len(x.Volumes) == 0 {
		return "none that its agent knew of"
	}
	return fmt.Sprintf("%s: %s", screen.Count(len(x.Volumes), "volume", "volumes"), matrix.Names(x.Volumes))
}

// Standing returns how the node stands, or an error if there is no such node.
func (s *Snapshot) Standing(node string) (*Node, error) {
	for _, n := range s.nodes() {
		if n.Name == node {
			return &n, nil
		}
	}
	return nil, fmt.Errorf("there is no node %q: kubectl picket status lists them", node)
}

// Broken reports whether fencing waits for a person's word after the Roll's
// history was broken.
func (s *Snapshot) Broken() bool {
	return s.Roll != nil && s.Roll.Spec.Broken != "" && (s.Policy == nil || s.Policy.Spec.ResumeHistory != s.Roll.Spec.History)
}

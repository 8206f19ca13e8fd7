package attached

import (
	"cmp"
	"slices"
	"time"

	"github.com/picket-dev/picket/agent/teardown"
)

// answer puts together what was read.
func (s *search) answer() Answer {
	a := Answer{Moving: s.node.moving(), Names: s.names()}
	a.Known = true
	for i := range s.pods {
		if p := &s.pods[i]; p.stays() {
			a.Pods = append(a.Pods, p.uids()...)
		} else {
			a.Leaving = append(a.Leaving, p.uids()...)
		}
	}
	slices.Sort(a.Pods)
	slices.Sort(a.Leaving)
	described := make(map[teardown.Handle]bool)
	for i := range s.volumes {
		v := &s.volumes[i]
		t := s.attachment(v)
		described[teardown.Handle{Driver: t.Driver, Handle: t.Handle}] = true
		a.Volumes = append(a.Volumes, t)
	}
	for h := range s.handles() {
		if !described[h] {
			v := s.sources[h]
			t := teardown.Attachment{PV: v.Metadata.Name, Claim: v.claim(), Driver: h.Driver, Handle: h.Handle, Gated: s.drivers[h.Driver], Identity: v.identity()}
			s.judge(&t, h, "")
			a.Volumes = append(a.Volumes, t)
		}
	}
	a.Volumes = append(a.Volumes, s.inline()...)
	slices.SortFunc(a.Volumes, func(x, y teardown.Attachment) int {
		return cmp.Or(cmp.Compare(x.PV, y.PV), cmp.Compare(x.Driver, y.Driver), cmp.Compare(x.Handle, y.Handle))
	})
	return a
}

// attachment says of a PersistentVolume whether it is attached.
func (s *search) attachment(v *volume) teardown.Attachment {
	t := teardown.Attachment{PV: v.Metadata.Name, Claim: v.claim(), Identity: v.identity()}
	switch {
	case v.Spec.CSI != nil:
		t.Driver, t.Handle = v.Spec.CSI.Driver, v.Spec.CSI.VolumeHandle
		t.Gated = s.drivers[t.Driver]
		s.judge(&t, teardown.Handle{Driver: t.Driver, Handle: t.Handle}, "")
	case v.Spec.ISCSI != nil:
		t.Gated = true
		s.judge(&t, teardown.Handle{}, iscsiName(v.Spec.ISCSI))
	case v.Spec.FC != nil:
		t.Gated = true // and its disks are the host's for Picket, attached or not
	default:
		t.Wanted = s.wants(t.Claim)
	}
	return t
}

// inline returns the iSCSI volumes that pods have without a PersistentVolume.
func (s *search) inline() []teardown.Attachment {
	var all []teardown.Attachment
	for i := range s.pods {
		for _, v := range s.pods[i].Spec.Volumes {
			if v.ISCSI == nil {
				continue
			}
			name := iscsiName(v.ISCSI)
			t := teardown.Attachment{
				Driver: "kubernetes.io/iscsi", Handle: name, Gated: true,
				Identity: teardown.Identity{Target: v.ISCSI.IQN, LUN: v.ISCSI.Lun},
			}
			t.Attached = s.node.has(name)
			if t.Attached {
				t.Held = volumesAttached
			}
			t.Wanted = s.pods[i].stays()
			t.Again = s.again(s.pods[i].retained() && s.pods[i].Metadata.DeletionTimestamp == nil, time.Time{})
			if j := slices.IndexFunc(all, func(o teardown.Attachment) bool { return o.Handle == t.Handle }); j < 0 {
				all = append(all, t)
			} else {
				all[j].Wanted = all[j].Wanted || t.Wanted
			}
		}
	}
	return all
}

// volumesAttached is where a Node lists what is attached to it.
const volumesAttached = "volumesAttached of the Node"

// judge says whether a volume is attached: a CSI volume by its VolumeAttachment,
// an in-tree one by its name among the Node's.
func (s *search) judge(t *teardown.Attachment, h teardown.Handle, name string) {
	var since time.Time
	listed := s.node.has(cmp.Or(name, csiPrefix+h.Driver+"^"+h.Handle))
	if listed {
		t.Held = volumesAttached
	}
	if name != "" {
		t.Attached = listed
	} else if a, ok := s.attached[h]; ok {
		t.Attached = a.Status.Attached && a.Metadata.DeletionTimestamp == nil
		t.Held = "VolumeAttachment " + attachmentName(h, s.Reader.node)
		if a.Spec.Source.InlineVolumeSpec != nil {
			t.Held = "" // a pod's own, in a form of before CSI: which pod's it does not say
		}
		since = a.Metadata.CreationTimestamp
	}
	t.Wanted = s.wants(t.Claim)
	t.Again = s.again(t.Claim != "" && s.retains(t.Claim), since)
}

// wants reports whether a pod has the claim that this node is to run. One that has
// ended, or is being deleted, may be the fenced boot's, and starts no more.
func (s *search) wants(claim string) bool {
	return claim != "" && slices.ContainsFunc(s.pods, func(p pod) bool {
		return p.stays() && slices.Contains(p.claims(), claim)
	})
}

// again reports whether an attachment is younger than the fence. Only the fenced
// boot itself can have something of the volume from before. There, what no pod
// holds that a fence leaves alone was taken away, and is here again.
func (s *search) again(retained bool, since time.Time) bool {
	if !s.fence.Same {
		return false
	}
	fenced := s.node.since(s.fence.Boot)
	return !retained || !since.IsZero() && !fenced.IsZero() && !since.Before(fenced)
}

// retains reports whether a pod uses the claim that a fence leaves on its node.
func (s *search) retains(claim string) bool {
	return slices.ContainsFunc(s.pods, func(p pod) bool {
		return p.stays() && p.retained() && slices.Contains(p.claims(), claim)
	})
}

// names are the pods' names by all UIDs that the host may know.
func (s *search) names() map[string]string {
	all := make(map[string]string)
	for i := range s.pods {
		p := &s.pods[i]
		for _, uid := range p.uids() {
			all[uid] = p.Metadata.Namespace + "/" + p.Metadata.Name
		}
	}
	return all
}

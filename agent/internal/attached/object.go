package attached

import (
	"time"

	"github.com/picket-dev/picket/agent/teardown"
)

// The objects, as far as they are needed. Each decodes from the API's JSON.

type meta struct {
	Name, Namespace, UID string
	CreationTimestamp    time.Time
	DeletionTimestamp    *time.Time
	Annotations          map[string]string
}

type node struct {
	Metadata meta
	Spec     struct {
		Taints []struct {
			Key, Value, Effect string
			TimeAdded          *time.Time
		}
	}
	Status struct {
		VolumesAttached []struct{ Name string }
	}
}

type pod struct {
	Metadata meta
	Spec     struct {
		NodeName    string
		Tolerations []struct {
			Key, Operator, Value, Effect string
			TolerationSeconds            *int64
		}
		Volumes []struct {
			Name                  string
			PersistentVolumeClaim *struct{ ClaimName string }
			Ephemeral             *struct{}
			ISCSI                 *iscsiSource
		}
	}
	Status struct{ Phase string }
}

type volume struct {
	Metadata meta
	Spec     struct {
		ClaimRef *struct{ Namespace, Name string }
		CSI      *struct {
			Driver           string
			VolumeHandle     string
			VolumeAttributes map[string]string
		}
		ISCSI *iscsiSource
		RBD   *struct{ Image, Pool string }
		FC    *struct{}
	}
	Status struct{ Phase string }
}

type iscsiSource struct {
	TargetPortal string
	IQN          string
	Lun          uint64
}

type attachment struct {
	Metadata meta
	Spec     struct {
		Attacher, NodeName string
		Source             struct {
			PersistentVolumeName string
			InlineVolumeSpec     *struct{}
		}
	}
	Status struct{ Attached bool }
}

type driver struct {
	Spec struct{ AttachRequired *bool }
}

type list[T any] struct {
	Metadata struct{ Continue string }
	Items    []T
}

const (
	fenced       = "picket.dev/fenced"
	outOfService = "node.kubernetes.io/out-of-service"
	onFence      = "picket.dev/on-fence"
	hash         = "kubernetes.io/config.hash"
)

// moving reports whether Kubernetes still takes volumes away from the node.
func (n *node) moving() bool {
	for _, t := range n.Spec.Taints {
		if t.Key == outOfService {
			return true
		}
	}
	return false
}

// since returns when the boot's quarantine was set, zero where it does not say.
func (n *node) since(boot string) time.Time {
	for _, t := range n.Spec.Taints {
		if t.Key == fenced && t.Value == boot && t.TimeAdded != nil {
			return *t.TimeAdded
		}
	}
	return time.Time{}
}

// has reports whether the attach-detach controller lists a volume by this name.
func (n *node) has(name string) bool {
	for _, v := range n.Status.VolumesAttached {
		if v.Name == name {
			return true
		}
	}
	return false
}

// ended reports whether nothing of the pod runs any more, or ever will.
func (p *pod) ended() bool { return p.Status.Phase == "Succeeded" || p.Status.Phase == "Failed" }

// stays reports whether the pod is to run, and to go on, as far as the API goes.
func (p *pod) stays() bool { return !p.ended() && p.Metadata.DeletionTimestamp == nil }

// retained reports whether a fence leaves the pod on its node for ever. Of several
// tolerations that match, Kubernetes goes by the first.
func (p *pod) retained() bool {
	if p.Metadata.Annotations[onFence] == "retain" {
		return true
	}
	for _, t := range p.Spec.Tolerations {
		key := t.Key == outOfService || t.Key == "" && t.Operator == "Exists"
		value := t.Operator == "Exists" || t.Value == "nodeshutdown"
		if key && value && (t.Effect == "" || t.Effect == "NoExecute") {
			return t.TolerationSeconds == nil
		}
	}
	return false
}

// uids are those by which the host may know the pod: a static pod's is the
// kubelet's own.
func (p *pod) uids() []string {
	all := []string{p.Metadata.UID}
	if h := p.Metadata.Annotations[hash]; h != "" && h != p.Metadata.UID {
		all = append(all, h)
	}
	return all
}

// claims are the PersistentVolumeClaims that the pod uses, namespace/name.
func (p *pod) claims() []string {
	var all []string
	for _, v := range p.Spec.Volumes {
		switch {
		case v.PersistentVolumeClaim != nil:
			all = append(all, p.Metadata.Namespace+"/"+v.PersistentVolumeClaim.ClaimName)
		case v.Ephemeral != nil:
			all = append(all, p.Metadata.Namespace+"/"+p.Metadata.Name+"-"+v.Name)
		}
	}
	return all
}

// claim is the claim that the volume is bound to, namespace/name. One whose claim is
// gone keeps its name, which another claim, bound to another volume, can have by now.
func (v *volume) claim() string {
	if c := v.Spec.ClaimRef; c != nil && v.Status.Phase != "Released" && v.Status.Phase != "Failed" {
		return c.Namespace + "/" + c.Name
	}
	return ""
}

// handle is how its CSI driver knows the volume, zero where it has none.
func (v *volume) handle() teardown.Handle {
	if c := v.Spec.CSI; c != nil {
		return teardown.Handle{Driver: c.Driver, Handle: c.VolumeHandle}
	}
	return teardown.Handle{}
}

// identity is what the volume says of its device.
func (v *volume) identity() (id teardown.Identity) {
	s := v.Spec
	switch {
	case s.ISCSI != nil:
		id.Target, id.LUN = s.ISCSI.IQN, s.ISCSI.Lun
	case s.RBD != nil:
		id.Image = teardown.Image{Pool: s.RBD.Pool, Name: s.RBD.Image}
		if id.Image.Pool == "" {
			id.Image.Pool = "rbd"
		}
	case s.CSI != nil:
		id = attributes(s.CSI.Driver, s.CSI.VolumeAttributes)
	}
	return id
}

// attributes reads what a CSI driver's volume context says of the device: of
// iSCSI drivers iqn and lun, of ceph-csi pool and imageName.
func attributes(driver string, of map[string]string) (id teardown.Identity) {
	if lun, ok := number(of["lun"]); ok && of["iqn"] != "" {
		id.Target, id.LUN = of["iqn"], lun
	}
	if isCeph(driver) && of["imageName"] != "" {
		id.Image = teardown.Image{Pool: of["pool"], Namespace: of["radosNamespace"], Name: of["imageName"]}
	}
	return id
}

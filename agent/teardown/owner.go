package teardown

import (
	"fmt"
)

// An Owner is whose a device is.
type Owner int

// The owners. Only what is Kubernetes' is ever touched.
const (
	OwnerUnknown    Owner = iota // what was read does not tell
	OwnerHost                    // the host uses it, names it, or has it built in
	OwnerKubernetes              // a volume of Kubernetes, and nothing else
	OwnerNobody                  // neither uses nor names it
)

// String returns the owner's name.
func (o Owner) String() string {
	switch o {
	case OwnerHost:
		return "Host"
	case OwnerKubernetes:
		return "Kubernetes"
	case OwnerNobody:
		return "Nobody"
	case OwnerUnknown:
	}
	return "Unknown"
}

// owner returns whose the stack is. What is the host's stays the host's even
// where a volume claims it, too.
func (s *stack) owner() Owner {
	switch {
	case len(s.host) > 0:
		return OwnerHost
	case len(s.unknown) > 0:
		return OwnerUnknown
	case len(s.volumes) > 0:
		return OwnerKubernetes
	}
	return OwnerNobody
}

// attends reports whether the process, one of the host's, keeps the device open on
// behalf of whoever uses it.
func (h *host) attends(p Process, n Number) bool {
	switch h.device[n].Kind {
	case ISCSI, Multipath:
		return p.Name == "multipathd"
	case NBD:
		return p.Name == "rbd-nbd"
	default:
		return false
	}
}

// findHost notes why stacks are the host's.
func (h *host) findHost() {
	for _, s := range h.stacks {
		for _, d := range s.devices {
			if why := builtIn(d); why != "" {
				s.host = append(s.host, fmt.Sprintf("%s is %s", d.Name, why))
			}
			for _, why := range d.Host {
				s.host = append(s.host, fmt.Sprintf("%s is named by the host: %s", d.Name, why))
			}
		}
		for _, m := range s.mounts {
			if _, placed := placeOf(h.Roots, m.Point); !placed && !h.ofPods(h.namespace[m.Namespace]) {
				s.host = append(s.host, fmt.Sprintf("mounted at %s outside of the kubelet's volumes", m.Point))
			}
		}
		for _, p := range s.processes {
			if p.Pod == "" {
				s.host = append(s.host, fmt.Sprintf("open by %s (%d), which belongs to no pod", p.Name, p.PID))
			}
		}
	}
}

// builtIn returns why a device cannot be a volume that moves, if so.
func builtIn(d Device) string {
	switch d.Kind {
	case Disk:
		return "a disk of the host"
	case MD:
		return "software RAID"
	case DRBD:
		return "replicated by DRBD"
	case Loop:
		if len(d.Slaves) == 0 {
			return "a file of the host"
		}
		return ""
	case ISCSI, RBD, NBD, NVMeFabric, Partition, Multipath, Crypt, LogicalVolume, Linear:
		return ""
	case Other, KindUnknown:
	}
	return "of a kind that Picket does not touch"
}

package teardown

import (
	"cmp"
	"maps"
	"slices"
)

// A Query says which of the API's volumes a plan over an inventory needs to know,
// beside those that are attached to the node.
type Query struct {
	host *host
	// PVs are PersistentVolumes that paths and metadata name, in order. A name can
	// be a pod's own for a volume, and then there is no such PersistentVolume.
	PVs []string
	// Volumes are those of which metadata give the driver and the handle, in order.
	Volumes []Handle
	// Search says that the host has devices over a network of which nothing on the
	// host tells whose they are: only PersistentVolumes that Concern them can.
	Search bool
}

// A Handle is how a CSI driver knows a volume.
type Handle struct{ Driver, Handle string }

// Ask returns what a plan over the inventory needs of the API.
func Ask(inv Inventory) Query {
	h := newHost(inv, Attachments{}, Aim{})
	h.findHost()
	h.claim()
	q := Query{host: h}
	pvs, handles := map[string]bool{}, map[Handle]bool{}
	name := func(point string) {
		if p, ok := placeOf(h.Roots, point); ok && p.name != "" {
			pvs[p.name] = true
		}
	}
	for _, m := range h.Mounts {
		name(m.Point)
	}
	for _, d := range h.Devices {
		name(d.Backing)
	}
	for _, v := range h.Volumes {
		if v.PV != "" {
			pvs[v.PV] = true
		}
		if v.Driver != "" && v.Handle != "" {
			handles[Handle{v.Driver, v.Handle}] = true
		}
	}
	for _, s := range h.stacks {
		remote := slices.ContainsFunc(h.leaves(s), func(d Device) bool { return overNetwork(d.Kind) })
		q.Search = q.Search || remote && len(s.host) == 0 && (len(s.volumes) == 0 || len(s.differs) > 0)
	}
	q.PVs = slices.Sorted(maps.Keys(pvs))
	q.Volumes = slices.SortedFunc(maps.Keys(handles), func(a, b Handle) int {
		return cmp.Or(cmp.Compare(a.Driver, b.Driver), cmp.Compare(a.Handle, b.Handle))
	})
	return q
}

// Concerns reports whether the identity names a device of the host, or its place.
func (q Query) Concerns(id Identity) bool {
	return slices.ContainsFunc(q.host.Devices, func(d Device) bool {
		same, differs := q.host.identify(id, d)
		return same || differs != ""
	})
}

// overNetwork reports whether devices of the kind come over a network, and can be
// on another node as well.
func overNetwork(k Kind) bool {
	switch k {
	case ISCSI, RBD, NBD, NVMeFabric:
		return true
	case KindUnknown, Disk, MD, DRBD, Other, Partition, Multipath, Crypt, LogicalVolume, Linear, Loop:
	}
	return false
}

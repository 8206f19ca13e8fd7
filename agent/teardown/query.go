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
	// Search says that the host has devices over a network, or is to log in to
	// targets, of which nothing on the host tells whose they are: only
	// PersistentVolumes that Concern them can. A directory of in-tree iSCSI tells
	// a device, and not the volume.
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
		q.Search = q.Search || remote && len(s.host) == 0 && (len(s.volumes) == 0 || len(s.differs) > 0 || slices.ContainsFunc(s.volumes, (*volume).nameless))
	}
	q.Search = q.Search || slices.ContainsFunc(h.Volumes, func(v Volume) bool { return nameless(v) && h.awaited(v.Target) })
	q.PVs = slices.Sorted(maps.Keys(pvs))
	q.Volumes = slices.SortedFunc(maps.Keys(handles), func(a, b Handle) int {
		return cmp.Or(cmp.Compare(a.Driver, b.Driver), cmp.Compare(a.Handle, b.Handle))
	})
	return q
}

// Concerns reports whether the identity names a device of the host, or its place,
// or a target from which some may still come.
func (q Query) Concerns(id Identity) bool {
	return q.host.awaited(id.Target) || slices.ContainsFunc(q.host.Devices, func(d Device) bool {
		same, differs := q.host.identify(id, d)
		return same || differs != ""
	})
}

// nameless reports whether a file tells of a device, and not whose it is.
func nameless(v Volume) bool { return v.PV == "" && v.Handle == "" }

// nameless reports whether nothing on the host says which volume it is.
func (v *volume) nameless() bool { return v.pv == "" && v.handle == "" }

// awaited reports whether devices may come from the target: there is a session, or
// a record that logs in.
func (h *host) awaited(target string) bool {
	return target != "" && (slices.ContainsFunc(h.Sessions, func(s Session) bool { return s.Target == target }) ||
		slices.ContainsFunc(h.Records, func(r Record) bool { return r.Target == target && r.Startup == "automatic" }))
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

package teardown

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// A host is an inventory in a fixed order and with its cross references.
type host struct {
	Inventory
	api Attachments
	aim Aim

	device    map[Number]Device
	holders   map[Number][]Number
	session   map[string]Session
	namespace map[uint64]Namespace
	mount     map[int]Mount
	names     map[string]Number // of devices, and of maps below "mapper/"
	known     *volumes
	noted     []*volume // whose each of Volumes is
	said      []*volume // whose each of api.Volumes is
	stacks    []*stack
	stackOf   map[Number]*stack
}

// newHost puts the inventory in order and finds the stacks.
func newHost(inv Inventory, api Attachments, aim Aim) *host {
	h := &host{
		Inventory: arrange(inv), api: api, aim: aim,
		device: map[Number]Device{}, holders: map[Number][]Number{},
		session: map[string]Session{}, namespace: map[uint64]Namespace{},
		mount: map[int]Mount{}, names: map[string]Number{}, stackOf: map[Number]*stack{},
	}
	h.api.Volumes = slices.SortedFunc(slices.Values(api.Volumes), func(a, b Attachment) int {
		return cmp.Or(cmp.Compare(a.PV, b.PV), cmp.Compare(a.Driver, b.Driver), cmp.Compare(a.Handle, b.Handle), cmp.Compare(a.Claim, b.Claim))
	})
	for _, d := range h.Devices {
		h.device[d.Number] = d
		if d.Name != "" {
			h.names[d.Name] = d.Number
		}
		if d.Map != "" {
			h.names["mapper/"+d.Map] = d.Number
		}
		for _, slave := range d.Slaves {
			h.holders[slave] = append(h.holders[slave], d.Number)
		}
	}
	for _, s := range h.Sessions {
		h.session[s.ID] = s
	}
	for _, n := range h.Namespaces {
		h.namespace[n.ID] = n
	}
	for _, m := range h.Mounts {
		h.mount[m.ID] = m
	}
	h.checkTwins()
	h.checkRoots()
	h.findStacks()
	return h
}

// arrange returns a copy in an order that does not depend on how the host was
// read. Lists within a device keep theirs, but for the slaves.
func arrange(inv Inventory) Inventory {
	inv.Namespaces = slices.SortedFunc(slices.Values(inv.Namespaces), func(a, b Namespace) int { return cmp.Compare(a.ID, b.ID) })
	inv.Mounts = slices.SortedFunc(slices.Values(inv.Mounts), func(a, b Mount) int { return cmp.Compare(a.ID, b.ID) })
	inv.Devices = slices.SortedFunc(slices.Values(inv.Devices), func(a, b Device) int { return compareNumber(a.Number, b.Number) })
	for i, d := range inv.Devices {
		inv.Devices[i].Slaves = slices.Compact(slices.SortedFunc(slices.Values(d.Slaves), compareNumber))
	}
	inv.Sessions = slices.SortedFunc(slices.Values(inv.Sessions), func(a, b Session) int {
		return cmp.Or(cmp.Compare(len(a.ID), len(b.ID)), cmp.Compare(a.ID, b.ID))
	})
	inv.Records = slices.SortedFunc(slices.Values(inv.Records), func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.Portal, b.Portal), cmp.Compare(a.Interface, b.Interface))
	})
	inv.Volumes = slices.SortedFunc(slices.Values(inv.Volumes), func(a, b Volume) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.PV, b.PV), cmp.Compare(a.Driver, b.Driver), cmp.Compare(a.Handle, b.Handle))
	})
	inv.Pods = slices.SortedFunc(slices.Values(inv.Pods), func(a, b Pod) int { return cmp.Compare(a.UID, b.UID) })
	inv.Processes = slices.SortedFunc(slices.Values(inv.Processes), func(a, b Process) int { return cmp.Compare(a.PID, b.PID) })
	inv.Clients = slices.SortedFunc(slices.Values(inv.Clients), func(a, b Client) int {
		return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.ID, b.ID))
	})
	inv.Unknown = slices.SortedFunc(slices.Values(inv.Unknown), func(a, b Unknown) int {
		return cmp.Or(compareNumber(a.Device, b.Device), cmp.Compare(a.What, b.What), cmp.Compare(a.Why, b.Why))
	})
	return inv
}

func compareNumber(a, b Number) int {
	return cmp.Or(cmp.Compare(a.Major, b.Major), cmp.Compare(a.Minor, b.Minor))
}

// checkTwins looks for two things under one name, which no kernel shows: the
// host changed while it was read.
func (h *host) checkTwins() {
	if len(h.device) != len(h.Devices) || len(h.session) != len(h.Sessions) ||
		len(h.namespace) != len(h.Namespaces) || len(h.mount) != len(h.Mounts) {
		h.Unknown = append(h.Unknown, Unknown{What: "inventory", Why: "it names one thing twice: the host changed while it was read"})
	}
}

// deviceOf returns the device number that stands for what is mounted, and
// whether a device is known to be behind it.
func (h *host) deviceOf(m Mount) (Number, bool) {
	switch {
	case m.FS == "devtmpfs" && m.Node != Number{}:
		return m.Node, true
	case m.FS == "devtmpfs":
		n, ok := h.names[strings.TrimPrefix(strings.TrimSuffix(m.Root, "//deleted"), "/")]
		if _, placed := placeOf(h.Roots, m.Point); !ok && placed {
			return Number{Major: unnamed}, true // a raw block volume's, whose device is gone
		}
		return n, ok
	case m.Device.Major != 0:
		return m.Device, true
	}
	// btrfs and others mount under a number of their own.
	name, ok := strings.CutPrefix(path.Clean(m.Source), "/dev/")
	if !ok {
		return Number{}, false
	}
	n, ok := h.names[name]
	return n, ok
}

// unnamed is the major number of the devices of bound nodes that nothing gives one.
const unnamed = 1<<32 - 1

// numberOf returns the number under which the stack of m goes.
func (h *host) numberOf(m Mount) Number {
	if n, ok := h.deviceOf(m); ok {
		return n
	}
	return m.Device
}

// bottom returns the smallest number of the stack below which nothing is known,
// present or gone: stacks go in its order, which stays while they come apart.
func (h *host) bottom(s *stack) Number {
	for _, n := range s.numbers {
		if len(h.device[n].Slaves) == 0 {
			return n
		}
	}
	return s.numbers[0]
}

// leaves returns the devices of the stack that have none below them.
func (h *host) leaves(s *stack) []Device {
	var leaves []Device
	for _, d := range s.devices {
		if !slices.ContainsFunc(d.Slaves, func(n Number) bool { _, ok := h.device[n]; return ok }) {
			leaves = append(leaves, d)
		}
	}
	return leaves
}

// below returns the numbers of all devices below n, and n.
func (h *host) below(n Number) []Number {
	return reach(n, func(n Number) []Number { return h.device[n].Slaves })
}

// reach returns from, and what can be reached from it by next.
func reach[T comparable](from T, next func(T) []T) []T {
	found := []T{from}
	for i := 0; i < len(found); i++ {
		for _, n := range next(found[i]) {
			if !slices.Contains(found, n) {
				found = append(found, n)
			}
		}
	}
	return found
}

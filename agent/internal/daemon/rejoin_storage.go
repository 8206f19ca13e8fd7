package daemon

import (
	"cmp"
	"reflect"
	"slices"

	"github.com/picket-dev/picket/agent/teardown"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

const (
	// mostDevices and mostBytes bound what a NodeGuard says of devices: more than
	// the volumes that Kubernetes attaches to a node by default.
	mostDevices = 256
	mostBytes   = 16 << 10
	// mostText bounds a message in it.
	mostText = 1 << 10
)

// devicesOf lists the volumes of a tree, with the device that each lies on, and
// devices over a network that are nobody's; those that must not stay come first.
// omitted counts those for which there is no room.
func devicesOf(tree []teardown.Item) (all []v1alpha1.Device, omitted int32) {
	gather(tree, &all)
	slices.SortFunc(all, func(a, b v1alpha1.Device) int {
		return cmp.Or(-cmp.Compare(a.Standing, b.Standing), cmp.Compare(a.Volume, b.Volume), cmp.Compare(a.Path, b.Path))
	})
	all = slices.Compact(all)
	size := 0
	for i, d := range all {
		if size += len(d.Path) + len(d.Volume) + len(d.Standing); i == mostDevices || size > mostBytes {
			return all[:i:i], int32(len(all) - i)
		}
	}
	return all, 0
}

// gather lists the topmost devices that carry something, and mounts without one.
func gather(items []teardown.Item, all *[]v1alpha1.Device) {
	for _, item := range items {
		above := slices.ContainsFunc(item.Items, func(i teardown.Item) bool { return i.Kind != mount && i.Kind != teardown.Loop.String() })
		d := v1alpha1.Device{Path: "/dev/" + item.Name, Volume: item.Volume}
		if item.Standing == teardown.Stale || item.Standing == teardown.Stuck {
			d.Standing = item.Standing.String()
		}
		switch {
		case item.Kind == session, above:
			gather(item.Items, all)
		case item.Again, !volumes(item):
		case item.Kind == mount:
			d.Path = item.Name
			*all = append(*all, d)
		default:
			*all = append(*all, d)
		}
	}
}

// The kinds of items that are no devices.
const (
	session = "session"
	mount   = "mount"
)

// volumes reports whether an item is a volume's, or may be.
func volumes(item teardown.Item) bool {
	switch item.Owner {
	case teardown.OwnerKubernetes:
		return true
	case teardown.OwnerNobody, teardown.OwnerUnknown:
		network := []string{teardown.ISCSI.String(), teardown.RBD.String(), teardown.NBD.String(), teardown.NVMeFabric.String()}
		return item.Volume != "" || slices.Contains(network, item.Kind)
	case teardown.OwnerHost:
	}
	return false
}

// sameStorage reports whether a and b say the same.
func sameStorage(a, b v1alpha1.Storage) bool { return reflect.DeepEqual(a, b) }

// short bounds a text for the API.
func short(text string) string {
	if len(text) <= mostText {
		return text
	}
	cut := mostText - len("…")
	for cut > 0 && text[cut]&0xc0 == 0x80 { // in the middle of a character
		cut--
	}
	return text[:cut] + "…"
}

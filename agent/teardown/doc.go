// Package teardown decides how a node that was fenced, and came back, gets rid
// of volumes that have moved: an Inventory of the host and what the API says
// of this node's volumes go in; whose each device is, a verdict and ordered,
// bounded steps come out.
//
// It is pure: it reads nothing, runs nothing, and knows no time. It refuses
// to touch what is not proven to be Kubernetes': a device that the host uses,
// names or might use, root on iSCSI, a local disk, an OSD's disk, DRBD, md,
// swap; it refuses to log out of a session that anything else needs, to unmount
// before the device is cut off, and to call a node Clean while anything that
// matters is unknown. It deletes no file or directory of the kubelet or of a
// CSI driver, since those would then forget what they have to clean up (40).
//
// The unit of ownership is the stack: all devices that lie above or below one
// another, or that are paths to the same unit. One member that is the host's
// makes all of it the host's.
package teardown

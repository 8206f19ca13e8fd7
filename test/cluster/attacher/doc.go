// Package attacher gives a cluster test its CSI storage: the driver's objects,
// a pool of volumes, and the processes that attach them.
//
// It runs the real external-attacher of the cluster's Kubernetes release, so
// VolumeAttachments get their finalizers, retries and detach order from the
// code that users run; kube-controller-manager's attach-detach controller does
// the rest. What answers to it is a small CSI controller (kube/csi/driver) that
// refuses nothing, as RBD and iSCSI refuse nothing: two nodes could have one
// volume, and only the fence keeps them apart.
package attacher

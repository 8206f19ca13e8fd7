// Command csi is the node side of the lab's CSI driver. It stages what people
// have: ext4 or a raw device on iSCSI, on a multipath map over two portals, on
// krbd, each with LUKS in between if asked to; by the tools of the host, as real
// drivers do. It runs as a service of the host and registers itself at the
// kubelet.
//
// It owns what it staged, written down as each real driver does: one file per
// volume beside its socket, and of an RBD image ceph-csi's image-meta.json. It
// refuses to know of fences: what a fenced node has mapped is Picket's to tear
// down, and what Picket has torn down counts here as gone, without an error. The
// controller side is that of the cluster tests, which lets two nodes have one
// volume, as iSCSI and RBD do.
package main

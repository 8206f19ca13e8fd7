package teardown

// Attachments is what the API says of this node's volumes, from consistent
// reads that were sent after the fence came to its end.
type Attachments struct {
	// Known says that all of it could be read. Unset, nothing is stale, and
	// nothing is Clean either.
	Known bool
	// Why says for people why not all of it could be read.
	Why string
	// Volumes are all that are attached to this node, and of the others at
	// least the PersistentVolumes that name a device, a target or an image of the
	// host, or that its metadata name.
	Volumes []Attachment
	// Pods are the UIDs of the pods that are bound to this node, have not ended, and
	// are not being deleted; of static pods those that the kubelet gives them on the
	// host (annotation kubernetes.io/config.hash), too.
	Pods []string
	// Leaving are those of the other pods that are bound to this node: they have
	// ended, or are being deleted.
	Leaving []string
}

// An Attachment is one PersistentVolume.
type Attachment struct {
	PV     string
	Claim  string // namespace/name of its PVC
	Driver string // empty for an in-tree volume
	Handle string
	Identity
	// Gated says that an attachment decides where the volume is: it has a
	// VolumeAttachment or an entry in volumesAttached wherever it is used. Unset
	// (attachRequired false, NFS), the pods decide.
	Gated bool
	// Attached says that it is attached to this node and that nobody is
	// detaching it.
	Attached bool
	// Again says that the attachment is younger than the fence: what the host
	// has of the volume from before is stale none the less.
	Again bool
	// Held is what says that it has yet to be detached from this node: its
	// VolumeAttachment, in whatever state, or the Node's volumesAttached. It is
	// empty where nothing does, or where nothing tells which pods it is held for.
	Held string
	// Wanted says that one of Pods has its claim or, where it has none, names it.
	Wanted bool
}

package teardown

import "fmt"

// An Inventory is what one look at the host has found. Whatever the look could
// not find out must be in Unknown: an empty list means that there is nothing.
type Inventory struct {
	// Roots are the kubelet's root directory as mount tables show it: the
	// configured path and, where that is a symbolic link, its target.
	Roots []string

	Namespaces []Namespace
	Mounts     []Mount // of all namespaces
	Devices    []Device
	Sessions   []Session
	Records    []Record
	Volumes    []Volume
	Pods       []Pod
	Processes  []Process

	// Clients are the instances of libceph that serve krbd, as debugfs lists
	// them; those of CephFS (they have a file mdsc) are left out. An unmapped
	// image is not gone while its client is there. Nil with ClientsKnown unset
	// where debugfs cannot be read; set, and empty, where rbd is not loaded.
	Clients      []Client
	ClientsKnown bool

	Unknown []Unknown
}

// A Number is a device number. Major 0 means that no block device is behind a
// mount: tmpfs, NFS, btrfs and others.
type Number struct{ Major, Minor uint32 }

// String returns the number as /proc and /sys write it, such as "8:16".
func (n Number) String() string { return fmt.Sprintf("%d:%d", n.Major, n.Minor) }

// An Unknown is something that could not be read.
type Unknown struct {
	// Device is the only one that it concerns; zero: it may concern any.
	Device Number
	// What could not be read, and Why, for people.
	What, Why string
}

// A Namespace is a mount namespace.
type Namespace struct {
	ID uint64 // inode number of /proc/PID/ns/mnt
	// PID is a process that lives in it, by which it can be entered; 0 where
	// only an open file or a bind mount keeps it.
	PID int
	// Host marks the namespace of the host's first process.
	Host bool
	// Pods are the UIDs of the pods whose processes live in it.
	Pods []string
	// Others says that a process lives in it that belongs to no pod.
	Others bool
}

// A Mount is one line of a mount table, with escapes undone.
type Mount struct {
	Namespace  uint64
	ID, Parent int // unique on the host while mounted
	Device     Number
	Root       string // what of the file system is mounted; "/sdb" of a devtmpfs
	// Node is the block device of a devtmpfs' node, bound for raw block, as the
	// bound node says, which is there when its device is gone. Zero: not known.
	Node    Number
	Point   string // as its namespace sees it, without "//deleted"
	Deleted bool   // the mount point is unlinked: no path leads to it
	FS      string // file system's type
	Source  string
	// Shared and Master are the peer groups of the optional fields; 0: none.
	Shared, Master int
	// ShutDown says that the file system was told to shut down, as its options
	// say or as the executor remembers from this boot.
	ShutDown bool
}

// A Kind is what a block device is.
type Kind int

// The kinds. Of those that only the host has, none is ever touched.
const (
	KindUnknown   Kind = iota // never touched
	Disk                      // a disk of the host: SATA, SAS, NVMe, virtio; Fibre Channel, too
	MD                        // software RAID
	DRBD                      // replicated by DRBD
	Other                     // zram, bcache, device-mapper targets not named below
	ISCSI                     // a SCSI disk behind an iSCSI session
	RBD                       // mapped by krbd
	NBD                       // mapped by rbd-nbd
	NVMeFabric                // an NVMe namespace over fabrics
	Partition                 // of the disk below, made by the kernel
	Multipath                 // device-mapper multipath
	Crypt                     // dm-crypt
	LogicalVolume             // LVM
	Linear                    // another linear map: a partition made by kpartx
	Loop                      // the kubelet puts one on each raw block volume
)

// A Device is a block device.
type Device struct {
	Number Number
	Name   string // the kernel's, as below /sys/block: sdb, dm-3, rbd0, rbd0p1
	Kind   Kind
	Map    string // device-mapper's name: mpatha; empty for others
	// WWID tells the same unit from others whatever the kernel calls it: of a
	// SCSI or NVMe device its WWID, of a map its device-mapper UUID. Empty: it
	// has none, or none could be read.
	WWID string
	// Slaves are the devices directly below: of a partition its disk, of a loop
	// device the block device that its backing file is, none where that is an
	// ordinary file. Holders follow from it. One that is gone may be named or
	// not; one that is there and could not be read belongs in Unknown.
	Slaves  []Number
	Backing string // Loop: path of the backing file
	// InFlight counts requests that the device has not answered. Below 0: it
	// could not be read, and counts as some.
	InFlight int
	// Cut says that nothing reaches the storage through this device any more: a
	// map all of whose targets are error, an image on the rbd bus whose block
	// device is gone, both for ever; or a SCSI device in state offline (not
	// transport-offline, which ends by itself), until its session recovers.
	Cut bool
	// Lost says that an iSCSI device's session is lost: it is blocked, or has
	// failed for as long as the session is away (transport-offline). The kernel
	// does not set it offline meanwhile (6.0 and later), and what waits in it
	// goes out when the session comes back.
	Lost bool
	// Queueing says that a multipath map keeps requests while no path is left.
	Queueing bool
	// Host lists what on the host names the device or uses it otherwise than by
	// a mount or an open file: swap, fstab, crypttab, an OSD's label.
	Host []string

	Session string // ISCSI: the session's ID
	LUN     uint64 // ISCSI
	Image   Image  // RBD and NBD
	ID      int    // RBD: its number under /sys/bus/rbd/devices
	Client  Client // RBD: the libceph instance that it uses
	NQN     string // NVMeFabric: the subsystem
}

// An Image names an RBD image.
type Image struct {
	Cluster         string // fsid; empty where the source of the name has none
	Pool, Namespace string
	Name, Snapshot  string
}

// A Client is an instance of libceph in the kernel.
type Client struct {
	Cluster string // fsid
	ID      uint64
}

// A Session is an iSCSI session. Its units are the devices that name it.
type Session struct {
	ID     string // "3" for /sys/class/iscsi_session/session3
	Target string // IQN
	Portal string // address:port
	// Boot says that firmware or the initial RAM disk made it, that its node record's
	// startup is onboot, or that the host's own files name a unit of its target: it is
	// the host's.
	Boot bool
	// Others are logical units that need the session and have no block device,
	// such as a tape, for people.
	Others []string
}

// A Record is what open-iscsi remembers of a target at one portal.
type Record struct {
	Target, Portal, Interface string
	Startup                   string // manual, automatic or onboot, as which counts what the host's own files name
}

// An Identity is how a file or the API says which device a volume has; what is
// empty says nothing.
type Identity struct {
	WWID   string // or serial number, in the form of Device.WWID
	Target string // IQN
	LUN    uint64 // counts only beside a Target
	Image  Image  // counts only with a name
}

// A Volume is what one metadata file of the kubelet or of a CSI driver says, or
// what a Note step has told the executor to remember in this boot.
type Volume struct {
	File string // for people
	// Dir is the directory below which the volume's mounts are, of
	// vol_data.json its own; empty where the file says nothing of mounts.
	Dir    string
	Driver string
	Handle string
	PV     string // empty where the file does not say
	Identity
}

// A Pod is a pod that has a cgroup on the host.
type Pod struct {
	UID       string
	Cgroup    string // path below the cgroup root
	Processes int    // in it and below it
	Frozen    bool
}

// A Process is one that had a block device open when the look began and when it
// ended (udev and its like open them for moments), or that was in
// uninterruptible sleep both times.
type Process struct {
	PID   int
	Name  string
	Pod   string // UID; empty: it belongs to no pod
	Agent bool   // a child that the agent has abandoned
	Opens []Number
	Stuck bool // in uninterruptible sleep
}

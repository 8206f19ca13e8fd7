package block

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/picket-dev/picket/agent/teardown"
)

// equal compares inventories; the order of devices and the like is fixed.
var equal = cmp.Options{cmpopts.EquateEmpty()}

const (
	kubelet = "/var/lib/kubelet"
	podUID  = "6fa459ea-ee8a-3ca4-894e-db77e160355e"
	podDir  = kubelet + "/pods/" + podUID
	hash    = "3f79bb7b435b05321651daefd374cdc681dc06faa65e374e38337b88ca046dea"
	staged  = kubelet + "/plugins/kubernetes.io/csi/rbd.csi.ceph.com/" + hash
	iqn     = "iqn.2026-03.example:vol"
)

func dev(major, minor uint32) teardown.Number { return teardown.Number{Major: major, Minor: minor} }

// hostMount is a mount of the host's namespace, as its mountinfo says.
func hostMount(id int, d teardown.Number, point, source string) (string, teardown.Mount) {
	return fmt.Sprintf("%d 22 %s / %s rw,relatime shared:9 - ext4 %s rw", id, d, point, source),
		teardown.Mount{Namespace: hostSpace, ID: id, Parent: 22, Device: d, Root: "/", Point: point, FS: "ext4", Source: source, Shared: 9}
}

// A fixture is a host and the inventory of it.
type fixture struct {
	tree tree
	want teardown.Inventory
}

// start returns a bare node with these mounts.
func start(mounts ...func() (string, teardown.Mount)) fixture {
	f := fixture{want: bareNode()}
	var lines []string
	for _, m := range mounts {
		line, mount := m()
		lines = append(lines, line)
		f.want.Mounts = append(f.want.Mounts, mount)
	}
	f.tree = newTree(lines...)
	return f
}

func at(id int, d teardown.Number, point, source string) func() (string, teardown.Mount) {
	return func() (string, teardown.Mount) { return hostMount(id, d, point, source) }
}

func TestRead(t *testing.T) {
	for name, build := range map[string]func() fixture{
		"a node without volumes":                    func() fixture { return start() },
		"multipath over two iSCSI sessions":         multipathFixture,
		"LUKS on rbd":                               luksFixture,
		"LVM on the host":                           lvmFixture,
		"root on iSCSI":                             rootFixture,
		"OSD disks, DRBD and md":                    osdFixture,
		"containers, deleted and strange paths":     containerFixture,
		"rbd-nbd":                                   nbdFixture,
		"NVMe over fabrics":                         nvmeFixture,
		"raw block":                                 rawFixture,
		"in-tree iSCSI, and what is not a disk":     treeFixture,
		"Ceph's clients":                            clientFixture,
		"namespaces that nobody sees all of":        closedFixture,
		"pods frozen and stuck":                     stuckFixture,
		"processes that no cgroup lists":            unlistedFixture,
		"a kubelet's root that is a symbolic link":  linkFixture,
		"what the host names, but does not use now": claimFixture,
	} {
		t.Run(name, func(t *testing.T) {
			f := build()
			if d := cmp.Diff(f.want, f.tree.read(t), equal); d != "" {
				t.Errorf("inventory (-want +got):\n%s", d)
			}
		})
	}
}

// Trident's LUN over two portals, with a map that queues; the second path was
// set offline.
func multipathFixture() fixture {
	const wwid = "3600a098077424b6f374c336d41785832"
	const point = kubelet + "/plugins/kubernetes.io/csi/csi.trident.netapp.io/" + hash + "/globalmount"
	f := start(at(60, dev(253, 0), point, "/dev/mapper/mpatha"))
	f.tree.session(1, iqn, "192.0.2.10", "3260")
	f.tree.session(12, iqn, "2001:db8::10", "3260")
	f.tree.scsi("sdb", "8:16", 1, 3, "naa."+wwid[1:], "running")
	f.tree.scsi("sdc", "8:32", 12, 3, "naa."+wwid[1:], "offline")
	f.tree.dm(0, "mpatha", "mpath-"+wwid, "sdb", "sdc", "sdd") // the last path is gone
	f.tree.dm(1, "mpatha1", "part1-mpath-"+wwid, "dm-0")
	f.tree["sys/devices/virtual/block/dm-0/inflight"] = "       3       39\n"
	f.tree.tables(table{Device: dev(253, 0), Targets: []string{"multipath"}, Queueing: true}, table{Device: dev(253, 1), Targets: []string{"error"}})
	f.tree.with(map[string]string{
		"etc/iscsi/nodes/" + iqn + "/192.0.2.10,3260,1/default":         "# BEGIN RECORD 2.1.8\nnode.name = " + iqn + "\nnode.tpgt = 1\nnode.startup = automatic\niface.iscsi_ifacename = default\nnode.session.auth.password = secret=x\nnode.conn[0].address = 192.0.2.10\nnode.conn[0].port = 3260\n# END RECORD\n",
		"var/lib/iscsi/nodes/" + iqn + "/2001:db8::10,3260,1":           "node.name = " + iqn + "\nnode.conn[0].address = 2001:db8::10\nnode.conn[0].port = 3260\n",
		"var/lib/trident/tracking/pvc-1.json":                           `{"iscsiTargetIqn":"` + iqn + `","iscsiLunNumber":3,"iscsiLunSerial":"wBKo7L3mAxX2","iscsiInitiatorSecret":"x","stagingTargetPath":"` + point + `","publishedTargetPaths":{}}`,
		podDir + "/volumes/kubernetes.io~csi/pvc-1/vol_data.json":       `{"attachmentID":"csi-1","driverName":"csi.trident.netapp.io","nodeName":"n","specVolID":"pvc-1","volumeHandle":"pvc-1","volumeLifecycleMode":"Persistent"}`,
		point[:len(point)-len("/globalmount")] + "/vol_data.json":       `{"driverName":"csi.trident.netapp.io","volumeHandle":"pvc-1"}`,
		podDir + "/volumes/kubernetes.io~csi/pvc-1/mount/not-read.json": "{",
	})
	path := func(number teardown.Number, name, session string, cut bool) teardown.Device {
		return teardown.Device{Number: number, Name: name, Kind: teardown.ISCSI, WWID: wwid, Session: session, LUN: 3, Cut: cut}
	}
	f.want.Devices = append([]teardown.Device{
		path(dev(8, 16), "sdb", "1", false), path(dev(8, 32), "sdc", "12", true),
		{Number: dev(253, 0), Name: "dm-0", Kind: teardown.Multipath, Map: "mpatha", WWID: wwid, Slaves: []teardown.Number{dev(8, 16), dev(8, 32)}, Queueing: true, InFlight: 42},
		{Number: dev(253, 1), Name: "dm-1", Kind: teardown.Linear, Map: "mpatha1", WWID: "part1-mpath-" + wwid, Slaves: []teardown.Number{dev(253, 0)}, Cut: true},
	}, f.want.Devices...)
	f.want.Sessions = []teardown.Session{{ID: "1", Target: iqn, Portal: "192.0.2.10:3260"}, {ID: "12", Target: iqn, Portal: "[2001:db8::10]:3260"}}
	f.want.Records = []teardown.Record{
		{Target: iqn, Portal: "192.0.2.10:3260", Interface: "default", Startup: "automatic"},
		{Target: iqn, Portal: "[2001:db8::10]:3260", Startup: "manual"},
	}
	f.want.Volumes = []teardown.Volume{
		{File: point[:len(point)-len("/globalmount")] + "/vol_data.json", Dir: point[:len(point)-len("/globalmount")], Driver: "csi.trident.netapp.io", Handle: "pvc-1"},
		{File: podDir + "/volumes/kubernetes.io~csi/pvc-1/vol_data.json", Dir: podDir + "/volumes/kubernetes.io~csi/pvc-1", Driver: "csi.trident.netapp.io", Handle: "pvc-1", PV: "pvc-1"},
		{File: "/var/lib/trident/tracking/pvc-1.json", Dir: point, Driver: "csi.trident.netapp.io", Handle: "pvc-1", PV: "pvc-1", Identity: teardown.Identity{WWID: wwid, Target: iqn, LUN: 3}},
	}
	return f
}

func luksFixture() fixture {
	f := start(at(60, dev(253, 0), staged+"/globalmount/0001-0009", "/dev/mapper/luks-rbd-0001-0009"))
	f.tree.rbd(0, "replicapool", "csi-vol-1")
	f.tree.rbd(1, "replicapool", "csi-vol-2")
	f.tree["sys/bus/rbd/devices/1/pool_ns"], f.tree["sys/bus/rbd/devices/1/current_snap"] = "tenant\n", "snap1\n"
	f.tree.partition("rbd1p1", "252:17", "virtual/block/rbd1")
	f.tree.dm(0, "luks-rbd-0001-0009", "CRYPT-LUKS2-5b0f9c9e-luks-rbd-0001-0009", "rbd0")
	f.tree.tables(table{Device: dev(253, 0), Targets: []string{"crypt"}})
	f.tree.with(map[string]string{
		staged + "/vol_data.json":                                      `{"driverName":"rbd.csi.ceph.com","volumeHandle":"0001-0009"}`,
		staged + "/globalmount/image-meta.json":                        `{"Version":3,"pool":"replicapool","radosNamespace":"","image":"csi-vol-1","accessType":false,"encrypted":true,"device":"","logDir":"","logFileStrategy":""}`,
		"sys/kernel/debug/ceph/" + fsid + ".client4100/client_options": "name=k\n",
		"sys/kernel/debug/ceph/" + fsid + ".client4101/client_options": "name=k\n",
		"sys/module/libceph/refcnt":                                    "3\n",
	})
	two := rbdDevice(1, "replicapool", "csi-vol-2")
	two.Image.Namespace, two.Image.Snapshot = "tenant", "snap1"
	f.want.Devices = append([]teardown.Device{
		rbdDevice(0, "replicapool", "csi-vol-1"), two,
		{Number: dev(252, 17), Name: "rbd1p1", Kind: teardown.Partition, Slaves: []teardown.Number{dev(252, 16)}},
		{Number: dev(253, 0), Name: "dm-0", Kind: teardown.Crypt, Map: "luks-rbd-0001-0009", WWID: "CRYPT-LUKS2-5b0f9c9e-luks-rbd-0001-0009", Slaves: []teardown.Number{dev(252, 0)}},
	}, f.want.Devices...)
	f.want.Volumes = []teardown.Volume{
		{File: staged + "/globalmount/image-meta.json", Dir: staged + "/globalmount", Driver: "rbd.csi.ceph.com", Handle: "0001-0009", Identity: teardown.Identity{Image: teardown.Image{Pool: "replicapool", Name: "csi-vol-1"}}},
		{File: staged + "/vol_data.json", Dir: staged, Driver: "rbd.csi.ceph.com", Handle: "0001-0009"},
	}
	f.want.Clients = []teardown.Client{rbdDevice(0, "", "").Client, rbdDevice(1, "", "").Client}
	return f
}

// The root and a swap are logical volumes; fstab names one by its group's path,
// crypttab a disk by UUID.
func lvmFixture() fixture {
	f := start(at(60, dev(253, 0), "/var", "/dev/mapper/vg--a-var--lib"))
	f.tree.partition("vda2", "254:2", "pci0000:00/virtio0/block/vda")
	f.tree.dm(0, "vg--a-var--lib", "LVM-aaaa", "vda2")
	f.tree.dm(1, "vg--a-swap", "LVM-bbbb", "vda2")
	f.tree.block("vdb", "254:16", "pci0000:00/virtio1")
	f.tree.tables(table{Device: dev(253, 0), Targets: []string{"linear", "linear"}}, table{Device: dev(253, 1), Targets: []string{"linear"}})
	f.tree["etc/fstab"] += "/dev/vg-a/var-lib\t/var ext4 defaults 0 2\nLABEL=\"my\\040swap\" none swap sw 0 0\n\n"
	f.tree["etc/crypttab"] = "# name device\ndata UUID=ABCD-12 none luks\n"
	f.tree["run/udev/data/b254:16"] = "S:disk/by-uuid/abcd-12\nE:ID_FS_UUID=abcd-12\n"
	f.tree["run/udev/data/b253:1"] = "E:ID_FS_LABEL=my swap\n"
	f.tree["proc/swaps"] += "/dev/dm-1                               partition\t999420\t\t0\t\t-2\n/swap\\040file file 100 0 -3\n"
	f.want.Devices = append([]teardown.Device{
		{Number: dev(253, 0), Name: "dm-0", Kind: teardown.LogicalVolume, Map: "vg--a-var--lib", WWID: "LVM-aaaa", Slaves: []teardown.Number{dev(254, 2)}, Host: []string{"/etc/fstab"}},
		{Number: dev(253, 1), Name: "dm-1", Kind: teardown.LogicalVolume, Map: "vg--a-swap", WWID: "LVM-bbbb", Slaves: []teardown.Number{dev(254, 2)}, Host: []string{"/etc/fstab", "swap"}},
	}, append(f.want.Devices,
		teardown.Device{Number: dev(254, 2), Name: "vda2", Kind: teardown.Partition, Slaves: []teardown.Number{dev(254, 0)}},
		teardown.Device{Number: dev(254, 16), Name: "vdb", Kind: teardown.Disk, Host: []string{"/etc/crypttab"}})...)
	return f
}

// The root is a partition of a LUN; its target is known by firmware, another's
// by the kernel's arguments, a third by a record.
func rootFixture() fixture {
	f := start(at(60, dev(8, 1), "/sysroot", "/dev/sda1"))
	for i, target := range []string{"iqn.2026-03.example:root", "iqn.2026-03.example:boot", "iqn.2026-03.example:early", iqn} {
		f.tree.session(i+1, target, "192.0.2.1", "3260")
	}
	f.tree.scsi("sda", "8:0", 1, 0, "t10.LIO-ORG  disk 1", "running")
	f.tree.partition("sda1", "8:1", "platform/host3/session1/target3:0:0/3:0:0:0/block/sda")
	f.tree.with(map[string]string{
		"sys/firmware/ibft/target0/target-name": "iqn.2026-03.example:root\n",
		"sys/firmware/acpi/tables/":             "",
		"proc/cmdline":                          "root=/dev/sda1 netroot=iscsi:192.0.2.1::::iqn.2026-03.example:boot rw\n",
		"etc/iscsi/nodes/iqn.2026-03.example:early/192.0.2.1,3260,1/bnx2": "node.name = iqn.2026-03.example:early\nnode.startup = onboot\nnode.conn[0].address = 192.0.2.1\nnode.conn[0].port = 3260\n",
	})
	f.want.Devices = append([]teardown.Device{
		{Number: dev(8, 0), Name: "sda", Kind: teardown.ISCSI, Session: "1", WWID: "1LIO-ORG_disk_1"},
		{Number: dev(8, 1), Name: "sda1", Kind: teardown.Partition, Slaves: []teardown.Number{dev(8, 0)}},
	}, f.want.Devices...)
	f.want.Sessions = []teardown.Session{
		{ID: "1", Target: "iqn.2026-03.example:root", Portal: "192.0.2.1:3260", Boot: true},
		{ID: "2", Target: "iqn.2026-03.example:boot", Portal: "192.0.2.1:3260", Boot: true},
		{ID: "3", Target: "iqn.2026-03.example:early", Portal: "192.0.2.1:3260", Boot: true},
		{ID: "4", Target: iqn, Portal: "192.0.2.1:3260"},
	}
	f.want.Records = []teardown.Record{{Target: "iqn.2026-03.example:early", Portal: "192.0.2.1:3260", Interface: "bnx2", Startup: "onboot"}}
	return f
}

func osdFixture() fixture {
	f := start()
	f.tree.block("vdb", "254:16", "pci0000:00/virtio1")
	f.tree["run/udev/data/b254:16"] = "E:ID_FS_TYPE=ceph_bluestore\n"
	f.tree.block("vdc", "254:32", "pci0000:00/virtio2")
	f.tree.dm(0, "ceph--2f0c-osd--block--88aa", "LVM-cccc", "vdc")
	f.tree.tables(table{Device: dev(253, 0), Targets: []string{"linear"}})
	f.tree.block("drbd1000", "147:1000", "virtual")
	f.tree["sys/devices/virtual/block/drbd1000/slaves/vdc"] = link("x")
	f.tree.block("md127", "9:127", "virtual")
	f.tree.block("zram0", "251:0", "virtual")
	f.tree.block("cciss!c0d0", "104:0", "virtual")
	f.tree.block("strange0", "300:0", "virtual")
	f.want.Devices = append([]teardown.Device{
		{Number: dev(9, 127), Name: "md127", Kind: teardown.MD},
		{Number: dev(104, 0), Name: "cciss/c0d0", Kind: teardown.Disk},
		{Number: dev(147, 1000), Name: "drbd1000", Kind: teardown.DRBD, Slaves: []teardown.Number{dev(254, 32)}},
		{Number: dev(251, 0), Name: "zram0", Kind: teardown.Other},
		{Number: dev(253, 0), Name: "dm-0", Kind: teardown.LogicalVolume, Map: "ceph--2f0c-osd--block--88aa", WWID: "LVM-cccc", Slaves: []teardown.Number{dev(254, 32)}, Host: []string{"OSD of Ceph"}},
	}, append(f.want.Devices,
		teardown.Device{Number: dev(254, 16), Name: "vdb", Kind: teardown.Disk, Host: []string{"OSD of Ceph"}},
		teardown.Device{Number: dev(254, 32), Name: "vdc", Kind: teardown.Disk},
		teardown.Device{Number: dev(300, 0), Name: "strange0"})...)
	return f
}

// A pod has the volume bound below a path with blanks of two kinds; one mount's
// point was deleted, one filesystem shut down, one source is empty.
func containerFixture() fixture {
	f := start(at(60, dev(252, 0), podDir+"/volumes/kubernetes.io~csi/pvc-1/mount", "/dev/rbd0"))
	f.tree.rbd(0, "p", "i")
	const space = 4026532700
	cgroup := "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod6fa459ea_ee8a_3ca4_894e_db77e160355e.slice"
	f.tree.process(400, "postgres: (a b) c", space, `700 600 0:50 / / rw master:44 - overlay overlay rw
701 700 252:0 /data /my\040data\134x rw master:9 - ext4 /dev/rbd0 rw
702 700 252:0 / /nobreak`+"\u00a0"+`space//deleted rw master:9 - ext4 /dev/rbd0 rw,shutdown
703 700 0:51 / /empty rw - tmpfs  rw
`)
	f.tree.thread(400, 401, "worker", 'S', space, "")
	f.tree["sys/fs/cgroup/"+cgroup+"/cri-containerd-1.scope/cgroup.procs"] = "400\n"
	f.tree["sys/fs/cgroup/"+cgroup+"/cgroup.procs"] = ""
	f.tree["sys/fs/cgroup/"+cgroup+"/cgroup.events"] = "populated 1\nfrozen 0\n"
	f.tree["sys/fs/cgroup/system.slice/cron.service/cgroup.procs"] = "1\n"
	f.want.Devices = append([]teardown.Device{rbdDevice(0, "p", "i")}, f.want.Devices...)
	f.want.Namespaces = append(f.want.Namespaces, teardown.Namespace{ID: space, PID: 400, Pods: []string{podUID}})
	f.want.Mounts = append(f.want.Mounts,
		teardown.Mount{Namespace: space, ID: 700, Parent: 600, Device: dev(0, 50), Root: "/", Point: "/", FS: "overlay", Source: "overlay", Master: 44},
		teardown.Mount{Namespace: space, ID: 701, Parent: 700, Device: dev(252, 0), Root: "/data", Point: `/my data\x`, FS: "ext4", Source: "/dev/rbd0", Master: 9},
		teardown.Mount{Namespace: space, ID: 702, Parent: 700, Device: dev(252, 0), Root: "/", Point: "/nobreak\u00a0space", Deleted: true, FS: "ext4", Source: "/dev/rbd0", Master: 9, ShutDown: true},
		teardown.Mount{Namespace: space, ID: 703, Parent: 700, Device: dev(0, 51), Root: "/", Point: "/empty", FS: "tmpfs", Source: "none"})
	f.want.Pods = []teardown.Pod{{UID: podUID, Cgroup: cgroup, Processes: 1}}
	f.want.Clients, f.want.ClientsKnown = nil, false // there is no debugfs
	return f
}

func nbdFixture() fixture {
	f := start()
	f.tree.block("nbd0", "43:0", "virtual")
	f.tree["sys/devices/virtual/block/nbd0/pid"] = "900\n"
	f.tree["proc/900/cmdline"] = "/usr/bin/rbd-nbd\x00map\x00-n\x00client.k\x00--device=/dev/nbd0\x00pool/ns/img@snap\x00"
	f.tree.block("nbd1", "43:32", "virtual")
	f.tree["sys/devices/virtual/block/nbd1/pid"] = "901\n"
	f.tree["proc/901/cmdline"] = "qemu-nbd\x00-c\x00/dev/nbd1\x00x.qcow2\x00"
	f.tree.block("nbd2", "43:64", "virtual")
	f.tree["sys/devices/virtual/block/nbd2/size"] = "0\n" // waits for use
	f.want.Devices = append([]teardown.Device{
		{Number: dev(43, 0), Name: "nbd0", Kind: teardown.NBD, Image: teardown.Image{Pool: "pool", Namespace: "ns", Name: "img", Snapshot: "snap"}},
		{Number: dev(43, 32), Name: "nbd1", Kind: teardown.Other},
	}, f.want.Devices...)
	return f
}

// A local disk, a namespace over TCP with its hidden path, and one over RDMA on
// a kernel without NVMe multipath.
func nvmeFixture() fixture {
	f := start()
	f.tree.device("nvme0n1", "259:0", "pci0000:00/nvme/nvme0/nvme0n1")
	f.tree["sys/devices/pci0000:00/nvme/nvme0/transport"] = "pcie\n"
	f.tree["sys/devices/pci0000:00/nvme/nvme0/subsysnqn"] = "nqn.local\n"
	subsystem := "virtual/nvme-subsystem/nvme-subsys1"
	f.tree.device("nvme1n1", "259:1", subsystem+"/nvme1n1")
	f.tree.with(map[string]string{
		"sys/devices/" + subsystem + "/subsysnqn":                     "nqn.2026-03.example:sub\n",
		"sys/devices/" + subsystem + "/nvme1n1/wwid":                  "uuid.0f2c\n",
		"sys/devices/" + subsystem + "/nvme1":                         link("../../nvme-fabrics/ctl/nvme1"),
		"sys/devices/virtual/nvme-fabrics/ctl/nvme1/transport":        "tcp\n",
		"sys/class/block/nvme1c1n1":                                   link("../../devices/virtual/nvme-fabrics/ctl/nvme1/nvme1c1n1"),
		"sys/devices/virtual/nvme-fabrics/ctl/nvme1/nvme1c1n1/hidden": "1\n",
		"sys/devices/virtual/nvme-fabrics/ctl/nvme2/transport":        "rdma\n",
		"sys/devices/virtual/nvme-fabrics/ctl/nvme2/subsysnqn":        "nqn.2026-03.example:two\n",
	})
	f.tree.device("nvme2n1", "259:2", "virtual/nvme-fabrics/ctl/nvme2/nvme2n1")
	f.tree.device("nvme3n1", "259:3", "virtual/nvme-subsystem/nvme-subsys3/nvme3n1")
	f.want.Devices = append(f.want.Devices,
		teardown.Device{Number: dev(259, 0), Name: "nvme0n1", Kind: teardown.Disk},
		teardown.Device{Number: dev(259, 1), Name: "nvme1n1", Kind: teardown.NVMeFabric, WWID: "uuid.0f2c", NQN: "nqn.2026-03.example:sub"},
		teardown.Device{Number: dev(259, 2), Name: "nvme2n1", Kind: teardown.NVMeFabric, NQN: "nqn.2026-03.example:two"},
		teardown.Device{Number: dev(259, 3), Name: "nvme3n1"})
	f.want.Unknown = []teardown.Unknown{{Device: dev(259, 3), What: "transport of nvme3n1", Why: "no controller says it"}}
	return f
}

// The kubelet binds the device node and puts a loop device on it; two more loop
// devices serve a device that has no name any more, and a file.
func rawFixture() fixture {
	const bind = kubelet + "/plugins/kubernetes.io/csi/volumeDevices/pvc-raw/dev/" + podUID
	raw := func() (string, teardown.Mount) {
		return "60 22 0:6 /rbd4 " + bind + " rw,nosuid shared:2 - devtmpfs udev rw",
			teardown.Mount{Namespace: hostSpace, ID: 60, Parent: 22, Device: dev(0, 6), Root: "/rbd4", Node: dev(252, 64), Point: bind, FS: "devtmpfs", Source: "udev", Shared: 2}
	}
	f := start(raw)
	f.tree.rbd(4, "p", "raw")
	for i, file := range []string{bind, "/gone", "/srv/disk.img (deleted)"} {
		f.tree.block(fmt.Sprintf("loop%d", i), fmt.Sprintf("7:%d", i), "virtual")
		f.tree[fmt.Sprintf("sys/devices/virtual/block/loop%d/loop/backing_file", i)] = file + "\n"
	}
	f.tree.block("loop7", "7:7", "virtual") // waits for use
	f.tree.with(map[string]string{
		"dev/loop1": `{"Device":{"Major":252,"Minor":64}}`,
		"dev/loop2": `{}`,
		kubelet + "/plugins/kubernetes.io/csi/volumeDevices/pvc-raw/data/vol_data.json":      `{"driverName":"rbd.csi.ceph.com","volumeHandle":"h","specVolID":"pvc-raw"}`,
		kubelet + "/plugins/kubernetes.io/csi/volumeDevices/staging/pvc-raw/image-meta.json": `{"pool":"p","image":"raw"}`,
		"sys/kernel/debug/ceph/": "", "sys/module/libceph/": "",
	})
	f.want.Devices = append([]teardown.Device{
		{Number: dev(7, 0), Name: "loop0", Kind: teardown.Loop, Backing: bind, Slaves: []teardown.Number{dev(252, 64)}},
		{Number: dev(7, 1), Name: "loop1", Kind: teardown.Loop, Backing: "/gone", Slaves: []teardown.Number{dev(252, 64)}},
		{Number: dev(7, 2), Name: "loop2", Kind: teardown.Loop, Backing: "/srv/disk.img"},
		rbdDevice(4, "p", "raw"),
	}, f.want.Devices...)
	dir := kubelet + "/plugins/kubernetes.io/csi/volumeDevices"
	f.want.Volumes = []teardown.Volume{
		{File: dir + "/pvc-raw/data/vol_data.json", Dir: dir + "/pvc-raw", Driver: "rbd.csi.ceph.com", Handle: "h", PV: "pvc-raw"},
		{File: dir + "/staging/pvc-raw/image-meta.json", Dir: dir + "/staging/pvc-raw", PV: "pvc-raw", Identity: teardown.Identity{Image: teardown.Image{Pool: "p", Name: "raw"}}},
	}
	return f
}

// The volume's directory is its mount point, which is listed and not entered; the
// pod that it is mounted for tells its name.
// The session has a tape, a disk on its way out, and a controller.
func treeFixture() fixture {
	const point = kubelet + "/plugins/kubernetes.io/iscsi/iface-default/192.0.2.10:3260-iqn.2026-03.example:a-lun-1-lun-2"
	const idle = kubelet + "/plugins/kubernetes.io/iscsi/iface-default/192.0.2.10:3260-eui.02004567a425678d-lun-0"
	f := start(at(60, dev(8, 16), point, "/dev/sdb"), at(61, dev(8, 16), podDir+"/volumes/kubernetes.io~iscsi/pv-tree", "/dev/sdb"))
	f.tree[point+"/"], f.tree[idle+"/"] = "", ""
	f.tree.session(1, iqn, "192.0.2.10", "3260")
	f.tree.scsi("sdb", "8:16", 1, 2, "eui.0025385b71b00a11", "transport-offline")
	dir := "sys/devices/platform/host3/session1/target3:0:0/"
	f.tree[dir+"3:0:0:0/type"], f.tree[dir+"3:0:0:4/type"], f.tree[dir+"3:0:0:5/type"] = "12\n", "1\n", "0\n"
	f.tree[dir+"power/control"] = "auto\n"
	f.want.Devices = append([]teardown.Device{{Number: dev(8, 16), Name: "sdb", Kind: teardown.ISCSI, Session: "1", LUN: 2, WWID: "20025385b71b00a11", Lost: true}}, f.want.Devices...)
	f.want.Sessions = []teardown.Session{{ID: "1", Target: iqn, Portal: "192.0.2.10:3260", Others: []string{"unit 3:0:0:4 (SCSI type 1)"}}}
	f.want.Volumes = []teardown.Volume{
		{File: idle, Dir: idle, Identity: teardown.Identity{Target: "eui.02004567a425678d"}},
		{File: point, Dir: point, PV: "pv-tree", Identity: teardown.Identity{Target: "iqn.2026-03.example:a-lun-1", LUN: 2}},
	}
	f.want.Unknown = []teardown.Unknown{
		{What: "unit 3:0:0:5 of iSCSI session1", Why: "it is a disk without a block device"},
	}
	return f
}

// An image was unmapped and its client remains; CephFS's does not count; one
// mapping has lost its block device.
func clientFixture() fixture {
	f := start()
	f.tree.rbd(2, "p", "i")
	delete(f.tree, "sys/class/block/rbd2")
	f.tree.with(map[string]string{
		"sys/kernel/debug/ceph/" + fsid + ".client4102/osdc": "",
		"sys/kernel/debug/ceph/" + fsid + ".client5000/mdsc": "",
		"sys/kernel/debug/ceph/" + fsid + ".client6000/osdc": "",
		"sys/module/libceph/":                                "",
	})
	d := rbdDevice(2, "p", "i")
	d.InFlight, d.Cut = -1, true
	f.want.Devices = append([]teardown.Device{d}, f.want.Devices...)
	f.want.Clients = []teardown.Client{d.Client, {Cluster: fsid, ID: 6000}}
	return f
}

// One namespace is only seen from a chroot, one is only kept by a bind mount,
// and one by an open file; the last cannot be entered.
func closedFixture() fixture {
	const chroot, bound, open = 4026532001, 4026532002, 4026532003
	pinned := func() (string, teardown.Mount) {
		return "61 22 0:4 mnt:[4026532002] /run/snapd/ns/x.mnt rw - nsfs nsfs rw",
			teardown.Mount{Namespace: hostSpace, ID: 61, Parent: 22, Device: dev(0, 4), Root: "mnt:[4026532002]", Point: "/run/snapd/ns/x.mnt", FS: "nsfs", Source: "nsfs"}
	}
	f := start(pinned)
	f.tree.process(500, "jail", chroot, "not asked for")
	f.tree["proc/500/task/500/root"] = link("/srv/jail")
	f.tree["proc/500/fd/7"] = link("mnt:[4026532003]")
	f.tree["proc/500/fd/8"] = link("mnt:[4026531841]")
	f.tree["proc/500/fd/9"] = link("socket:[77]")
	const line = " 1 252:0 / /v rw - ext4 /dev/rbd0 rw\n"
	f.tree["proc/500/task/500/ns/mnt.mountinfo"] = "800" + line
	f.tree["proc/1/root/run/snapd/ns/x.mnt.mountinfo"] = "801" + line
	mount := func(space uint64, id int) teardown.Mount {
		return teardown.Mount{Namespace: space, ID: id, Parent: 1, Device: dev(252, 0), Root: "/", Point: "/v", FS: "ext4", Source: "/dev/rbd0"}
	}
	f.want.Namespaces = append(f.want.Namespaces, teardown.Namespace{ID: chroot, PID: 500, Others: true}, teardown.Namespace{ID: bound}, teardown.Namespace{ID: open})
	f.want.Mounts = append(f.want.Mounts, mount(chroot, 800), mount(bound, 801))
	f.want.Unknown = []teardown.Unknown{{What: "mounts of namespace 4026532003", Why: "mounts: open /proc/500/fd/7.mountinfo: no such file or directory"}}
	return f
}

// A thread of a frozen pod sleeps for good; another has only just gone to
// sleep; a kernel thread hangs as well.
func stuckFixture() fixture {
	f := start()
	cgroup := "kubepods/besteffort/pod" + podUID
	f.tree.process(400, "app", hostSpace, "")
	f.tree.thread(400, 402, "io", 'D', hostSpace, "")
	f.tree.process(500, "busy", hostSpace, "")
	f.tree["proc/500/task/500/stat"] = "500 (busy) D 1"
	f.tree.process(600, "jbd2/rbd0-8", hostSpace, "")
	f.tree.thread(600, 600, "jbd2/rbd0-8", 'D', hostSpace, "")
	f.tree.process(700, "zombie", hostSpace, "")
	f.tree["proc/700/task/700/stat"] = "700 (zombie) Z 1 1"
	f.tree.with(map[string]string{
		"sys/fs/cgroup/freezer/" + cgroup + "/cgroup.procs":  "400\n500\n",
		"sys/fs/cgroup/freezer/" + cgroup + "/freezer.state": "FROZEN\n",
		"sys/fs/cgroup/memory/" + cgroup + "/cgroup.procs":   "400\n",
	})
	f.want.Namespaces[0].Pods = []string{podUID}
	f.want.Pods = []teardown.Pod{{UID: podUID, Cgroup: cgroup, Processes: 2, Frozen: true}}
	f.want.Processes = []teardown.Process{{PID: 400, Name: "app", Pod: podUID, Stuck: true}, {PID: 600, Name: "jbd2/rbd0-8", Stuck: true}}
	return f
}

// Of a pod that was killed, the first thread has ended, and another still holds the
// volume; a process was forked after its pod was listed, and one belongs to a pod that
// is newer than the list. One is a service's.
func unlistedFixture() fixture {
	f := start()
	const killed, forked, newer, service = 4026532700, 4026532701, 4026532702, 4026532703
	const another = "0b5e0000-0000-4000-8000-000000000000"
	cgroup := "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod6fa459ea_ee8a_3ca4_894e_db77e160355e.slice"
	volume := "701 700 252:0 / /data rw - ext4 /dev/rbd0 rw\n"
	for i, space := range []uint64{killed, forked, newer, service} {
		f.tree.process(400+i, "app", space, volume)
		f.want.Mounts = append(f.want.Mounts, teardown.Mount{Namespace: space, ID: 701, Parent: 700, Device: dev(252, 0), Root: "/", Point: "/data", FS: "ext4", Source: "/dev/rbd0"})
	}
	f.tree["proc/400/task/400/stat"] = "400 (app) Z 1 1"
	f.tree.thread(400, 410, "io", 'R', killed, volume)
	f.tree.with(map[string]string{
		"sys/fs/cgroup/" + cgroup + "/cri-containerd-1.scope/cgroup.procs": "",
		"proc/400/cgroup": "0::/" + cgroup + "/cri-containerd-1.scope\n",
		"proc/401/cgroup": "2:freezer:/\n1:memory:/../kubepods-burstable.slice/kubepods-burstable-pod6fa459ea_ee8a_3ca4_894e_db77e160355e.slice/cri-containerd-1.scope/nested\n",
		"proc/402/cgroup": "0::/kubepods/pod" + another + "/1\n",
		"proc/403/cgroup": "0::/system.slice/app.service\n",
	})
	f.want.Namespaces = append(f.want.Namespaces,
		teardown.Namespace{ID: killed, PID: 410, Pods: []string{podUID}},
		teardown.Namespace{ID: forked, PID: 401, Pods: []string{podUID}},
		teardown.Namespace{ID: newer, PID: 402, Others: true},
		teardown.Namespace{ID: service, PID: 403, Others: true})
	f.want.Pods = []teardown.Pod{{UID: podUID, Cgroup: cgroup, Processes: 2}}
	return f
}

// A process that has ended has no device open any more: one that cannot be told to be
// a pod's would make the volume the host's.
func TestReadForgetsWhatHasEnded(t *testing.T) {
	tr := newTree()
	tr.process(400, "app", hostSpace, "")
	l := &look{host: tr.write(t)}
	open := []teardown.Number{dev(252, 0)}
	l.processes(nil, []opening{{PID: 400, Devices: open}, {PID: 401, Devices: open}}, map[int]string{}, nil)
	want := []teardown.Process{{PID: 400, Opens: open}}
	if d := cmp.Diff(want, l.inv.Processes); d != "" {
		t.Errorf("processes (-want +got):\n%s", d)
	}
}

func linkFixture() fixture {
	f := start()
	delete(f.tree, "var/lib/kubelet/pods/")
	f.tree["var/lib/kubelet"] = link("../../srv/kubelet")
	f.tree["srv/kubelet/pods/"+podUID+"/volumes/kubernetes.io~csi/pvc-1/vol_data.json"] = `{"driverName":"d","volumeHandle":"h"}`
	f.want.Roots = []string{"/var/lib/kubelet", "/srv/kubelet"}
	dir := "/srv/kubelet/pods/" + podUID + "/volumes/kubernetes.io~csi/pvc-1"
	f.want.Volumes = []teardown.Volume{{File: dir + "/vol_data.json", Dir: dir, Driver: "d", Handle: "h"}}
	return f
}

// A unit of systemd mounts one image, rbdmap names another, and fstab a link.
func claimFixture() fixture {
	f := start()
	for i, image := range []string{"one", "two", "three"} {
		f.tree.rbd(i, "rbd", image)
	}
	f.tree.with(map[string]string{
		"etc/systemd/system/srv-data.mount": "[Mount]\nWhat=/dev/rbd/rbd/one\nWhere=/srv/data\n",
		"run/udev/data/b252:0":              "S:rbd/rbd/one\n",
		"etc/ceph/rbdmap":                   "# RbdDevice Parameters\nrbd/two id=k,keyring=/etc/ceph/k\nother/three\n",
		"dev/disk/by-id/x":                  link("../../rbd2"),
		"dev/rbd2":                          "",
		"sys/kernel/debug/ceph/":            "",
	})
	f.tree["etc/fstab"] += "/dev/disk/by-id/x /mnt xfs noauto 0 0\nUUID=absent /x ext4 nofail 0 0\n"
	one, two, three := rbdDevice(0, "rbd", "one"), rbdDevice(1, "rbd", "two"), rbdDevice(2, "rbd", "three")
	one.Host, two.Host, three.Host = []string{"/etc/systemd/system/srv-data.mount"}, []string{"/etc/ceph/rbdmap"}, []string{"/etc/fstab"}
	f.want.Devices = append([]teardown.Device{one, two, three}, f.want.Devices...)
	return f
}

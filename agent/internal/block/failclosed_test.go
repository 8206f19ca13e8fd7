package block

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/agent/internal/block/child"
	"github.com/picket-dev/picket/agent/teardown"
)

// What cannot be read, or makes no sense, is an unknown; everything else stays.
func TestReadFailsClosed(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(tr tree)
		what  string // begins the unknown
		why   string // is part of it
		on    teardown.Number
	}{
		{"mountinfo ends early", func(tr tree) { tr["proc/1/task/1/mountinfo"] = "22 1 254:1 / /\n" }, "mounts of namespace 4026531841", "wrong number of fields", teardown.Number{}},
		{"mountinfo without numbers", func(tr tree) { tr["proc/1/task/1/mountinfo"] = "a b c:d / / rw - ext4 x rw\n" }, "mounts of namespace", "parse mounts", teardown.Number{}},
		{"mountinfo with negative numbers", func(tr tree) { tr["proc/1/task/1/mountinfo"] = "22 1 -8:1 / / rw,x shared:1 - ext4 /dev/x rw\n" }, "mounts of namespace", "negative", teardown.Number{}},
		{"peer group", func(tr tree) {
			tr["proc/1/task/1/mountinfo"] = "22 1 254:1 / / rw shared:x - ext4 /dev/vda1 rw\n"
		}, "peer group of the mount", "no number", teardown.Number{}},
		{"no mountinfo", func(tr tree) { delete(tr, "proc/1/task/1/mountinfo") }, "mounts of namespace", "no such file", teardown.Number{}},
		{"no first process", func(tr tree) { delete(tr, "proc/1/ns/mnt") }, "the host's mount namespace", "no such file", teardown.Number{}},
		{"a namespace of another kind", func(tr tree) { tr["proc/1/ns/mnt"] = link("net:[5]") }, "the host's mount namespace", "no mount namespace", teardown.Number{}},
		{"stat", func(tr tree) { tr["proc/1/task/1/stat"] = "1 systemd S" }, "/proc/1/task/1/stat", "no process", teardown.Number{}},
		{"device number", func(tr tree) { tr["sys/devices/pci0000:00/virtio0/block/vda/vda1/dev"] = "254" }, "block device vda1", "no device number", teardown.Number{}},
		{"no device number", func(tr tree) { delete(tr, "sys/devices/pci0000:00/virtio0/block/vda/vda1/dev") }, "block device vda1", "no device number", teardown.Number{}},
		{"slave that is not there", func(tr tree) { tr["sys/devices/pci0000:00/virtio0/block/vda/slaves/sdz"] = link("x") }, "what lies below vda", "no such device: sdz", dev(254, 0)},
		{"no table", func(tr tree) { tr.dm(0, "x", "CRYPT-x", "vda1") }, "table of dm-0", "no such file", dev(253, 0)},
		{"a table with an error", func(tr tree) {
			tr.dm(0, "x", "CRYPT-x", "vda1")
			tr.tables(table{Device: dev(253, 0), Error: "busy"})
		}, "table of dm-0", "busy", dev(253, 0)},
		{"a table that is missing", func(tr tree) { tr.dm(0, "x", "CRYPT-x", "vda1"); tr.tables() }, "table of dm-0", "no answer", dev(253, 0)},
		{"a map without a name", func(tr tree) {
			tr.dm(0, "", "CRYPT-x", "vda1")
			tr.tables(table{Device: dev(253, 0)})
		}, "device-mapper's name of dm-0", "none", dev(253, 0)},
		{"rbd without a number", func(tr tree) { tr.rbd(0, "p", "i"); tr["sys/bus/rbd/devices/0/major"] = "x" }, "rbd device 0", "no device number", teardown.Number{}},
		{"rbd without a client", func(tr tree) { tr.rbd(0, "p", "i"); tr["sys/bus/rbd/devices/0/client_id"] = "x" }, "rbd device 0", "no client", teardown.Number{}},
		{"rbd without an image", func(tr tree) { tr.rbd(0, "p", "") }, "rbd device 0", "no name", teardown.Number{}},
		{"rbd that the bus does not list", func(tr tree) { tr.block("rbd5", "252:80", "virtual") }, "image that rbd5 maps", "does not list", dev(252, 80)},
		{"nbd's process", func(tr tree) {
			tr.block("nbd0", "43:0", "virtual")
			tr["sys/devices/virtual/block/nbd0/pid"] = "-1"
		}, "process that serves nbd0", "no number", dev(43, 0)},
		{"nbd's process is gone", func(tr tree) {
			tr.block("nbd0", "43:0", "virtual")
			tr["sys/devices/virtual/block/nbd0/pid"] = "900"
		}, "process that serves nbd0", "no such file", dev(43, 0)},
		{"rbd-nbd without an image", func(tr tree) {
			tr.block("nbd0", "43:0", "virtual")
			tr["sys/devices/virtual/block/nbd0/pid"], tr["proc/900/cmdline"] = "900", "rbd-nbd\x00map\x00"
		}, "image that nbd0 maps", "do not say", dev(43, 0)},
		{"a loop device that cannot be asked", func(tr tree) {
			tr.block("loop0", "7:0", "virtual")
			tr["sys/devices/virtual/block/loop0/loop/backing_file"] = "/x"
		}, "what loop0 serves", "no such file", dev(7, 0)},
		{"a session without a target", func(tr tree) {
			tr.session(1, "", "192.0.2.1", "3260")
		}, "iSCSI session1", "no target", teardown.Number{}},
		{"a session without a portal", func(tr tree) { tr.session(1, iqn, "", "") }, "portal of iSCSI session1", "no connection", teardown.Number{}},
		{"vol_data.json is cut short", func(tr tree) { tr[staged+"/vol_data.json"] = `{"driverName":"rb` }, staged + "/vol_data.json", "unexpected end", teardown.Number{}},
		{"vol_data.json is empty, and its volume mounted", func(tr tree) {
			tr["proc/1/task/1/mountinfo"] += "60 22 252:0 / " + staged + "/globalmount rw - ext4 /dev/rbd0 rw\n"
			tr[staged+"/vol_data.json"] = ""
		}, staged + "/vol_data.json", "empty", dev(252, 0)},
		{"vol_data.json is null", func(tr tree) { tr[staged+"/vol_data.json"] = "null" }, staged + "/vol_data.json", "no object", teardown.Number{}},
		{"vol_data.json names nothing", func(tr tree) { tr[staged+"/vol_data.json"] = "{}" }, staged + "/vol_data.json", "names no driver", teardown.Number{}},
		{"vol_data.json is a pipe", func(tr tree) { tr[staged+"/vol_data.json"] = "PIPE" }, staged + "/vol_data.json", "no file", teardown.Number{}},
		{"vol_data.json is huge", func(tr tree) { tr[staged+"/vol_data.json"] = strings.Repeat(" ", mostText+1) }, staged + "/vol_data.json", "longer than", teardown.Number{}},
		{"image-meta.json names nothing", func(tr tree) { tr[staged+"/globalmount/image-meta.json"] = `{"pool":"p"}` }, staged + "/globalmount/image-meta.json", "no image", teardown.Number{}},
		{"Trident's path", func(tr tree) { tr["var/lib/trident/tracking/a.json"] = `{"stagingTargetPath":"../x"}` }, "/var/lib/trident/tracking/a.json", "no clean absolute path", teardown.Number{}},
		{"Trident's unit", func(tr tree) { tr["var/lib/trident/tracking/a.json"] = `{"iscsiLunNumber":-1}` }, "/var/lib/trident/tracking/a.json", "negative", teardown.Number{}},
		{"a directory of in-tree iSCSI", func(tr tree) { tr[kubelet[1:]+"/plugins/kubernetes.io/iscsi/iface-x/strange/"] = "" }, kubelet + "/plugins/kubernetes.io/iscsi/iface-x/strange", "not of the form", teardown.Number{}},
		{"a record without a portal", func(tr tree) { tr["etc/iscsi/nodes/"+iqn+"/a,1,1/default"] = "node.name = " + iqn + "\n" }, "/etc/iscsi/nodes/" + iqn, "no portal", teardown.Number{}},
		{"a record of another target", func(tr tree) {
			tr["etc/iscsi/nodes/"+iqn+"/a,1,1/default"] = "node.name = iqn.x\nnode.conn[0].address = a\nnode.conn[0].port = 1\n"
		}, "/etc/iscsi/nodes/" + iqn, "another target", teardown.Number{}},
		{"a record of no lines", func(tr tree) { tr["etc/iscsi/nodes/"+iqn+"/a,1,1/default"] = "secret" }, "/etc/iscsi/nodes/" + iqn, "key = value", teardown.Number{}},
		{"a swap on an unknown device", func(tr tree) { tr["proc/swaps"] += "/dev/none partition 1 0 -2\n" }, "swap on /dev/none", "no such device", teardown.Number{}},
		{"no udev", func(tr tree) {
			delete(tr, "run/udev/data/b254:1")
			delete(tr, "dev/disk/by-uuid/0b5e")
			tr["etc/fstab"] = "UUID=0b5e / ext4 defaults\n"
		}, "UUID=0b5e of /etc/fstab", "no udev", teardown.Number{}},
		{"udev's file", func(tr tree) { tr["run/udev/data/bx"] = "" }, "/run/udev/data/bx", "no device number", teardown.Number{}},
		{"a process outside of the PID namespace", func(tr tree) {
			tr["sys/fs/cgroup/kubepods/pod"+podUID+"/cgroup.procs"] = "0\n"
		}, "/sys/fs/cgroup/kubepods/pod" + podUID, "cannot be named", teardown.Number{}},
		{"open files that cannot be listed", func(tr tree) {
			tr.process(400, "writer", hostSpace, "")
			delete(tr, "proc/400/fd/")
			tr["proc/400/fd"] = link("fd")
		}, "open files of process 400", "too many levels", teardown.Number{}},
		{"an open file that cannot be told", func(tr tree) {
			tr.process(400, "writer", hostSpace, "")
			tr["proc/400/fd/4"] = link("/" + strings.Repeat("x", 300))
		}, "open files of process 400", "file name too long", teardown.Number{}},
		{"no directory of the kubelet", func(tr tree) { delete(tr, "var/lib/kubelet/pods/") }, "the kubelet's directories", "none is at /var/lib/kubelet (agent.kubeletRoots)", teardown.Number{}},
		{"no cgroups", func(tr tree) { delete(tr, "sys/fs/cgroup/"); delete(tr, "sys/fs/cgroup/cgroup.x") }, "/sys/fs/cgroup", "no such file", teardown.Number{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := newTree()
			tt.spoil(tr)
			inv := tr.read(t)
			for _, u := range inv.Unknown {
				if strings.HasPrefix(u.What, tt.what) && strings.Contains(u.Why, tt.why) && u.Device == tt.on {
					return
				}
			}
			t.Errorf("unknown = %+v, want %q because %q on %v", inv.Unknown, tt.what, tt.why, tt.on)
		})
	}
}

// A probe that hangs costs its bound, and what it was to find out.
func TestReadDoesNotWaitForWhatHangs(t *testing.T) {
	tr := newTree()
	tr.dm(0, "x", "CRYPT-x", "vda1")
	h := tr.write(t)
	h.Bound = 300 * time.Millisecond
	c := child.Default()
	c.Command = []string{"/bin/sh", "-c", "exec sleep 60", "child"}
	begin := time.Now()
	inv := NewReader(h, child.New(c)).Read(t.Context())
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("Read() took %v", took)
	}
	var what []string
	for _, u := range inv.Unknown {
		what = append(what, u.What)
	}
	if d := cmp.Diff([]string{"files of the host", "open files of processes", "table of dm-0"}, what); d != "" {
		t.Errorf("unknown (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{kubelet}, inv.Roots); d != "" {
		t.Errorf("roots (-want +got):\n%s", d)
	}
	if d := cmp.Diff(bareNode().Mounts, inv.Mounts); d != "" {
		t.Errorf("mounts (-want +got):\n%s", d)
	}
}

// Who has a device open is known by the device, whatever the node is called.
func TestReadFindsOpenDevices(t *testing.T) {
	tr := newTree()
	tr.process(400, "writer", hostSpace, "")
	tr["sys/fs/cgroup/kubepods/pod"+podUID+"/cgroup.procs"] = "400\n"
	h := tr.write(t)
	node := filepath.Join(h.Root, "xvda")
	if err := unix.Mknod(node, unix.S_IFBLK|0o600, int(unix.Mkdev(254, 1))); err != nil {
		t.Skipf("making a device node needs root: %v", err)
	}
	for fd, target := range []string{"/dev/null", "socket:[1]", node, node, h.Root + "/etc/fstab", h.Root + "/gone"} {
		if err := os.Symlink(target, filepath.Join(h.Proc, "400/fd", fmt.Sprint(fd))); err != nil {
			t.Fatal(err)
		}
	}
	inv := NewReader(h, child.New(child.Default())).Read(t.Context())
	want := []teardown.Process{{PID: 400, Name: "writer", Pod: podUID, Opens: []teardown.Number{dev(254, 1)}}}
	if d := cmp.Diff(want, inv.Processes, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("processes (-want +got):\n%s", d)
	}
	if inv.Unknown != nil {
		t.Errorf("unknown = %+v", inv.Unknown)
	}
}

// Clients of Ceph that cannot be told are not known, which is for the plan to
// weigh: a lock-down of debugfs must not keep every node in quarantine.
func TestClientsThatCannotBeTold(t *testing.T) {
	tr := newTree()
	tr["sys/module/libceph/"], tr["sys/kernel/debug/ceph/strange/osdc"] = "", ""
	if inv := tr.read(t); inv.ClientsKnown || inv.Unknown != nil {
		t.Errorf("clients known: %v, unknown: %+v", inv.ClientsKnown, inv.Unknown)
	}
}

// A device that was open for a moment is in nobody's use.
func TestOpenForAMoment(t *testing.T) {
	sda, sdb := dev(8, 0), dev(8, 16)
	before := []opening{{1, []teardown.Number{sda, sdb}}, {2, []teardown.Number{sda}}, {3, []teardown.Number{sda}}}
	after := []opening{{1, []teardown.Number{sdb, dev(8, 32)}}, {3, []teardown.Number{sdb}}, {4, []teardown.Number{sda}}}
	if d := cmp.Diff([]opening{{1, []teardown.Number{sdb}}}, lasting(before, after)); d != "" {
		t.Errorf("lasting (-want +got):\n%s", d)
	}
}

// A node record that was written just before a power cut is empty: open-iscsi finds no
// target in it, and nobody has to mend it before the node is Clean.
func TestAnEmptyRecordIsNone(t *testing.T) {
	for _, text := range []string{"", "\n", "\x00\x00"} {
		tr := newTree()
		tr["etc/iscsi/nodes/"+iqn+"/192.0.2.10,3260"] = text
		if inv := tr.read(t); len(inv.Records) > 0 || len(inv.Unknown) > 0 {
			t.Errorf("%q: %+v, %+v", text, inv.Records, inv.Unknown)
		}
	}
}

// No secret leaves the child, and none is kept.
func TestNoSecretIsKept(t *testing.T) {
	for _, text := range []string{"node.session.auth.password = s3cret\nx", "s3cret"} {
		if _, err := record(file{Path: "/etc/iscsi/nodes/a/b", Text: []byte(text)}); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("record(%q) = %v", text, err)
		}
	}
	f := multipathFixture()
	if all := fmt.Sprintf("%+v", f.tree.read(t)); strings.Contains(all, "secret") {
		t.Errorf("the inventory holds a password: %s", all)
	}
}

func TestHostIsChecked(t *testing.T) {
	if err := HostBelow("/host").Validate(); err != nil {
		t.Errorf("HostBelow().Validate() = %v", err)
	}
	if (Host{}).Validate() == nil {
		t.Error("Validate() accepts a Host that is nowhere")
	}
	for name, spoil := range map[string]func(*Host){
		"relative": func(h *Host) { h.Sys = "sys" },
		"no roots": func(h *Host) { h.Kubelet = nil },
		"the root": func(h *Host) { h.Kubelet = []string{"/"} },
		"unclean":  func(h *Host) { h.Records = []string{"/etc/iscsi/nodes/"} },
		"no bound": func(h *Host) { h.Bound = 0 },
		"no still": func(h *Host) { h.Still = -1 },
	} {
		h := HostBelow("/host")
		spoil(&h)
		if h.Validate() == nil {
			t.Errorf("%s: Validate() accepts %+v", name, h)
		}
	}
	if !slices.Contains(HostBelow("/").Kubelet, kubelet) || HostBelow("/").Root != "/proc/1/root" {
		t.Errorf("HostBelow(/) = %+v", HostBelow("/"))
	}
}

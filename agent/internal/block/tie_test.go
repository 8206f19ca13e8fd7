package block

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/agent/teardown"
)

// tied adds to a host what the kubelet and its driver have of volume pv-x on a device: the
// global mount, the pod's, and the files that say whose they are.
func tied(d teardown.Number, source, driver string, more map[string]string) func(tree) {
	return func(tr tree) {
		dir := kubelet + "/plugins/kubernetes.io/csi/" + driver + "/" + hash
		for id, point := range []string{dir + "/globalmount", podDir + "/volumes/kubernetes.io~csi/pv-x/mount"} {
			line, _ := hostMount(60+id, d, point, source)
			tr["proc/1/task/1/mountinfo"] += line + "\n"
		}
		tr[dir+"/vol_data.json"] = `{"driverName":"` + driver + `","volumeHandle":"h"}`
		tr[podDir+"/volumes/kubernetes.io~csi/pv-x/vol_data.json"] = `{"driverName":"` + driver + `","volumeHandle":"h","specVolID":"pv-x"}`
		for name, text := range more {
			tr[strings.Replace(name, "{dir}", dir, 1)] = text
		}
	}
}

// Each device is tied to its PersistentVolume, claim, pods and VolumeAttachment,
// however it came to the node, and so is each device that it lies on or that lies on it.
func TestEachDeviceIsTiedToItsVolume(t *testing.T) {
	const ceph, trident = "rbd.csi.ceph.com", "csi.trident.netapp.io"
	tests := []struct {
		name    string
		add     func(tr tree)
		driver  string // empty: in-tree
		devices []string
	}{
		{"krbd", func(tr tree) {
			tr.rbd(0, "p", "i")
			tr["sys/kernel/debug/ceph/"] = ""
			tied(dev(252, 0), "/dev/rbd0", ceph, map[string]string{"{dir}/globalmount/image-meta.json": `{"pool":"p","image":"i"}`})(tr)
		}, ceph, []string{"rbd rbd0"}},
		{"rbd-nbd", func(tr tree) {
			tr.block("nbd0", "43:0", "virtual")
			tr["sys/devices/virtual/block/nbd0/pid"], tr["proc/900/cmdline"] = "900\n", "rbd-nbd\x00map\x00p/i\x00"
			tied(dev(43, 0), "/dev/nbd0", ceph, map[string]string{"{dir}/globalmount/image-meta.json": `{"pool":"p","image":"i","accessType":true}`})(tr)
		}, ceph, []string{"nbd nbd0"}},
		{"NVMe over fabrics", func(tr tree) {
			tr.device("nvme1n1", "259:1", "virtual/nvme-subsystem/nvme-subsys1/nvme1n1")
			tr.with(map[string]string{
				"sys/devices/virtual/nvme-subsystem/nvme-subsys1/subsysnqn":    "nqn.2026-03.example:sub\n",
				"sys/devices/virtual/nvme-subsystem/nvme-subsys1/nvme1n1/wwid": "uuid.0f2c\n",
				"sys/devices/virtual/nvme-subsystem/nvme-subsys1/nvme1":        link("../../nvme-fabrics/ctl/nvme1"),
				"sys/devices/virtual/nvme-fabrics/ctl/nvme1/transport":         "tcp\n",
			})
			tied(dev(259, 1), "/dev/nvme1n1", trident, map[string]string{"var/lib/trident/tracking/pv-x.json": `{"nvmeNamespaceUUID":"0f2c","stagingTargetPath":"` + kubelet + "/plugins/kubernetes.io/csi/" + trident + "/" + hash + `/globalmount"}`})(tr)
		}, trident, []string{"nvme nvme1n1"}},
		{"LUKS on multipath over iSCSI", func(tr tree) {
			tr.session(1, iqn, "192.0.2.10", "3260")
			tr.session(2, iqn, "192.0.2.11", "3260")
			tr.scsi("sdb", "8:16", 1, 3, "naa.6001", "running")
			tr.scsi("sdc", "8:32", 2, 3, "naa.6001", "running")
			tr.dm(0, "mpatha", "mpath-36001", "sdb", "sdc")
			tr.dm(1, "luks-pv-x", "CRYPT-LUKS2-1", "dm-0")
			tr.tables(table{Device: dev(253, 0), Targets: []string{"multipath"}}, table{Device: dev(253, 1), Targets: []string{"crypt"}})
			tied(dev(253, 1), "/dev/mapper/luks-pv-x", trident, map[string]string{"var/lib/trident/tracking/pv-x.json": `{"iscsiTargetIqn":"` + iqn + `","iscsiLunNumber":3}`})(tr)
		}, trident, []string{"iscsi sdb", "multipath dm-0", "crypt dm-1", "iscsi sdc", "multipath dm-0"}},
		{"in-tree iSCSI", func(tr tree) {
			const point = kubelet + "/plugins/kubernetes.io/iscsi/iface-default/192.0.2.10:3260-" + iqn + "-lun-2"
			tr.session(1, iqn, "192.0.2.10", "3260")
			tr.scsi("sdb", "8:16", 1, 2, "naa.6001", "running")
			for id, at := range []string{point, podDir + "/volumes/kubernetes.io~iscsi/pv-x"} {
				line, _ := hostMount(60+id, dev(8, 16), at, "/dev/sdb")
				tr["proc/1/task/1/mountinfo"] += line + "\n"
			}
			tr[point+"/"] = ""
		}, "", []string{"iscsi sdb"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := newTree()
			tt.add(tr)
			volume := teardown.Attachment{PV: "pv-x", Claim: "shop/data", Driver: tt.driver, Gated: true, Attached: true, Held: "VolumeAttachment csi-1"}
			if tt.driver == "" {
				volume.Held, volume.Identity = "volumesAttached of the Node", teardown.Identity{Target: iqn, LUN: 2}
			} else {
				volume.Handle = "h"
			}
			inv := tr.read(t)
			p := teardown.Make(inv, teardown.Attachments{Known: true, Volumes: []teardown.Attachment{volume}, Pods: []string{podUID}}, teardown.Aim{})
			if p.State != teardown.Clean || len(inv.Unknown) > 0 {
				t.Errorf("%v (%s), unknown %v", p.State, p.Why, inv.Unknown)
			}
			var devices []string
			var visit func([]teardown.Item)
			visit = func(items []teardown.Item) {
				for _, i := range items {
					visit(i.Items)
					if i.Owner != teardown.OwnerKubernetes || i.Kind == "session" {
						continue
					}
					tie := teardown.Item{Volume: i.Volume, Claim: i.Claim, Pods: i.Pods, Attachment: i.Attachment, Standing: i.Standing}
					want := teardown.Item{Volume: "pv-x", Claim: "shop/data", Pods: []string{podUID}, Attachment: volume.Held, Standing: teardown.Rightful}
					if i.Kind == "mount" && !strings.Contains(i.Name, "/pods/") {
						want.Pods = i.Pods // the global mount is no pod's
					}
					if d := cmp.Diff(want, tie); d != "" {
						t.Errorf("%s %s (-want +got):\n%s", i.Kind, i.Name, d)
					}
					if i.Kind != "mount" {
						devices = append(devices, i.Kind+" "+i.Name)
					}
				}
			}
			visit(p.Tree)
			if d := cmp.Diff(tt.devices, devices, cmp.Transformer("sorted", func(s []string) map[string]int {
				count := map[string]int{}
				for _, x := range s {
					count[x]++
				}
				return count
			})); d != "" {
				t.Errorf("devices (-want +got):\n%s", d)
			}
		})
	}
}

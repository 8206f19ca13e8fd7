package block

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/agent/teardown"
)

// An inventory must say what a plan needs: what moved comes apart in order, and
// what is attached here is left alone.
func TestPlanOfAHost(t *testing.T) {
	ops := func(words string) []string { return strings.Fields(words) }
	trident := teardown.Attachment{PV: "pvc-1", Driver: "csi.trident.netapp.io", Handle: "pvc-1", Gated: true}
	ceph := teardown.Attachment{PV: "pvc-luks", Driver: "rbd.csi.ceph.com", Handle: "0001-0009", Gated: true}
	raw := teardown.Attachment{PV: "pvc-raw", Driver: "rbd.csi.ceph.com", Handle: "h", Gated: true}
	tree := teardown.Attachment{PV: "pv-tree", Gated: true, Identity: teardown.Identity{Target: iqn, LUN: 2}}
	withoutTape := func() fixture {
		f := treeFixture()
		delete(f.tree, "sys/devices/platform/host3/session1/target3:0:0/3:0:0:4/type")
		delete(f.tree, "sys/devices/platform/host3/session1/target3:0:0/3:0:0:5/type")
		return f
	}
	cutLUKS := func() fixture { // an error table has nothing below it
		f := luksFixture()
		delete(f.tree, "sys/devices/virtual/block/dm-0/slaves/rbd0")
		f.tree.tables(table{Device: dev(253, 0), Targets: []string{"error"}})
		return f
	}
	tests := []struct {
		name   string
		host   func() fixture
		volume teardown.Attachment
		here   bool // attached to this node
		state  teardown.State
		ops    []string
	}{
		{"multipath, moved", multipathFixture, trident, false, teardown.Work, ops("Offline Note SetManual Logout Logout FailQueue ShutDown Unmount RemoveMap FlushMultipath Verify Attest")},
		{"multipath, attached", multipathFixture, trident, true, teardown.Clean, ops("Attest")},
		{"LUKS on rbd, moved", luksFixture, ceph, false, teardown.Work, ops("CutMap Note ShutDown Unmount CloseCrypt UnmapRBD Verify Attest")},
		{"LUKS on rbd, attached", luksFixture, ceph, true, teardown.Clean, ops("Attest")},
		{"LUKS on rbd, cut off already", cutLUKS, ceph, false, teardown.Work, ops("Note ShutDown Unmount CloseCrypt UnmapRBD Verify Attest")},
		{"raw block, moved", rawFixture, raw, false, teardown.Work, ops("UnmapRBD DetachLoop DetachLoop Unmount Verify Attest")},
		{"raw block, attached", rawFixture, raw, true, teardown.Clean, ops("Attest")},
		{"in-tree iSCSI whose session is lost, moved", withoutTape, tree, false, teardown.Work, ops("Logout ShutDown Unmount Unmount Verify Attest")},
		{"in-tree iSCSI, attached", withoutTape, tree, true, teardown.Clean, ops("Attest")},
		{"root on iSCSI", rootFixture, trident, false, teardown.Clean, ops("Attest")},
		{"OSD disks, DRBD and md", osdFixture, trident, false, teardown.Clean, ops("Attest")},
		{"LVM on the host", lvmFixture, trident, false, teardown.Clean, ops("Attest")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.volume.Attached = tt.here
			api := teardown.Attachments{Known: true, Volumes: []teardown.Attachment{tt.volume}}
			p := teardown.Make(tt.host().tree.read(t), api, teardown.Aim{SameBoot: true, Rejoin: teardown.RejoinClean})
			var got []string
			for _, s := range p.Steps {
				got = append(got, s.Op.String())
			}
			if d := cmp.Diff(tt.ops, got); d != "" || p.State != tt.state || len(p.Blockers) > 0 {
				t.Errorf("state %v (%s), blockers %v, steps (-want +got):\n%s", p.State, p.Why, p.Blockers, d)
			}
		})
	}
}

// A target that the host's own files name is the host's, though no unit has come from
// it yet: its record goes on to log in at each boot, whatever volume that has moved
// comes from it, too.
func TestATargetThatTheHostNames(t *testing.T) {
	const point = kubelet + "/plugins/kubernetes.io/iscsi/iface-default/192.0.2.10:3260-" + iqn + "-lun-2"
	const disk = "/dev/disk/by-path/ip-192.0.2.10:3260-iscsi-" + iqn + "-lun-5"
	moved := teardown.Attachment{PV: "pv-tree", Gated: true, Identity: teardown.Identity{Target: iqn, LUN: 2}}
	for name, tt := range map[string]struct {
		path, text string
		state      teardown.State
		ops        string
	}{
		"nobody":            {"etc/fstab", "/dev/vda1 / ext4 defaults 0 1\n", teardown.Work, "SetManual Verify Attest"},
		"fstab":             {"etc/fstab", "/dev/vda1 / ext4 defaults 0 1\n" + disk + " /srv ext4 _netdev,nofail 0 0\n", teardown.Clean, "Attest"},
		"a partition of it": {"etc/fstab", "/dev/vda1 / ext4 defaults 0 1\n" + disk + "-part1 /srv ext4 _netdev 0 0\n", teardown.Clean, "Attest"},
		"a unit of systemd": {"etc/systemd/system/srv.mount", "[Mount]\nWhat=" + disk + "\nWhere=/srv\n", teardown.Clean, "Attest"},
		"crypttab":          {"etc/crypttab", "srv " + disk + " none _netdev\n", teardown.Clean, "Attest"},
		"another target":    {"etc/fstab", "/dev/vda1 / ext4 defaults 0 1\n" + strings.Replace(disk, iqn, iqn+"2", 1) + " /srv ext4 _netdev 0 0\n", teardown.Work, "SetManual Verify Attest"},
		"only said":         {"etc/fstab", "/dev/vda1 / ext4 defaults 0 1\n# " + disk + " /srv ext4 _netdev 0 0\n", teardown.Work, "SetManual Verify Attest"},
	} {
		tr := newTree()
		tr[point+"/"] = ""
		tr["etc/iscsi/nodes/"+iqn+"/192.0.2.10,3260,1/default"] = "node.name = " + iqn + "\nnode.startup = automatic\niface.iscsi_ifacename = default\nnode.conn[0].address = 192.0.2.10\nnode.conn[0].port = 3260\n"
		tr[tt.path] = tt.text
		p := teardown.Make(tr.read(t), teardown.Attachments{Known: true, Volumes: []teardown.Attachment{moved}}, teardown.Aim{})
		var got []string
		for _, s := range p.Steps {
			got = append(got, s.Op.String())
		}
		if d := cmp.Diff(strings.Fields(tt.ops), got); d != "" || p.State != tt.state {
			t.Errorf("%s: %v (%s %v), want %v; steps (-want +got):\n%s", name, p.State, p.Why, p.Blockers, tt.state, d)
		}
	}
}

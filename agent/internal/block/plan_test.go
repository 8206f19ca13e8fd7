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

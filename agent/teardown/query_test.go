package teardown

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// directory is that of an in-tree iSCSI volume, before it is mounted for its pod.
func directory() Volume {
	const dir = kubelet + "/plugins/kubernetes.io/iscsi/iface-default/" + portalA + "-" + target + "-lun-3"
	return Volume{File: dir, Dir: dir, Identity: Identity{Target: target, LUN: 3}}
}

// What a plan needs of the API: names, handles, and a search only for devices that
// nothing on the host explains.
func TestAsk(t *testing.T) {
	tests := []struct {
		name  string
		shape func(s *shape)
		want  Query
	}{
		{"a host without volumes", func(*shape) {}, Query{}},
		{"a volume with its metadata", func(s *shape) {
			s.volume(s.rbd(0, "a"), volumeShape{pv: "pv-a"})
		}, Query{PVs: []string{"pv-a"}, Volumes: []Handle{{"csi.example", "handle-pv-a"}}}},
		{"a unit that came back by itself", func(s *shape) {
			s.session("1", target, portalA)
			s.lun("sdb", "1", 1, "w1")
		}, Query{Search: true}},
		{"a unit that came back, and that metadata name", func(s *shape) {
			s.session("1", target, portalA)
			s.volume(s.lun("sdb", "1", 1, "w1"), volumeShape{pv: "pv-a", bare: true, identity: Identity{WWID: "w1"}})
		}, Query{PVs: []string{"pv-a"}, Volumes: []Handle{{"csi.example", "handle-pv-a"}}}},
		{"a unit that only a directory of in-tree iSCSI tells", func(s *shape) {
			s.session("1", target, portalA)
			s.lun("sdb", "1", 3, "w3")
			s.inv.Volumes = []Volume{directory()}
		}, Query{Search: true}},
		{"a unit on its way that only a directory tells", func(s *shape) {
			s.session("1", target, portalA)
			s.inv.Volumes = []Volume{directory()}
		}, Query{Search: true}},
		{"a target that is to be logged in to, by a directory", func(s *shape) {
			s.session("1", target, portalA)
			s.inv.Sessions, s.inv.Volumes = nil, []Volume{directory()}
		}, Query{Search: true}},
		{"a directory whose target is forgotten", func(s *shape) { s.inv.Volumes = []Volume{directory()} }, Query{}},
		{"a directory whose volume is mounted for its pod", func(s *shape) {
			s.session("1", target, portalA)
			s.lun("sdb", "1", 3, "w3")
			s.inv.Volumes = []Volume{directory()}
			s.inv.Volumes[0].PV = "pv-a" // as the mounts say
		}, Query{PVs: []string{"pv-a"}}},
		{"root on iSCSI", rootOnISCSI, Query{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := node()
			tt.shape(s)
			got := Ask(s.inv)
			if d := cmp.Diff(tt.want, Query{PVs: got.PVs, Volumes: got.Volumes, Search: got.Search}, cmp.AllowUnexported(Query{}), cmp.Comparer(func(a, b *host) bool { return true })); d != "" {
				t.Errorf("query (-want +got):\n%s", d)
			}
		})
	}
	s := node()
	s.session("1", target, portalA)
	s.lun("sdb", "1", 1, "w1")
	for id, want := range map[Identity]bool{
		{Target: target, LUN: 1}: true, {WWID: "w1"}: true, {WWID: "w2", Target: target, LUN: 1}: true,
		{Target: target, LUN: 2}: true, {Target: target + "2", LUN: 1}: false, {WWID: "w2"}: false, {}: false,
	} {
		if got := Ask(s.inv).Concerns(id); got != want {
			t.Errorf("%+v concerns the host: %t", id, got)
		}
	}
}

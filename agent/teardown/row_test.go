package teardown

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	target  = "iqn.2026-03.example:array"
	portalA = "192.0.2.50:3260"
	portalB = "198.51.100.50:3260"
)

var (
	sameClean = Aim{SameBoot: true, Rejoin: RejoinClean}
	newBoot   = Aim{Rejoin: RejoinReset}
)

// multipath adds a map over two sessions.
func multipath(s *shape) Number {
	s.session("1", target, portalA)
	s.session("2", target, portalB)
	return s.over(Multipath, "dm-10", "mpatha", s.lun("sdb", "1", 1, "w1"), s.lun("sdc", "2", 1, "w1"))
}

// The scenarios of a rejoin, by number.
func TestScenarios(t *testing.T) {
	tests := []struct {
		name  string
		shape func(*shape)
		aim   Aim
		state State
		why   string // of the first blocker
		steps []string
	}{
		{
			name: "26 dirty ext4 on iSCSI", aim: sameClean, state: Work,
			shape: func(s *shape) {
				s.session("1", target, portalA)
				s.volume(s.lun("sdb", "1", 1, "w1"), volumeShape{pv: "pv-a", moved: true})
			},
			steps: []string{
				"Offline sdb", "Note sdb", "SetManual " + target + " " + portalA, "Logout session 1",
				"ShutDown pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount", "Freeze pod-pv-a", "Kill pod-pv-a",
				"Unmount pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount",
				"Unmount plugins/kubernetes.io/csi/csi.example/HASH/globalmount", "Verify", "Attest",
			},
		},
		{
			name: "26 dirty ext4 on iSCSI, requests in flight", aim: sameClean, state: Work,
			shape: func(s *shape) {
				s.session("1", target, portalA)
				s.volume(s.lun("sdb", "1", 1, "w1"), volumeShape{pv: "pv-a", moved: true})
				s.dev("sdb").InFlight = 3
			},
			steps: []string{
				"Offline sdb", "Note sdb", "SetManual " + target + " " + portalA, "Logout session 1",
				"ShutDown pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount", "Freeze pod-pv-a", "Kill pod-pv-a",
				"Unmount pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount",
				"Unmount plugins/kubernetes.io/csi/csi.example/HASH/globalmount", "Verify", "Attest",
			},
		},
		{
			name: "26 dirty ext4 on iSCSI, the session is lost", aim: sameClean, state: Work,
			shape: func(s *shape) {
				s.session("1", target, portalA)
				s.volume(s.lun("sdb", "1", 1, "w1"), volumeShape{pv: "pv-a", moved: true})
				s.dev("sdb").Lost = true
			},
			steps: []string{
				"Note sdb", "SetManual " + target + " " + portalA, "Logout session 1",
				"ShutDown pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount", "Freeze pod-pv-a", "Kill pod-pv-a",
				"Unmount pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount",
				"Unmount plugins/kubernetes.io/csi/csi.example/HASH/globalmount", "Verify", "Attest",
			},
		},
		{
			name: "26 in-tree iSCSI", aim: sameClean, state: Work,
			shape: func(s *shape) {
				s.session("1", target, portalA)
				s.volume(s.lun("sdb", "1", 1, "w1"), volumeShape{pv: "pv-a", inTree: true, identity: Identity{Target: target, LUN: 1}, moved: true})
			},
			steps: []string{
				"Offline sdb", "SetManual " + target + " " + portalA, "Logout session 1",
				"ShutDown pods/pod-pv-a/volumes/kubernetes.io~iscsi/pv-a", "Freeze pod-pv-a", "Kill pod-pv-a",
				"Unmount pods/pod-pv-a/volumes/kubernetes.io~iscsi/pv-a",
				"Unmount plugins/kubernetes.io/iscsi/iface-default/" + target + "-lun", "Verify", "Attest",
			},
		},
		{
			name: "27 raw block on iSCSI", aim: sameClean, state: Work,
			shape: func(s *shape) {
				s.session("1", target, portalA)
				s.volume(s.lun("sdb", "1", 1, "w1"), volumeShape{pv: "pv-a", block: true, moved: true})
			},
			steps: []string{
				"Offline sdb", "Note sdb", "SetManual " + target + " " + portalA, "Logout session 1", "Freeze pod-pv-a",
				"Kill pod-pv-a", "DetachLoop loop101", "Unmount plugins/kubernetes.io/csi/volumeDevices/publish/pv-a/pod-pv-a",
				"Unmount pods/pod-pv-a/volumeDevices/kubernetes.io~csi/pv-a", "Verify", "Attest",
			},
		},
		{
			name: "27 raw block on rbd", aim: sameClean, state: Work,
			shape: func(s *shape) {
				s.volume(s.rbd(0, "a"), volumeShape{pv: "pv-a", block: true, moved: true})
			},
			steps: []string{
				"UnmapRBD rbd0", "Freeze pod-pv-a", "Kill pod-pv-a", "DetachLoop loop101",
				"Unmount plugins/kubernetes.io/csi/volumeDevices/publish/pv-a/pod-pv-a",
				"Unmount pods/pod-pv-a/volumeDevices/kubernetes.io~csi/pv-a", "Verify",
				"Attest",
			},
		},
		{
			name: "27 raw block on rbd, the image is unmapped already", aim: sameClean, state: Work,
			shape: func(s *shape) {
				s.volume(num(252, 9), volumeShape{pv: "pv-a", block: true, moved: true})
				for i, m := range s.inv.Mounts {
					if m.Node == num(252, 9) {
						s.inv.Mounts[i].Node, s.inv.Mounts[i].Root = Number{}, "/rbd0//deleted"
					}
				}
			},
			steps: []string{
				"Freeze pod-pv-a", "Kill pod-pv-a", "DetachLoop loop101", "Unmount plugins/kubernetes.io/csi/volumeDevices/publish/pv-a/pod-pv-a",
				"Unmount pods/pod-pv-a/volumeDevices/kubernetes.io~csi/pv-a", "Verify", "Attest",
			},
		},
		{
			name: "28 an image whose block device is gone is unmapped anew", aim: sameClean, state: Work,
			shape: func(s *shape) {
				s.volume(s.rbd(0, "a"), volumeShape{pv: "pv-a", moved: true})
				s.dev("rbd0").InFlight, s.dev("rbd0").Cut = -1, true
			},
			steps: []string{
				"UnmapRBD rbd0", "ShutDown pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount", "Freeze pod-pv-a",
				"Kill pod-pv-a", "Unmount pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount",
				"Unmount plugins/kubernetes.io/csi/csi.example/HASH/globalmount", "Verify", "Attest",
			},
		},
		{
			name: "28 blocklisted rbd, whose requests have failed", aim: sameClean, state: Work,
			shape: func(s *shape) {
				s.volume(s.rbd(0, "a"), volumeShape{pv: "pv-a", moved: true})
			},
			steps: []string{
				"UnmapRBD rbd0", "ShutDown pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount", "Freeze pod-pv-a",
				"Kill pod-pv-a", "Unmount pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount",
				"Unmount plugins/kubernetes.io/csi/csi.example/HASH/globalmount", "Verify", "Attest",
			},
		},
		{
			name: "28 LUKS on blocklisted rbd", aim: sameClean, state: Work,
			shape: func(s *shape) {
				s.volume(s.over(Crypt, "dm-10", "luks-a", s.rbd(0, "a")), volumeShape{pv: "pv-a", moved: true})
			},
			steps: []string{
				"Note rbd0", "CutMap dm-10", "Note dm-10",
				"ShutDown pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount", "Freeze pod-pv-a", "Kill pod-pv-a",
				"Unmount pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount",
				"Unmount plugins/kubernetes.io/csi/csi.example/HASH/globalmount", "CloseCrypt dm-10",
				"UnmapRBD rbd0", "Verify", "Attest",
			},
		},
		{
			name: "29 unreachable Ceph, requests in flight", aim: sameClean, state: Reset,
			why: "rbd0 has requests in flight: they would be written once the cluster is reached",
			shape: func(s *shape) {
				s.volume(s.rbd(0, "a"), volumeShape{pv: "pv-a", moved: true})
				s.dev("rbd0").InFlight = 1
			},
		},
		{
			name: "29 whether requests are in flight cannot be read", aim: sameClean, state: Reset,
			why: "rbd0 has requests in flight: they would be written once the cluster is reached",
			shape: func(s *shape) {
				s.volume(s.rbd(0, "a"), volumeShape{pv: "pv-a", moved: true})
				s.dev("rbd0").InFlight = -1
			},
		},
		{
			name: "29 a process hangs in the kernel, nothing shows it", aim: sameClean, state: Work,
			shape: func(s *shape) {
				s.inv.Processes = append(s.inv.Processes,
					Process{PID: 4711, Name: "umount", Agent: true, Stuck: true},
					Process{PID: 4712, Name: "db", Pod: "pod-gone", Stuck: true},
					Process{PID: 4713, Name: "csi", Pod: pluginP, Stuck: true},
					Process{PID: 4714, Name: "kworker", Stuck: true})
			},
			steps: []string{
				"Wait umount 4711", "Wait db 4712", "Verify", "Attest",
			},
		},
		{
			name: "29 a client without an image", aim: sameClean, state: Work,
			shape: func(s *shape) { s.inv.Clients = []Client{cephA} },
			steps: []string{
				"Wait client 4123", "Verify", "Attest",
			},
		},
		{
			name: "31 attached again, mapped before the fence", aim: sameClean, state: Work,
			shape: func(s *shape) {
				s.volume(s.rbd(0, "a"), volumeShape{pv: "pv-a", moved: true})
				s.api.Volumes[0].Attached, s.api.Volumes[0].Again = true, true
			},
			steps: []string{
				"UnmapRBD rbd0", "ShutDown pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount", "Freeze pod-pv-a",
				"Kill pod-pv-a", "Unmount pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount",
				"Unmount plugins/kubernetes.io/csi/csi.example/HASH/globalmount", "Verify", "Attest",
			},
		},
		{
			name: "32 root on iSCSI, its target shared with a volume", aim: sameClean, state: Reset,
			why: "session 1 of sdb serves a disk of the host, too",
			shape: func(s *shape) {
				rootOnISCSI(s)
				s.volume(s.lun("sdb", "1", 1, "w1"), volumeShape{pv: "pv-a", moved: true})
			},
		},
		{
			name: "32 root on iSCSI, a volume's unit came back with it", aim: newBoot, state: Work,
			shape: func(s *shape) {
				rootOnISCSI(s)
				s.volume(s.lun("sdb", "1", 1, "w1"), volumeShape{pv: "pv-a", bare: true, identity: Identity{WWID: "w1"}, moved: true})
			},
			steps: []string{
				"Offline sdb", "DeleteSCSI sdb", "Verify", "Attest",
			},
		},
		{
			name: "33 queue_if_no_path, all paths gone", aim: sameClean, state: Work,
			shape: func(s *shape) {
				s.volume(multipath(s), volumeShape{pv: "pv-a", fs: "xfs", moved: true})
				s.dev("dm-10").Queueing = true
			},
			steps: []string{
				"Offline sdb", "Offline sdc", "Note sdb", "Note dm-10",
				"SetManual " + target + " " + portalA, "SetManual " + target + " " + portalB,
				"Logout session 1", "Logout session 2", "FailQueue dm-10",
				"ShutDown pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount", "Freeze pod-pv-a", "Kill pod-pv-a",
				"Unmount pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount",
				"Unmount plugins/kubernetes.io/csi/csi.example/HASH/globalmount", "FlushMultipath dm-10", "Verify", "Attest",
			},
		},
		{
			name: "33 queue_if_no_path, all paths gone, their sessions lost", aim: sameClean, state: Work,
			shape: func(s *shape) {
				s.volume(multipath(s), volumeShape{pv: "pv-a", fs: "xfs", moved: true})
				s.dev("dm-10").Queueing = true
				s.dev("sdb").Lost, s.dev("sdc").Lost = true, true
			},
			steps: []string{
				"Note sdb", "Note dm-10", "SetManual " + target + " " + portalA, "SetManual " + target + " " + portalB,
				"Logout session 1", "Logout session 2", "FailQueue dm-10",
				"ShutDown pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount", "Freeze pod-pv-a", "Kill pod-pv-a",
				"Unmount pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount",
				"Unmount plugins/kubernetes.io/csi/csi.example/HASH/globalmount", "FlushMultipath dm-10", "Verify", "Attest",
			},
		},
		{
			name: "34 shared session, one stale unit", aim: sameClean, state: Work,
			shape: func(s *shape) {
				s.session("1", target, portalA)
				s.volume(s.lun("sdb", "1", 1, "w1"), volumeShape{pv: "pv-a", moved: true, bare: true, identity: Identity{WWID: "w1"}})
				stays := s.lun("sdc", "1", 2, "w2")
				s.keep(stays)
				s.standing["1"] = true
				s.volume(stays, volumeShape{pv: "pv-b"})
			},
			steps: []string{"Offline sdb", "DeleteSCSI sdb", "Verify", "Attest"},
		},
		{
			name: "34 shared session, one stale unit in use", aim: sameClean, state: Reset,
			shape: func(s *shape) {
				s.session("1", target, portalA)
				s.volume(s.lun("sdb", "1", 1, "w1"), volumeShape{pv: "pv-a", moved: true})
				stays := s.lun("sdc", "1", 2, "w2")
				s.keep(stays)
				s.standing["1"] = true
				s.volume(stays, volumeShape{pv: "pv-b"})
			},
			why: "sdb is in use, and is cut off only until its session recovers, which serves others, too",
		},
		{
			name: "34 shared session, one stale unit in use after a reset", aim: Aim{Rejoin: RejoinClean}, state: Reset,
			shape: func(s *shape) {
				s.session("1", target, portalA)
				s.volume(s.lun("sdb", "1", 1, "w1"), volumeShape{pv: "pv-a", moved: true})
				stays := s.lun("sdc", "1", 2, "w2")
				s.keep(stays)
				s.standing["1"] = true
				s.volume(stays, volumeShape{pv: "pv-b"})
			},
			why: "sdb is in use, and is cut off only until its session recovers, which serves others, too",
		},
		{
			name: "34 shared session of one unit in use and one of which a part is another's", aim: sameClean, state: Reset,
			shape: func(s *shape) { // what refuses the second leaves the session serving others
				s.session("1", target, portalA)
				s.session("2", target+"2", portalB)
				s.volume(s.lun("sdb", "1", 1, "w1"), volumeShape{pv: "pv-a", moved: true})
				m := s.over(Multipath, "dm-10", "mpatha", s.lun("sdc", "1", 2, "w2"), s.lun("sdd", "2", 2, "w2"))
				s.volume(m, volumeShape{pv: "pv-b", moved: true})
				s.keep(s.lun("sde", "2", 3, "w3"))
				s.standing["2"] = true
			},
			why: "sdb is in use, and is cut off only until its session recovers, which serves others, too",
		},
		{
			name: "34 shared session, which is lost", aim: sameClean, state: Reset,
			shape: func(s *shape) {
				s.session("1", target, portalA)
				s.volume(s.lun("sdb", "1", 1, "w1"), volumeShape{pv: "pv-a", moved: true})
				s.dev("sdb").Lost = true
				stays := s.lun("sdc", "1", 2, "w2")
				s.keep(stays)
				s.standing["1"] = true
				s.volume(stays, volumeShape{pv: "pv-b"})
			},
			why: "sdb cannot be set offline while its session is lost, which serves others, too",
		},
		{
			name: "34 the session of a tape", aim: newBoot, state: Work,
			shape: func(s *shape) {
				s.session("1", target, portalA)
				s.inv.Sessions[0].Others = []string{"unit 3:0:0:4 (SCSI type 1)"}
				s.standing["1"] = true
				s.volume(s.lun("sdb", "1", 1, "w1"), volumeShape{pv: "pv-a", bare: true, identity: Identity{WWID: "w1"}, moved: true})
			},
			steps: []string{"Offline sdb", "DeleteSCSI sdb", "Verify", "Attest"},
		},
		{
			name: "34 shared session, requests in flight", aim: sameClean, state: Work,
			shape: func(s *shape) {
				s.session("1", target, portalA)
				s.volume(s.lun("sdb", "1", 1, "w1"), volumeShape{pv: "pv-a", moved: true, bare: true, identity: Identity{WWID: "w1"}})
				s.dev("sdb").InFlight = 2
				stays := s.lun("sdc", "1", 2, "w2")
				s.keep(stays)
				s.standing["1"] = true
				s.volume(stays, volumeShape{pv: "pv-b"})
			},
			steps: []string{"Offline sdb", "Wait sdb", "DeleteSCSI sdb", "Verify", "Attest"},
		},
		{
			name: "35 the LUN is another unit now", aim: sameClean, state: Reset,
			why: "PersistentVolume pv-a names LUN 1 of " + target + " as unit w1, but sdb is unit w9",
			shape: func(s *shape) {
				s.session("1", target, portalA)
				s.volume(s.lun("sdb", "1", 1, "w9"), volumeShape{pv: "pv-a", bare: true, identity: Identity{WWID: "w1", Target: target, LUN: 1}, moved: true})
				s.inv.Volumes = nil
			},
		},
		{
			name: "35 mounted, but another unit than its metadata names", aim: sameClean, state: Reset,
			why: "PersistentVolume pv-a names LUN 1 of " + target + " as unit w1, but sdb is unit w9",
			shape: func(s *shape) {
				s.session("1", target, portalA)
				s.volume(s.lun("sdb", "1", 1, "w9"), volumeShape{pv: "pv-a", identity: Identity{WWID: "w1", Target: target, LUN: 1}, moved: true})
				s.inv.Volumes = nil
			},
		},
		{
			name: "35 the LUN is another unit now, after a reset", aim: newBoot, state: Blocked,
			why: "/var/lib/kubelet/plugins/kubernetes.io/csi/csi.example/HASH/vol_data.json names LUN 1 of " + target + " as unit w1, and which unit sdb is could not be read",
			shape: func(s *shape) {
				s.session("1", target, portalA)
				s.volume(s.lun("sdb", "1", 1, ""), volumeShape{pv: "pv-a", bare: true, identity: Identity{WWID: "w1", Target: target, LUN: 1}, moved: true})
				s.inv.Volumes[0].File = kubelet + "/plugins/kubernetes.io/csi/csi.example/HASH/vol_data.json"
			},
		},
		{
			name: "35 the LUN is a rightful volume's now", aim: newBoot, state: Clean,
			shape: func(s *shape) {
				s.session("1", target, portalA)
				b := s.lun("sdb", "1", 1, "w9")
				s.keep(b)
				s.volume(b, volumeShape{pv: "pv-a", bare: true, identity: Identity{WWID: "w1", Target: target, LUN: 1}, moved: true})
				s.volume(b, volumeShape{pv: "pv-b", identity: Identity{WWID: "w9", Target: target, LUN: 1}})
			},
			steps: []string{
				"Attest",
			},
		},
		{
			name: "35 sdX renamed", aim: newBoot, state: Work,
			shape: func(s *shape) {
				s.session("1", target, portalA)
				s.volume(s.lun("sdq", "1", 7, "w1"), volumeShape{pv: "pv-a", bare: true, identity: Identity{WWID: "w1", Target: target, LUN: 1}, moved: true})
			},
			steps: []string{
				"Offline sdq", "SetManual " + target + " " + portalA, "Logout session 1", "Verify", "Attest",
			},
		},
		{
			name: "36 LUKS on multipath", aim: sameClean, state: Work,
			shape: func(s *shape) {
				s.volume(s.over(Crypt, "dm-11", "luks-a", multipath(s)), volumeShape{pv: "pv-a", moved: true})
				s.dev("dm-10").Queueing = true
			},
			steps: []string{
				"Offline sdb", "Offline sdc", "Note sdb", "Note dm-10", "Note dm-11",
				"SetManual " + target + " " + portalA, "SetManual " + target + " " + portalB,
				"Logout session 1", "Logout session 2", "FailQueue dm-10",
				"ShutDown pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount", "Freeze pod-pv-a", "Kill pod-pv-a",
				"Unmount pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount",
				"Unmount plugins/kubernetes.io/csi/csi.example/HASH/globalmount", "CloseCrypt dm-11",
				"FlushMultipath dm-10", "Verify", "Attest",
			},
		},
		{
			name: "37 pinned in another container's namespace", aim: sameClean, state: Work,
			shape: func(s *shape) {
				b := s.rbd(0, "a")
				s.volume(b, volumeShape{pv: "pv-a", moved: true})
				s.inv.Namespaces = append(s.inv.Namespaces, Namespace{ID: 50, PID: 4444, Pods: []string{"exporter"}})
				s.inv.Pods = append(s.inv.Pods, Pod{UID: "exporter", Cgroup: "x", Processes: 1})
				s.innocent["exporter"] = true
				s.mount(50, num(0, 99), "overlay", "/", "")
				s.mount(50, num(253, 0), "ext4", "/host", "")
				s.mount(50, b, "ext4", "/host"+kubelet+"/pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount", "")
				s.mount(50, b, "ext4", "/host"+kubelet+"/pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount/sub", "/sub")
			},
			steps: []string{
				"UnmapRBD rbd0", "ShutDown pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount", "Freeze pod-pv-a",
				"Kill pod-pv-a",
				"Unmount /host/var/lib/kubelet/pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount/sub in 50",
				"Unmount /host/var/lib/kubelet/pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount in 50",
				"Unmount pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount",
				"Unmount plugins/kubernetes.io/csi/csi.example/HASH/globalmount", "Verify", "Attest",
			},
		},
		{
			name: "37 pinned in a namespace that no process is in", aim: sameClean, state: Reset,
			why: "the host's: mounted at /data outside of the kubelet's volumes",
			shape: func(s *shape) {
				b := s.rbd(0, "a")
				s.volume(b, volumeShape{pv: "pv-a", moved: true})
				s.inv.Namespaces = append(s.inv.Namespaces, Namespace{ID: 50})
				s.mount(50, b, "ext4", "/data", "")
			},
		},
		{
			name: "38 OSD disks and local LVM", aim: newBoot, state: Clean,
			shape: func(*shape) {},
			steps: []string{
				"Attest",
			},
		},
		{
			name: "38 a local volume of LVM is not torn down", aim: sameClean, state: Reset,
			why: "the host's: sda is a disk of the host",
			shape: func(s *shape) {
				s.host(Device{Number: num(253, 9), Name: "dm-9", Kind: LogicalVolume, Map: "vg-topolvm", Slaves: []Number{{8, 2}}})
				s.volume(num(253, 9), volumeShape{pv: "pv-local", moved: true})
			},
		},
		{
			name: "40 the kubelet's metadata is there, its devices are gone", aim: newBoot, state: Clean,
			shape: func(s *shape) {
				s.volume(Number{}, volumeShape{pv: "pv-a", bare: true, moved: true})
			},
			steps: []string{
				"Attest",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := node()
			tt.shape(s)
			expect(t, s, tt.aim, tt.state, tt.why, tt.steps)
		})
	}
}

// expect plans, compares, and carries the plan out.
func expect(t *testing.T, s *shape, aim Aim, state State, why string, steps []string) {
	t.Helper()
	p := Make(s.inv, s.api, aim)
	if d := cmp.Diff(state, p.State); d != "" {
		t.Errorf("state (-want +got):\n%s%s %v", d, p.Why, p.Blockers)
	}
	got := ""
	if len(p.Blockers) > 0 {
		got = p.Blockers[0].Why
	}
	if d := cmp.Diff(why, got); d != "" {
		t.Errorf("first blocker (-want +got):\n%s", d)
	}
	if d := cmp.Diff(steps, lines(p.Steps)); d != "" {
		t.Errorf("steps (-want +got):\n%s", d)
	}
	if state == Work && why == "" {
		if last := carryOut(t, s, aim); last.State != Clean {
			t.Errorf("ends %v: %s %v", last.State, last.Why, last.Blockers)
		}
	}
}

// rootOnISCSI puts the root file system on a unit of session 1.
func rootOnISCSI(s *shape) {
	s.session("1", target, portalA)
	s.standing["1"] = true
	root := s.lun("sdr", "1", 0, "w-root")
	s.keep(root)
	s.mount(hostNS, root, "xfs", "/srv", "")
}

// A step that is stuck ends in a reset wherever something may still be written
// (29, 36), and with a person where nothing of this boot ever was.
func TestStuck(t *testing.T) {
	used := volumeShape{pv: "pv-a", moved: true}
	back := volumeShape{pv: "pv-a", moved: true, bare: true, identity: Identity{Image: Image{Pool: "rbd", Name: "a"}}}
	tests := []struct {
		name   string
		volume volumeShape
		aim    Aim
		want   State
	}{
		{"same boot", used, sameClean, Reset},
		{"same boot, not in use", back, sameClean, Reset},
		{"came back", back, newBoot, Blocked},
		{"came back, in use again", used, Aim{Rejoin: RejoinClean}, Reset},
	}
	for _, tt := range tests {
		s := node()
		s.volume(s.rbd(0, "a"), tt.volume)
		p := Make(s.inv, s.api, tt.aim)
		if p.State != Work || p.Stuck != tt.want {
			t.Errorf("%s: %v, stuck becomes %v, want %v", tt.name, p.State, p.Stuck, tt.want)
		}
	}
}

package teardown

import "testing"

// Hosts of other real shapes than the scenarios'.
func TestShapes(t *testing.T) {
	stale := func(pv string) volumeShape { return volumeShape{pv: pv, moved: true} }
	autologin := func(pv string, wwid string) volumeShape {
		return volumeShape{pv: pv, moved: true, bare: true, identity: Identity{WWID: wwid}}
	}
	newClean := Aim{Rejoin: RejoinClean}
	tests := []struct {
		name  string
		shape func(*shape)
		aim   Aim
		state State
		why   string // of the first blocker
		steps []string
	}{
		{
			name: "A14: the policy says Reset", aim: Aim{SameBoot: true, Rejoin: RejoinReset}, state: Reset,
			shape: func(s *shape) { s.volume(s.rbd(0, "a"), stale("pv-a")) },
		},
		{
			name: "A14: the policy says nothing", aim: Aim{SameBoot: true}, state: Reset,
			shape: func(*shape) {},
		},
		{
			name: "what is attached to this node stays", aim: sameClean, state: Clean,
			shape: func(s *shape) {
				s.volume(s.over(Crypt, "dm-11", "luks-a", multipath(s)), volumeShape{pv: "pv-a"})
				b := s.rbd(0, "b")
				s.volume(b, volumeShape{pv: "pv-b", block: true})
			},
			steps: []string{
				"Attest",
			},
		},
		{
			name: "what is attached stays, though its metadata is lost", aim: sameClean, state: Clean,
			shape: func(s *shape) {
				s.volume(s.rbd(0, "b"), volumeShape{pv: "pv-b"})
				s.inv.Volumes = nil
			},
			steps: []string{
				"Attest",
			},
		},
		{
			name: "its metadata is lost", aim: sameClean, state: Work,
			shape: func(s *shape) {
				s.session("1", target, portalA)
				s.volume(s.lun("sdb", "1", 1, "w1"), stale("pv-a"))
				s.inv.Volumes, s.api.Volumes = nil, nil
			},
			steps: []string{
				"Offline sdb", "Note sdb", "SetManual " + target + " " + portalA, "Logout session 1",
				"ShutDown pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount", "Freeze pod-pv-a", "Kill pod-pv-a",
				"Unmount pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount",
				"Unmount plugins/kubernetes.io/csi/csi.example/HASH/globalmount", "Verify", "Attest",
			},
		},
		{
			name: "multipath and a guest's LVM came back", aim: newBoot, state: Work,
			shape: func(s *shape) {
				m := multipath(s)
				part := s.over(Linear, "dm-11", "mpatha-part1", m)
				s.over(LogicalVolume, "dm-12", "guest-root", part)
				s.over(LogicalVolume, "dm-13", "guest-swap", part)
				s.volume(m, autologin("pv-a", "w1"))
				s.inv.Processes = append(s.inv.Processes, Process{PID: 600, Name: "multipathd", Opens: []Number{s.dev("sdb").Number, s.dev("sdc").Number, m}})
			},
			steps: []string{
				"Offline sdb", "Offline sdc", "Note dm-10", "Note dm-11", "Note dm-12", "Note dm-13",
				"SetManual " + target + " " + portalA, "SetManual " + target + " " + portalB, "Deactivate dm-12",
				"Deactivate dm-13", "RemoveMap dm-11", "FlushMultipath dm-10", "Logout session 1",
				"Logout session 2", "Verify", "Attest",
			},
		},
		{
			name: "an image came back through rbdmap", aim: newBoot, state: Work,
			shape: func(s *shape) {
				b := s.rbd(3, "a")
				s.device(Device{Name: "rbd3p1", Kind: Partition, Slaves: []Number{b}})
				s.volume(b, volumeShape{pv: "pv-a", moved: true, bare: true, identity: Identity{Image: Image{Pool: "rbd", Name: "a"}}})
				s.rbd(4, "other")
			},
			steps: []string{
				"UnmapRBD rbd3", "Verify", "Attest",
			},
		},
		{
			name: "another cluster has an image of that name", aim: newBoot, state: Clean,
			shape: func(s *shape) {
				s.volume(s.rbd(3, "a"), volumeShape{pv: "pv-a", moved: true, bare: true, identity: Identity{Image: Image{Cluster: "fsid-b", Pool: "rbd", Name: "a"}}})
			},
			steps: []string{
				"Attest",
			},
		},
		{
			name: "a unit that came back is in use again", aim: newBoot, state: Reset,
			shape: func(s *shape) { s.volume(s.rbd(0, "a"), stale("pv-a")) },
		},
		{
			name: "a unit that came back is in use again, the policy says Clean", aim: newClean, state: Work,
			shape: func(s *shape) { s.volume(s.rbd(0, "a"), stale("pv-a")) },
			steps: []string{
				"UnmapRBD rbd0", "ShutDown pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount", "Freeze pod-pv-a",
				"Kill pod-pv-a", "Unmount pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount",
				"Unmount plugins/kubernetes.io/csi/csi.example/HASH/globalmount", "Verify", "Attest",
			},
		},
		{
			name: "one pod with two volumes, one of which stays", aim: sameClean, state: Work,
			shape: func(s *shape) {
				s.volume(s.rbd(0, "a"), volumeShape{pv: "pv-a", pod: "p", moved: true})
				b := s.rbd(1, "b")
				s.keep(b)
				s.volume(b, volumeShape{pv: "pv-b", pod: "other"})
			},
			steps: []string{
				"UnmapRBD rbd0", "ShutDown pods/p/volumes/kubernetes.io~csi/pv-a/mount", "Freeze p", "Kill p",
				"Unmount pods/p/volumes/kubernetes.io~csi/pv-a/mount",
				"Unmount plugins/kubernetes.io/csi/csi.example/HASH/globalmount", "Verify", "Attest",
			},
		},
		{
			name: "subpaths", aim: sameClean, state: Work,
			shape: func(s *shape) {
				s.volume(s.rbd(0, "a"), stale("pv-a"))
				s.shown(s.dev("rbd0").Number, "ext4", kubelet+"/pods/pod-pv-a/volume-subpaths/pv-a/db/0", "/data")
			},
			steps: []string{
				"UnmapRBD rbd0", "ShutDown pods/pod-pv-a/volume-subpaths/pv-a/db/0", "Freeze pod-pv-a",
				"Kill pod-pv-a", "Unmount pods/pod-pv-a/volume-subpaths/pv-a/db/0",
				"Unmount pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount",
				"Unmount plugins/kubernetes.io/csi/csi.example/HASH/globalmount", "Verify", "Attest",
			},
		},
		{
			name: "only a subpath is left", aim: sameClean, state: Work,
			shape: func(s *shape) {
				s.shown(s.rbd(0, "a"), "ext4", kubelet+"/pods/pod-x/volume-subpaths/pv-a/db/0", "/data")
			},
			steps: []string{
				"UnmapRBD rbd0", "ShutDown pods/pod-x/volume-subpaths/pv-a/db/0",
				"Unmount pods/pod-x/volume-subpaths/pv-a/db/0", "Verify", "Attest",
			},
		},
		{
			name: "a volume without an attachment, its pod stays", aim: sameClean, state: Clean,
			shape: func(s *shape) {
				s.volume(s.rbd(0, "a"), volumeShape{pv: "pv-a"})
				s.api.Volumes[0].Gated, s.api.Volumes[0].Attached = false, false
			},
			steps: []string{
				"Attest",
			},
		},
		{
			name: "a volume without an attachment, its pod is gone", aim: sameClean, state: Work,
			shape: func(s *shape) {
				s.volume(s.rbd(0, "a"), stale("pv-a"))
				s.api.Volumes[0].Gated = false
			},
			steps: []string{
				"UnmapRBD rbd0", "ShutDown pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount", "Freeze pod-pv-a",
				"Kill pod-pv-a", "Unmount pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount",
				"Unmount plugins/kubernetes.io/csi/csi.example/HASH/globalmount", "Verify", "Attest",
			},
		},
		{
			name: "a pod's inline volume", aim: sameClean, state: Clean,
			shape: func(s *shape) {
				s.volume(s.rbd(0, "a"), volumeShape{pv: "inline"})
				s.api.Volumes = nil
			},
			steps: []string{
				"Attest",
			},
		},
		{
			name: "local, secret and tmpfs volumes are the host's", aim: sameClean, state: Clean,
			shape: func(s *shape) {
				s.session("1", target, portalA)
				b := s.lun("sdb", "1", 1, "w1")
				s.keep(b)
				s.shown(b, "ext4", kubelet+"/pods/p/volumes/kubernetes.io~local-volume/local-1", "")
				s.shown(num(0, 80), "tmpfs", kubelet+"/pods/p/volumes/kubernetes.io~csi/secrets/mount", "")
				s.shown(num(253, 0), "ext4", kubelet+"/pods/p/volume-subpaths/cfg/app/0", "/x")
			},
			steps: []string{"Attest"},
		},
		{
			name: "session of the firmware", aim: sameClean, state: Work,
			shape: func(s *shape) {
				s.session("1", target, portalA)
				s.inv.Sessions[0].Boot = true
				s.standing["1"] = true
				s.volume(s.lun("sdb", "1", 1, "w1"), autologin("pv-a", "w1"))
			},
			steps: []string{"Offline sdb", "DeleteSCSI sdb", "Verify", "Attest"},
		},
		{
			name: "session that a record makes the host's", aim: sameClean, state: Work,
			shape: func(s *shape) {
				s.session("1", target, portalA)
				s.inv.Records[0].Startup = "onboot"
				s.standing["1"] = true
				s.volume(s.lun("sdb", "1", 1, "w1"), autologin("pv-a", "w1"))
			},
			steps: []string{"Offline sdb", "DeleteSCSI sdb", "Verify", "Attest"},
		},
		{
			name: "a unit of the session that nobody knows", aim: sameClean, state: Work,
			shape: func(s *shape) {
				s.session("1", target, portalA)
				s.standing["1"] = true
				s.keep(s.lun("sdc", "1", 2, "w2"))
				s.volume(s.lun("sdb", "1", 1, "w1"), autologin("pv-a", "w1"))
			},
			steps: []string{"Offline sdb", "DeleteSCSI sdb", "Verify", "Attest"},
		},
		{
			name: "LVM over a unit that moved and one that stays", aim: sameClean, state: Reset,
			why: "pv-b shares its devices, and may stay",
			shape: func(s *shape) {
				s.session("1", target, portalA)
				a, b := s.lun("sdb", "1", 1, "w1"), s.lun("sdc", "1", 2, "w2")
				s.over(LogicalVolume, "dm-10", "vg-x", a, b)
				s.keep(b)
				s.volume(a, volumeShape{pv: "pv-a", bare: true, identity: Identity{WWID: "w1"}, moved: true})
				s.volume(b, volumeShape{pv: "pv-b", bare: true, identity: Identity{WWID: "w2"}})
			},
		},
		{
			name: "LVM over a unit that moved and one of nobody", aim: newBoot, state: Blocked,
			why: "part of it is sdc, which belongs to no volume",
			shape: func(s *shape) {
				s.session("1", target, portalA)
				a, b := s.lun("sdb", "1", 1, "w1"), s.lun("sdc", "1", 2, "w2")
				s.over(LogicalVolume, "dm-10", "vg-x", a, b)
				s.volume(a, autologin("pv-a", "w1"))
			},
		},
		{
			name: "fstab names it", aim: newBoot, state: Blocked,
			why: "the host's: sdb is named by the host: fstab /data",
			shape: func(s *shape) {
				s.session("1", target, portalA)
				s.volume(s.lun("sdb", "1", 1, "w1"), autologin("pv-a", "w1"))
				s.dev("sdb").Host = []string{"fstab /data"}
			},
		},
		{
			name: "another path to a unit that the host has mounted", aim: newBoot, state: Blocked,
			why: "the host's: mounted at /data outside of the kubelet's volumes",
			shape: func(s *shape) {
				s.session("1", target, portalA)
				s.session("2", target, portalB)
				path := s.lun("sdr", "1", 1, "w1")
				s.mount(hostNS, path, "xfs", "/data", "")
				s.volume(s.lun("sdb", "2", 1, "w1"), autologin("pv-a", "w1"))
				s.inv.Volumes[0].Identity, s.api.Volumes[0].Identity = Identity{Target: target, LUN: 1}, Identity{}
			},
		},
		{
			name: "a copy of its mount in a namespace that no process is in", aim: sameClean, state: Reset,
			why: "mounted at /var/lib/kubelet/pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount in namespace 50, into which no process leads",
			shape: func(s *shape) {
				s.volume(s.rbd(0, "a"), stale("pv-a"))
				s.inv.Namespaces = append(s.inv.Namespaces, Namespace{ID: 50})
				s.mount(50, s.dev("rbd0").Number, "ext4", kubelet+"/pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount", "")
			},
		},
		{
			name: "a virtual machine of the host has it open", aim: sameClean, state: Reset,
			why: "the host's: open by qemu-system-x86 (77), which belongs to no pod",
			shape: func(s *shape) {
				s.volume(s.rbd(0, "a"), stale("pv-a"))
				s.inv.Processes = append(s.inv.Processes, Process{PID: 77, Name: "qemu-system-x86", Opens: []Number{s.dev("rbd0").Number}})
			},
		},
		{
			name: "mounted by hand", aim: sameClean, state: Reset,
			why: "the host's: mounted at /mnt outside of the kubelet's volumes",
			shape: func(s *shape) {
				s.volume(s.rbd(0, "a"), stale("pv-a"))
				s.mount(hostNS, s.dev("rbd0").Number, "ext4", "/mnt", "")
			},
		},
		{
			name: "a pod of unknown cgroup has it open", aim: sameClean, state: Reset,
			why: "open by db (78) of pod lost, whose cgroup is not known",
			shape: func(s *shape) {
				s.volume(s.rbd(0, "a"), stale("pv-a"))
				s.inv.Processes = append(s.inv.Processes, Process{PID: 78, Name: "db", Pod: "lost", Opens: []Number{s.dev("rbd0").Number}})
			},
		},
		{
			name: "a child of the agent has it open", aim: sameClean, state: Work,
			shape: func(s *shape) {
				s.volume(s.rbd(0, "a"), volumeShape{pv: "pv-a", block: true, moved: true})
				s.inv.Pods = append(s.inv.Pods, Pod{UID: "agent", Cgroup: "x", Processes: 9})
				s.innocent["agent"] = true
				s.inv.Processes = append(s.inv.Processes, Process{PID: 79, Name: "picket-agent", Pod: "agent", Agent: true, Opens: []Number{s.dev("rbd0").Number}})
			},
			steps: []string{
				"UnmapRBD rbd0", "Freeze pod-pv-a", "Kill pod-pv-a", "DetachLoop loop101",
				"Unmount plugins/kubernetes.io/csi/volumeDevices/publish/pv-a/pod-pv-a",
				"Unmount pods/pod-pv-a/volumeDevices/kubernetes.io~csi/pv-a",
				"Verify", "Attest",
			},
		},
		{
			name: "deleted mount point", aim: sameClean, state: Reset,
			why: "mounted at /var/lib/kubelet/pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount, which is deleted: no path leads there",
			shape: func(s *shape) {
				s.volume(s.rbd(0, "a"), stale("pv-a"))
				for i, m := range s.inv.Mounts {
					if m.Namespace == hostNS && m.Device == s.dev("rbd0").Number && m.Point != "/" {
						s.inv.Mounts[i].Deleted = s.inv.Mounts[i].Point == kubelet+"/pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount"
					}
				}
			},
		},
		{
			name: "deleted mount point in a container that goes", aim: sameClean, state: Work,
			shape: func(s *shape) {
				s.volume(s.rbd(0, "a"), stale("pv-a"))
				s.inv.Mounts[len(s.inv.Mounts)-1].Deleted = true
			},
			steps: []string{
				"UnmapRBD rbd0", "ShutDown pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount", "Freeze pod-pv-a",
				"Kill pod-pv-a", "Unmount pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount",
				"Unmount plugins/kubernetes.io/csi/csi.example/HASH/globalmount", "Verify", "Attest",
			},
		},
		{
			name: "something else is mounted on it", aim: sameClean, state: Reset,
			why: "tmpfs is mounted at /var/lib/kubelet/pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount/cache, on top of its mount at /var/lib/kubelet/pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount",
			shape: func(s *shape) {
				s.volume(s.rbd(0, "a"), stale("pv-a"))
				s.mount(hostNS, num(0, 88), "tmpfs", kubelet+"/pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount/cache", "")
			},
		},
		{
			name: "mounted twice at one point", aim: sameClean, state: Work,
			shape: func(s *shape) {
				s.volume(s.rbd(0, "a"), stale("pv-a"))
				point := kubelet + "/pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount"
				for _, m := range s.inv.Mounts {
					if m.Namespace == hostNS && m.Point == point {
						id := s.mount(hostNS, m.Device, "ext4", point, "")
						s.at(id).Parent = m.ID
						break
					}
				}
			},
			steps: []string{
				"UnmapRBD rbd0", "ShutDown pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount", "Freeze pod-pv-a",
				"Kill pod-pv-a", "Unmount pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount",
				"Unmount pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount",
				"Unmount plugins/kubernetes.io/csi/csi.example/HASH/globalmount", "Verify", "Attest",
			},
		},
		{
			name: "NFS of a pod that is gone", aim: sameClean, state: Reset,
			why: "nfs4 at /var/lib/kubelet/pods/p/volumes/kubernetes.io~nfs/pv-n shows no device that could be cut off",
			shape: func(s *shape) {
				s.shown(num(0, 81), "nfs4", kubelet+"/pods/p/volumes/kubernetes.io~nfs/pv-n", "")
			},
		},
		{
			name: "NFS of a pod that stays", aim: sameClean, state: Clean,
			shape: func(s *shape) {
				s.shown(num(0, 81), "nfs4", kubelet+"/pods/p/volumes/kubernetes.io~nfs/pv-n", "")
				s.api.Pods = append(s.api.Pods, "p")
			},
			steps: []string{
				"Attest",
			},
		},
		{
			name: "btrfs hides its device", aim: sameClean, state: Reset,
			why: "btrfs at /var/lib/kubelet/pods/p/volumes/kubernetes.io~csi/pv-a/mount shows no device that could be cut off",
			shape: func(s *shape) {
				s.rbd(0, "a")
				s.shown(num(0, 82), "btrfs", kubelet+"/pods/p/volumes/kubernetes.io~csi/pv-a/mount", "")
				for i := range s.inv.Mounts {
					if s.inv.Mounts[i].FS == "btrfs" {
						s.inv.Mounts[i].Source = "/dev/rbd0"
					}
				}
			},
		},
		{
			name: "root on btrfs on iSCSI is the host's", aim: newBoot, state: Blocked,
			why: "the host's: mounted at /data outside of the kubelet's volumes",
			shape: func(s *shape) {
				s.session("1", target, portalA)
				s.volume(s.lun("sdb", "1", 1, "w1"), autologin("pv-a", "w1"))
				s.at(s.mount(hostNS, num(0, 83), "btrfs", "/data", "")).Source = "/dev/sdb"
			},
		},
		{
			name: "a volume on DRBD", aim: sameClean, state: Reset,
			why: "the host's: drbd1000 is replicated by DRBD",
			shape: func(s *shape) {
				s.host(Device{Number: num(147, 1000), Name: "drbd1000", Kind: DRBD})
				s.volume(num(147, 1000), stale("pv-a"))
			},
		},
		{
			name: "rbd-nbd in use", aim: sameClean, state: Reset,
			why: "nbd0 is in use, and there is no measured way to cut it off",
			shape: func(s *shape) {
				s.volume(s.device(Device{Name: "nbd0", Kind: NBD, Image: Image{Pool: "rbd", Name: "a"}}), stale("pv-a"))
				s.inv.Processes = append(s.inv.Processes, Process{PID: 5, Name: "rbd-nbd", Opens: []Number{s.dev("nbd0").Number}})
			},
		},
		{
			name: "rbd-nbd and NVMe, not in use", aim: newBoot, state: Work,
			shape: func(s *shape) {
				s.volume(s.device(Device{Name: "nbd0", Kind: NBD, Image: Image{Pool: "rbd", Name: "a"}}), volumeShape{pv: "pv-a", bare: true, moved: true, identity: Identity{Image: Image{Pool: "rbd", Name: "a"}}})
				s.volume(s.device(Device{Name: "nvme1n1", Kind: NVMeFabric, NQN: "nqn.a", WWID: "u1"}), autologin("pv-b", "u1"))
				s.volume(s.device(Device{Name: "nvme1n2", Kind: NVMeFabric, NQN: "nqn.a", WWID: "u2"}), autologin("pv-c", "u2"))
			},
			steps: []string{
				"UnmapNBD nbd0", "Disconnect nvme1n1", "Verify", "Attest",
			},
		},
		{
			name: "an NVMe subsystem that serves others, too", aim: newBoot, state: Blocked,
			why: "no step is known that removes what is left of it",
			shape: func(s *shape) {
				s.volume(s.device(Device{Name: "nvme1n1", Kind: NVMeFabric, NQN: "nqn.a", WWID: "u1"}), autologin("pv-b", "u1"))
				s.device(Device{Name: "nvme1n2", Kind: NVMeFabric, NQN: "nqn.a", WWID: "u2"})
			},
		},
		{
			name: "in use by a pod, of no known volume", aim: newBoot, state: Blocked,
			why: "in use by pods, but nothing tells of which volume it is",
			shape: func(s *shape) {
				s.session("1", target, portalA)
				s.inv.Processes = append(s.inv.Processes, Process{PID: 5, Name: "db", Pod: "p", Opens: []Number{s.lun("sdb", "1", 1, "w1")}})
			},
		},
		{
			name: "nothing tells it from others", aim: sameClean, state: Reset,
			why: "nothing tells dm-10 from others once it is unmounted: it has no WWID",
			shape: func(s *shape) {
				c := s.over(Crypt, "dm-10", "luks", s.rbd(0, "a"))
				s.dev("dm-10").WWID = ""
				s.volume(c, stale("pv-a"))
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

// What could not be read is neither Clean nor a reason to touch anything.
func TestUnknown(t *testing.T) {
	tests := []struct {
		name  string
		shape func(*shape)
		aim   Aim
		state State
		why   string
		steps []string
	}{
		{
			name: "mounts of a namespace, same boot", aim: sameClean, state: Reset, why: "mounts of process 9 could not be read: permission denied",
			shape: func(s *shape) {
				s.inv.Unknown = []Unknown{{What: "mounts of process 9", Why: "permission denied"}}
			},
		},
		{
			name: "mounts of a namespace, after a reset", aim: newBoot, state: Blocked, why: "mounts of process 9 could not be read: permission denied",
			shape: func(s *shape) {
				s.inv.Unknown = []Unknown{{What: "mounts of process 9", Why: "permission denied"}}
				s.volume(s.rbd(0, "a"), volumeShape{pv: "pv-a", bare: true, moved: true, identity: Identity{Image: Image{Pool: "rbd", Name: "a"}}})
			},
		},
		{
			name: "the API, same boot", aim: sameClean, state: Reset, why: "what is attached to this node could not be read",
			shape: func(s *shape) { s.api = Attachments{} },
		},
		{
			name: "the API, after a reset", aim: newBoot, state: Blocked, why: "what is attached to this node could not be read",
			shape: func(s *shape) { s.api = Attachments{} },
		},
		{
			name: "clients of Ceph, same boot", aim: sameClean, state: Reset, why: "whether the kernel still writes to a Ceph cluster could not be read",
			shape: func(s *shape) { s.inv.ClientsKnown = false },
		},
		{
			name: "clients of Ceph, after a reset", aim: newBoot, state: Clean, steps: []string{"Attest"},
			shape: func(s *shape) { s.inv.ClientsKnown = false },
		},
		{
			name: "a disk of the host", aim: sameClean, state: Clean, steps: []string{"Attest"},
			shape: func(s *shape) {
				s.inv.Unknown = []Unknown{{Device: num(8, 0), What: "wwid of sda", Why: "timeout"}}
			},
		},
		{
			name: "a device of which nothing could be read", aim: newBoot, state: Blocked, why: "sdx could not be read: timeout",
			shape: func(s *shape) {
				s.inv.Unknown = []Unknown{{Device: num(65, 200), What: "sdx", Why: "timeout"}}
			},
		},
		{
			name: "beside one that can be torn down", aim: newBoot, state: Work, why: "sdx could not be read: timeout", steps: []string{"UnmapRBD rbd0"},
			shape: func(s *shape) {
				s.inv.Unknown = []Unknown{{Device: num(65, 200), What: "sdx", Why: "timeout"}}
				s.volume(s.rbd(0, "a"), volumeShape{pv: "pv-a", bare: true, moved: true, identity: Identity{Image: Image{Pool: "rbd", Name: "a"}}})
			},
		},
		{
			name: "a stale device", aim: sameClean, state: Reset, why: "holders of rbd0 could not be read: timeout",
			shape: func(s *shape) {
				s.volume(s.rbd(0, "a"), volumeShape{pv: "pv-a", moved: true})
				s.inv.Unknown = []Unknown{{Device: s.dev("rbd0").Number, What: "holders of rbd0", Why: "timeout"}}
			},
		},
		{
			name: "a rightful device", aim: sameClean, state: Clean, steps: []string{"Attest"},
			shape: func(s *shape) {
				s.volume(s.rbd(0, "a"), volumeShape{pv: "pv-a"})
				s.inv.Unknown = []Unknown{{Device: s.dev("rbd0").Number, What: "holders of rbd0", Why: "timeout"}}
			},
		},
		{
			name: "two things under one name", aim: newBoot, state: Blocked, why: "inventory could not be read: it names one thing twice: the host changed while it was read",
			shape: func(s *shape) { s.inv.Devices = append(s.inv.Devices, s.inv.Devices[0]) },
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

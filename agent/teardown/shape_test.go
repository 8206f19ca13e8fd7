package teardown

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

const (
	kubelet = "/var/lib/kubelet"
	global  = kubelet + "/plugins/kubernetes.io/csi/"
	pluginP = "csi-plugin" // UID of the CSI driver's pod, which sees all mounts
	hostNS  = 1
	udevNS  = 2 // of a systemd service
	csiNS   = 3
)

// A shape is a host that is put together piece by piece, with what must never
// be touched on it.
type shape struct {
	inv Inventory
	api Attachments

	protected map[Number]bool // devices that no step may name
	standing  map[string]bool // sessions that must stay
	wanted    map[string]bool // targets to which must be logged in again
	innocent  map[string]bool // pods that must live
	echoes    map[int][]int   // mounts that go when another is unmounted
	forgets   bool            // maps do not name devices below them that are gone
	minor     uint32
	ns        uint64
}

func num(major, minor uint32) Number { return Number{major, minor} }

// node returns a host with a disk, LVM, a DRBD device, md, an OSD's disk, swap,
// a service with a mount namespace of its own, and a CSI driver's pod.
func node() *shape {
	s := &shape{
		protected: map[Number]bool{}, standing: map[string]bool{}, wanted: map[string]bool{}, innocent: map[string]bool{pluginP: true},
		echoes: map[int][]int{}, ns: 100,
	}
	s.inv.Roots = []string{kubelet}
	s.inv.ClientsKnown = true
	s.api.Known = true
	s.api.Pods = []string{pluginP}
	s.inv.Namespaces = []Namespace{
		{ID: hostNS, PID: 1, Host: true, Others: true},
		{ID: udevNS, PID: 300, Others: true},
		{ID: csiNS, PID: 900, Pods: []string{pluginP}},
	}
	s.inv.Pods = []Pod{{UID: pluginP, Cgroup: "kubepods.slice/" + pluginP, Processes: 3}}
	s.host(
		Device{Number: num(8, 0), Name: "sda", Kind: Disk, WWID: "local-1"},
		Device{Number: num(8, 1), Name: "sda1", Kind: Partition, Slaves: []Number{{8, 0}}},
		Device{Number: num(8, 2), Name: "sda2", Kind: Partition, Slaves: []Number{{8, 0}}},
		Device{Number: num(253, 0), Name: "dm-0", Kind: LogicalVolume, Map: "vg-root", Slaves: []Number{{8, 2}}},
		Device{Number: num(253, 1), Name: "dm-1", Kind: LogicalVolume, Map: "vg-swap", Slaves: []Number{{8, 2}}, Host: []string{"swap"}},
		Device{Number: num(253, 2), Name: "dm-2", Kind: LogicalVolume, Map: "vg-local", Slaves: []Number{{8, 2}}},
		Device{Number: num(259, 0), Name: "nvme0n1", Kind: Disk, WWID: "local-2"},
		Device{Number: num(253, 3), Name: "dm-3", Kind: LogicalVolume, Map: "ceph--osd-block", Slaves: []Number{{259, 0}}, Host: []string{"ceph OSD"}},
		Device{Number: num(147, 0), Name: "drbd0", Kind: DRBD, Slaves: []Number{{253, 2}}},
		Device{Number: num(9, 0), Name: "md0", Kind: MD, Slaves: []Number{{8, 16}}},
		Device{Number: num(8, 16), Name: "sdzz", Kind: Disk},
	)
	root := s.mount(hostNS, num(253, 0), "ext4", "/", "")
	s.mount(hostNS, num(8, 1), "ext4", "/boot", "")
	s.mount(hostNS, num(0, 6), "devtmpfs", "/dev", "")
	s.mount(hostNS, num(0, 21), "proc", "/proc", "")
	s.inv.Mounts[0].Shared = 1
	udev := s.mount(udevNS, num(253, 0), "ext4", "/", "")
	s.at(udev).Master = 1
	s.mount(csiNS, num(0, 50), "overlay", "/", "")
	csi := s.mount(csiNS, num(253, 0), "ext4", kubelet, kubelet)
	s.at(csi).Shared = 1
	_ = root
	s.inv.Processes = []Process{{PID: 812, Name: "ceph-osd", Opens: []Number{{253, 3}}}}
	return s
}

// host adds devices that no step may touch.
func (s *shape) host(devices ...Device) {
	for _, d := range devices {
		s.protected[d.Number] = true
		s.inv.Devices = append(s.inv.Devices, d)
	}
}

func (s *shape) device(d Device) Number {
	if d.Number == (Number{}) {
		s.minor++
		d.Number = num(map[Kind]uint32{ISCSI: 65, RBD: 252, NBD: 43, NVMeFabric: 259, Loop: 7}[d.Kind], 100+s.minor)
		if isMap(d.Kind) {
			d.Number.Major = 253
		}
		if d.Number.Major == 0 {
			d.Number.Major = 240
		}
	}
	s.inv.Devices = append(s.inv.Devices, d)
	return d.Number
}

// at returns the mount with that ID, to be changed.
func (s *shape) at(id int) *Mount {
	i := slices.IndexFunc(s.inv.Mounts, func(m Mount) bool { return m.ID == id })
	return &s.inv.Mounts[i]
}

// dev returns the device with that name, to be changed.
func (s *shape) dev(name string) *Device {
	i := slices.IndexFunc(s.inv.Devices, func(d Device) bool { return d.Name == name })
	return &s.inv.Devices[i]
}

// mount adds a mount; its parent is the one at the nearest point above it.
func (s *shape) mount(ns uint64, d Number, fs, point, root string) int {
	m := Mount{Namespace: ns, ID: 20 + len(s.inv.Mounts), Device: d, Root: "/", Point: point, FS: fs}
	if root != "" {
		m.Root = root
	}
	if fs == "devtmpfs" && point != "/dev" {
		m.Node, m.Device = d, num(0, 6)
	}
	nearest := ""
	for _, o := range s.inv.Mounts {
		if o.Namespace == ns && len(o.Point) >= len(nearest) && o.Point != point &&
			(o.Point == "/" || strings.HasPrefix(point, o.Point+"/")) {
			nearest, m.Parent = o.Point, o.ID
		}
	}
	s.inv.Mounts = append(s.inv.Mounts, m)
	return m.ID
}

// shown mounts in the host's namespace below the kubelet's root, which the
// service and the CSI driver's pod see, too.
func (s *shape) shown(d Number, fs, point, root string) {
	ids := []int{s.mount(hostNS, d, fs, point, root), s.mount(udevNS, d, fs, point, root), s.mount(csiNS, d, fs, point, root)}
	s.echoes[ids[0]] = ids[1:]
	s.echoes[ids[2]] = ids[:2]
}

// session adds an iSCSI session with its node record.
func (s *shape) session(id, target, portal string) {
	s.inv.Sessions = append(s.inv.Sessions, Session{ID: id, Target: target, Portal: portal})
	s.inv.Records = append(s.inv.Records, Record{Target: target, Portal: portal, Interface: "default", Startup: "automatic"})
}

// lun adds a unit of a session.
func (s *shape) lun(name, session string, lun uint64, wwid string) Number {
	return s.device(Device{Name: name, Kind: ISCSI, Session: session, LUN: lun, WWID: wwid})
}

var cephA = Client{Cluster: "fsid-a", ID: 4123}

// rbd adds a mapped image.
func (s *shape) rbd(id int, image string) Number {
	if !slices.Contains(s.inv.Clients, cephA) {
		s.inv.Clients = append(s.inv.Clients, cephA)
	}
	return s.device(Device{
		Name: fmt.Sprintf("rbd%d", id), Kind: RBD, ID: id, Client: cephA,
		Image: Image{Cluster: "fsid-a", Pool: "rbd", Name: image},
	})
}

// over adds a map over other devices.
func (s *shape) over(kind Kind, name, dm string, slaves ...Number) Number {
	return s.device(Device{Name: name, Kind: kind, Map: dm, WWID: "uuid-" + dm, Slaves: slaves})
}

// A volumeShape is how a volume is mounted.
type volumeShape struct {
	pv, driver string
	identity   Identity
	moved      bool
	bare       bool // nothing of it is mounted: it came back by itself
	block      bool // raw block
	inTree     bool
	fs         string
	pod        string
}

// volume mounts a CSI volume as the kubelet does: global mount, the pod's, and a
// container's in a namespace of its own.
func (s *shape) volume(d Number, v volumeShape) {
	if v.driver == "" && !v.inTree {
		v.driver = "csi.example"
	}
	if v.fs == "" {
		v.fs = "ext4"
	}
	if v.pod == "" {
		v.pod = "pod-" + v.pv
	}
	handle := "handle-" + v.pv
	if v.inTree {
		handle = ""
	}
	s.api.Volumes = append(s.api.Volumes, Attachment{
		PV: v.pv, Claim: "shop/" + v.pv, Driver: v.driver, Handle: handle, Gated: true, Attached: !v.moved, Identity: v.identity,
	})
	hash := strings.TrimPrefix(keyHandle(v.driver, handle), "csi "+v.driver+" ")
	dir := path.Join(global, v.driver, hash)
	podDir := kubelet + "/pods/" + v.pod
	if !v.inTree {
		s.inv.Volumes = append(s.inv.Volumes,
			Volume{File: dir + "/vol_data.json", Dir: dir, Driver: v.driver, Handle: handle, Identity: v.identity},
			Volume{File: podDir + "/volumes/kubernetes.io~csi/" + v.pv + "/vol_data.json", Dir: podDir + "/volumes/kubernetes.io~csi/" + v.pv, Driver: v.driver, Handle: handle, PV: v.pv},
		)
	}
	if v.bare {
		return
	}
	if !v.moved {
		s.api.Pods = append(s.api.Pods, v.pod)
		s.innocent[v.pod] = true
	}
	s.ns++
	ns := s.ns
	s.inv.Namespaces = append(s.inv.Namespaces, Namespace{ID: ns, PID: 5000 + int(ns), Pods: []string{v.pod}})
	s.inv.Pods = append(s.inv.Pods, Pod{UID: v.pod, Cgroup: "kubepods.slice/" + v.pod, Processes: 2})
	s.mount(ns, num(0, 60+uint32(ns)), "overlay", "/", "")
	switch {
	case v.block:
		node := "/" + s.nameOf(d)
		staging := global + "volumeDevices/publish/" + v.pv + "/" + v.pod
		s.shown(d, "devtmpfs", staging, node)
		s.shown(d, "devtmpfs", podDir+"/volumeDevices/kubernetes.io~csi/"+v.pv, node)
		loop := s.device(Device{Name: fmt.Sprintf("loop%d", ns), Kind: Loop, Slaves: []Number{d}, Backing: staging})
		if !v.moved {
			s.protected[loop] = true
		}
		s.inv.Processes = append(s.inv.Processes, Process{PID: 7000 + int(ns), Name: "db", Pod: v.pod, Opens: []Number{d}})
	case v.inTree:
		s.shown(d, v.fs, kubelet+"/plugins/kubernetes.io/iscsi/iface-default/"+v.identity.Target+"-lun", "")
		s.shown(d, v.fs, podDir+"/volumes/kubernetes.io~iscsi/"+v.pv, "")
		s.mount(ns, d, v.fs, "/data", "")
	default:
		s.shown(d, v.fs, dir+"/globalmount", "")
		s.shown(d, v.fs, podDir+"/volumes/kubernetes.io~csi/"+v.pv+"/mount", "")
		s.mount(ns, d, v.fs, "/data", "")
	}
}

func (s *shape) nameOf(n Number) string {
	for _, d := range s.inv.Devices {
		if d.Number == n {
			return d.Name
		}
	}
	return ""
}

// keep marks as untouchable what a volume that stays lies on.
func (s *shape) keep(numbers ...Number) {
	for _, n := range numbers {
		s.protected[n] = true
	}
}

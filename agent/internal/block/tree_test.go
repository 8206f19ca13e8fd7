package block

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/picket-dev/picket/agent/internal/block/child"
	"github.com/picket-dev/picket/agent/teardown"
)

// TestMain lets this test's binary be the child, too. What needs a kernel that
// knows the devices of a tree is read from the tree instead.
func TestMain(m *testing.M) {
	if len(os.Args) != 3 || os.Args[1] != child.Name {
		os.Exit(m.Run())
	}
	stand := map[string]child.Work{
		workMaps: work(func(r mapsRequest) (all []table, err error) { return all, readJSON(r.Control, &all) }),
		workLoops: work(func(r loopsRequest) (map[string]loopAnswer, error) {
			all := make(map[string]loopAnswer)
			for _, name := range r.Names {
				var a loopAnswer
				if err := readJSON(filepath.Join(r.Dev, name), &a); err != nil {
					return nil, err
				}
				all[name] = a
			}
			return all, nil
		}),
		workMounts: work(func(r spaceRequest) (string, error) {
			text, err := os.ReadFile(r.Path + ".mountinfo")
			return string(text), err
		}),
	}
	if err := child.Main(os.Args[2], os.Stdin, os.Stdout, stand, Probes()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func readJSON(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// A tree is a host's directories: files by path, links where the content begins
// with an arrow, and directories where the path ends with a slash.
type tree map[string]string

const arrow = "-> "

func link(target string) string { return arrow + target }

// write writes the tree, and returns the Host that reads it.
func (tr tree) write(t testing.TB) Host {
	t.Helper()
	root := t.TempDir()
	for name, text := range tr {
		at := filepath.Join(root, name)
		err := os.MkdirAll(filepath.Dir(at), 0o755)
		target, linked := strings.CutPrefix(text, arrow)
		switch {
		case err != nil:
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(at, 0o755)
		case text == "PIPE":
			err = syscall.Mkfifo(at, 0o644)
		case linked:
			err = os.Symlink(target, at)
		default:
			err = os.WriteFile(at, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	h := HostBelow(root)
	h.Root = root
	h.Bound = 30 * time.Second // a busy machine starts a child slowly
	h.Still = time.Millisecond
	return h
}

// read takes an inventory of the tree, with paths as on the host.
func (tr tree) read(t testing.TB) teardown.Inventory {
	t.Helper()
	h := tr.write(t)
	if err := h.Validate(); err != nil {
		t.Fatal(err)
	}
	inv := NewReader(h, child.New(child.Default())).Read(t.Context())
	for i := range inv.Unknown {
		inv.Unknown[i].What = strings.ReplaceAll(inv.Unknown[i].What, h.Root, "")
		inv.Unknown[i].Why = strings.ReplaceAll(inv.Unknown[i].Why, h.Root, "")
	}
	return inv
}

// hostSpace is the host's mount namespace in all trees.
const hostSpace = 4026531841

// newTree returns a node without volumes, whose root is on vda1.
func newTree(mounts ...string) tree {
	tr := tree{
		"sys/class/block/":       "",
		"sys/fs/cgroup/":         "",
		"proc/swaps":             "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n",
		"proc/cmdline":           "BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro quiet\n",
		"var/lib/kubelet/pods/":  "",
		"etc/fstab":              "# <device> <point>\n/dev/vda1 / ext4 defaults 0 1\ntmpfs /tmp tmpfs nosuid 0 0\n",
		"run/udev/data/b254:1":   "S:disk/by-uuid/0b5e\nE:ID_FS_UUID=0b5e\nE:ID_FS_TYPE=ext4\n",
		"dev/disk/by-uuid/0b5e":  link("../../vda1"),
		"dev/vda1":               "",
		"sys/module/ext4/":       "",
		"proc/sys/kernel/":       "",
		"proc/self":              link("1"),
		"sys/fs/cgroup/cgroup.x": "",
	}
	tr.process(1, "systemd", hostSpace, strings.Join(append([]string{
		"22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw",
		"25 22 0:6 / /dev rw,nosuid shared:2 - devtmpfs udev rw,size=8123456k,mode=755",
	}, mounts...), "\n")+"\n")
	tr.block("vda", "254:0", "pci0000:00/virtio0")
	tr.partition("vda1", "254:1", "pci0000:00/virtio0/block/vda")
	return tr
}

// with adds files.
func (tr tree) with(files map[string]string) { maps.Copy(tr, files) }

// process adds a process that sees all of its namespace.
func (tr tree) process(pid int, name string, space uint64, mounts string) {
	tr[fmt.Sprintf("proc/%d/ns/mnt", pid)] = link(fmt.Sprintf("mnt:[%d]", space))
	tr[fmt.Sprintf("proc/%d/fd/", pid)] = ""
	tr.thread(pid, pid, name, 'S', space, mounts)
}

func (tr tree) thread(pid, tid int, name string, state byte, space uint64, mounts string) {
	dir := fmt.Sprintf("proc/%d/task/%d/", pid, tid)
	tr[dir+"stat"] = fmt.Sprintf("%d (%s) %c 1 1 1 0 -1 4194560 0\n", tid, name, state)
	tr[dir+"status"] = fmt.Sprintf("Name:\t%s\nState:\t%c\nvoluntary_ctxt_switches:\t7\n", name, state)
	tr[dir+"ns/mnt"] = link(fmt.Sprintf("mnt:[%d]", space))
	tr[dir+"root"] = link("/")
	tr[dir+"mountinfo"] = mounts
}

// block adds a disk below a directory of /sys/devices.
func (tr tree) block(name, number, dir string) {
	tr.device(name, number, dir+"/block/"+name)
}

func (tr tree) partition(name, number, disk string) {
	tr.device(name, number, disk+"/"+name)
	tr["sys/devices/"+disk+"/"+name+"/partition"] = "1\n"
}

func (tr tree) device(name, number, dir string) {
	tr["sys/class/block/"+name] = link("../../devices/" + dir)
	dir = "sys/devices/" + dir
	tr[dir+"/dev"] = number + "\n"
	tr[dir+"/size"] = "2097152\n"
	tr[dir+"/inflight"] = "       0        0\n"
	tr[dir+"/slaves/"] = ""
}

// dm adds a device-mapper device on others.
func (tr tree) dm(minor int, name, uuid string, slaves ...string) {
	dm := fmt.Sprintf("dm-%d", minor)
	tr.block(dm, fmt.Sprintf("253:%d", minor), "virtual")
	dir := "sys/devices/virtual/block/" + dm
	tr[dir+"/dm/name"], tr[dir+"/dm/uuid"] = name+"\n", uuid+"\n"
	for _, s := range slaves {
		tr[dir+"/slaves/"+s] = link("../../../nowhere/" + s)
	}
}

// tables says what device-mapper answers.
func (tr tree) tables(all ...table) {
	text, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	tr["dev/mapper/control"] = string(text)
}

// scsi adds a disk of an iSCSI session.
func (tr tree) scsi(name, number string, session, lun int, wwid, state string) {
	at := fmt.Sprintf("platform/host%d/session%d/target%d:0:0/%d:0:0:%d", session+2, session, session+2, session+2, lun)
	tr.block(name, number, at)
	dir := "sys/devices/" + at
	tr[dir+"/block/"+name+"/device"] = link("../../../" + filepath.Base(at))
	tr[dir+"/wwid"], tr[dir+"/state"], tr[dir+"/type"] = wwid+"\n", state+"\n", "0\n"
}

// session adds an iSCSI session.
func (tr tree) session(id int, target, address, port string) {
	at := fmt.Sprintf("platform/host%d/session%d/iscsi_session/session%d", id+2, id, id)
	tr[fmt.Sprintf("sys/class/iscsi_session/session%d", id)] = link("../../devices/" + at)
	tr["sys/devices/"+at+"/targetname"] = target + "\n"
	tr["sys/devices/"+at+"/device"] = link("../../../session" + fmt.Sprint(id))
	at = fmt.Sprintf("platform/host%d/session%d/connection%d:0/iscsi_connection/connection%d:0", id+2, id, id, id)
	tr[fmt.Sprintf("sys/class/iscsi_connection/connection%d:0", id)] = link("../../devices/" + at)
	tr["sys/devices/"+at+"/persistent_address"], tr["sys/devices/"+at+"/persistent_port"] = address+"\n", port+"\n"
}

// rbd adds an image that krbd has mapped.
func (tr tree) rbd(id int, pool, image string) {
	tr.block(fmt.Sprintf("rbd%d", id), fmt.Sprintf("252:%d", id*16), "virtual")
	dir := fmt.Sprintf("sys/bus/rbd/devices/%d/", id)
	for name, text := range map[string]string{
		"major": "252", "minor": fmt.Sprint(id * 16), "pool": pool, "pool_ns": "", "name": image, "current_snap": "-",
		"client_id": fmt.Sprintf("client%d", 4100+id), "client_addr": fmt.Sprintf("192.0.2.7:0/%d", 77+id), "cluster_fsid": fsid,
	} {
		tr[dir+name] = text + "\n"
	}
	tr[dir+"config_info"] = "PIPE" // it shows the key: whoever opens it here hangs
}

const fsid = "7635de36-ab1f-4a70-98a2-a1bd80ba77c4"

// rbdDevice is what rbd adds.
func rbdDevice(id int, pool, image string) teardown.Device {
	return teardown.Device{
		Number: teardown.Number{Major: 252, Minor: uint32(id * 16)}, Name: fmt.Sprintf("rbd%d", id), Kind: teardown.RBD, ID: id,
		Image:  teardown.Image{Cluster: fsid, Pool: pool, Name: image},
		Client: teardown.Client{Cluster: fsid, ID: uint64(4100 + id)},
	}
}

// bareNode returns the inventory of newTree, to which tests add.
func bareNode() teardown.Inventory {
	return teardown.Inventory{
		Roots:      []string{"/var/lib/kubelet"},
		Namespaces: []teardown.Namespace{{ID: hostSpace, PID: 1, Host: true, Others: true}},
		Mounts: []teardown.Mount{
			{Namespace: hostSpace, ID: 22, Parent: 1, Device: teardown.Number{Major: 254, Minor: 1}, Root: "/", Point: "/", FS: "ext4", Source: "/dev/vda1", Shared: 1},
			{Namespace: hostSpace, ID: 25, Parent: 22, Device: teardown.Number{Minor: 6}, Root: "/", Point: "/dev", FS: "devtmpfs", Source: "udev", Shared: 2},
		},
		Devices: []teardown.Device{
			{Number: teardown.Number{Major: 254}, Name: "vda", Kind: teardown.Disk},
			{Number: teardown.Number{Major: 254, Minor: 1}, Name: "vda1", Kind: teardown.Partition, Slaves: []teardown.Number{{Major: 254}}, Host: []string{"/etc/fstab"}},
		},
		Clients: []teardown.Client{}, ClientsKnown: true,
	}
}

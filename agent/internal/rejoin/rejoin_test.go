package rejoin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/agent/internal/block"
	"github.com/picket-dev/picket/agent/internal/block/child"
	"github.com/picket-dev/picket/agent/teardown"
)

// TestMain lets this test's binary be the child, and a process with a mount of
// its own.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 3 && os.Args[1] == child.Name:
		if err := child.Main(os.Args[2], os.Stdin, os.Stdout, Steps(), block.Probes()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case len(os.Args) == 3 && os.Args[1] == "mount":
		if err := holdMount(os.Args[2]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	default:
		os.Exit(m.Run())
	}
}

const (
	cgroup = "kubepods.slice/kubepods-pod6fa459ea_ee8a_3ca4_894e_db77e160355e.slice"
	uid    = "6fa459ea-ee8a-3ca4-894e-db77e160355e"
	iqn    = "iqn.2026-03.example:vol"
	nqn    = "nqn.2026-03.example:sub"
	serves = "sys/class/iscsi_session/session7/device/target2:0:0/2:0:0:" // and a unit
)

var sdb = teardown.Number{Major: 8, Minor: 16}

// record is a node record as open-iscsi writes it, with this startup.
func record(startup string) string {
	return "# BEGIN RECORD 2.1.8\nnode.name = " + iqn + "\nnode.startup = " + startup + "\niface.iscsi_ifacename = default\nnode.session.auth.password = x\nnode.conn[0].address = 192.0.2.1\nnode.conn[0].port = 3260\nnode.conn[0].startup = " + startup + "\n"
}

// host are the files of a host that steps read and write.
func host() map[string]string {
	return map[string]string{
		"sys/class/block/sdb/dev":                              "8:16\n",
		"sys/class/block/sdb/device/state":                     "running\n",
		"sys/class/block/sdb/device/delete":                    "",
		"sys/class/block/dm-0/dev":                             "253:0\n",
		"sys/class/block/dm-0/dm/name":                         "mpatha\n",
		"sys/bus/rbd/devices/3/major":                          "252\n",
		"sys/bus/rbd/devices/3/minor":                          "48\n",
		"sys/bus/rbd/remove_single_major":                      "",
		"sys/bus/rbd/remove":                                   "",
		"sys/class/nvme/nvme0/subsysnqn":                       nqn + "\n",
		"sys/class/nvme/nvme0/transport":                       "tcp\n",
		"sys/class/nvme/nvme0/delete_controller":               "",
		"sys/class/nvme/nvme1/subsysnqn":                       "nqn.other\n",
		"sys/class/nvme/nvme1/transport":                       "pcie\n",
		"sys/class/nvme/nvme1/delete_controller":               "",
		"sys/fs/cgroup/" + cgroup + "/cgroup.freeze":           "0",
		"sys/fs/cgroup/" + cgroup + "/cgroup.kill":             "",
		"sys/fs/cgroup/" + cgroup + "/cri-1/cgroup.procs":      "",
		"sys/class/iscsi_session/session7/targetname":          iqn + "\n",
		serves + "1/block/sdb/dev":                             "8:16\n",
		serves + "1/type":                                      "0\n",
		serves + "0/type":                                      "12\n",
		"sys/class/block/nvme0n1/dev":                          "259:0\n",
		"sys/class/block/nvme0n1/device/subsysnqn":             nqn + "\n",
		"sys/class/block/nvme0n1p1/dev":                        "259:1\n",
		"sys/class/block/nvme0c0n1/dev":                        "259:9\n",
		"sys/class/block/nvme0c0n1/hidden":                     "1\n",
		"sys/class/block/nvme0c0n1/device/subsysnqn":           nqn + "\n",
		"sys/class/block/nvme1n1/dev":                          "259:2\n",
		"sys/class/block/nvme1n1/device/subsysnqn":             "nqn.other\n",
		"etc/iscsi/nodes/" + iqn + "/192.0.2.1,3260,1/default": record("automatic"),
		"etc/iscsi/nodes/" + iqn + "/192.0.2.1,3260,1/other":   strings.Replace(record("automatic"), "default", "other", 1),
		"var/lib/iscsi/nodes/" + iqn + "/192.0.2.9,3260,1":     record("automatic"),
		// What the kubelet and CSI drivers need to clean up after themselves (40).
		"var/lib/kubelet/plugins/kubernetes.io/csi/d/" + hash + "/vol_data.json":               "{}",
		"var/lib/kubelet/plugins/kubernetes.io/csi/d/" + hash + "/globalmount/image-meta.json": "{}",
		"var/lib/kubelet/pods/" + uid + "/volumes/kubernetes.io~csi/pv-a/vol_data.json":        "{}",
		"var/lib/trident/tracking/pv-a.json":                                                   "{}",
	}
}

const hash = "3f79bb7b435b05321651daefd374cdc681dc06faa65e374e38337b88ca046dea"

// write writes files into a new directory, and returns the Config for it.
func writeHost(t *testing.T, files map[string]string) Config {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		at := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	c := ConfigBelow(root)
	c.Enter, c.Host.Root, c.Poll = "", root, time.Millisecond
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return c
}

// files returns what is below a Config's root.
func files(t *testing.T, c Config) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(c.Host.Root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(c.Host.Root, path)
		found[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

const patient = 30 * time.Second

func TestStepsDoWhatTheySayAndNothingElse(t *testing.T) {
	disk := teardown.Step{Device: sdb, Name: "sdb"}
	on := func(op teardown.Op, s teardown.Step) teardown.Step { s.Op, s.Bound = op, patient; return s }
	rbd := teardown.Step{Device: teardown.Number{Major: 252, Minor: 48}, Name: "rbd3", ID: 3}
	entry := teardown.Step{Target: iqn, Portal: "192.0.2.1:3260", Interface: "default"}
	pod := teardown.Step{Pod: uid, Cgroup: cgroup}
	tests := []struct {
		name   string
		step   teardown.Step
		spoil  map[string]string // written before; "-": removed
		change map[string]string // what the step changes
		err    string
	}{
		{name: "Offline", step: on(teardown.Offline, disk), change: map[string]string{"sys/class/block/sdb/device/state": "offline\n"}},
		{name: "Offline of another disk (35)", step: on(teardown.Offline, disk), spoil: map[string]string{"sys/class/block/sdb/dev": "8:32\n"}, err: `"8:32" by now, not "8:16"`},
		{name: "Offline of a disk that is gone", step: on(teardown.Offline, disk), spoil: map[string]string{"sys/class/block/sdb/dev": "-"}, err: "no such file"},
		{name: "DeleteSCSI", step: on(teardown.DeleteSCSI, disk), change: map[string]string{"sys/class/block/sdb/device/delete": "1\n"}},
		{name: "UnmapRBD", step: on(teardown.UnmapRBD, rbd), change: map[string]string{"sys/bus/rbd/remove_single_major": "3 force"}},
		{name: "UnmapRBD with single_major=N", step: on(teardown.UnmapRBD, rbd), spoil: map[string]string{"sys/bus/rbd/remove_single_major": "-"}, change: map[string]string{"sys/bus/rbd/remove": "3 force"}},
		{name: "UnmapRBD of another image", step: on(teardown.UnmapRBD, rbd), spoil: map[string]string{"sys/bus/rbd/devices/3/minor": "64\n"}, err: "by now"},
		{name: "Disconnect", step: on(teardown.Disconnect, teardown.Step{NQN: nqn, Units: "259:0"}), change: map[string]string{"sys/class/nvme/nvme0/delete_controller": "1\n"}},
		{name: "Disconnect of a local disk", step: on(teardown.Disconnect, teardown.Step{NQN: "nqn.other", Units: "259:2"}), err: "pcie"},
		{name: "Disconnect of a subsystem with a new namespace", step: on(teardown.Disconnect, teardown.Step{NQN: nqn, Units: "259:0"}), spoil: map[string]string{"sys/class/block/nvme0n2/dev": "259:7\n", "sys/class/block/nvme0n2/device/subsysnqn": nqn + "\n"}, err: "nvme0n2 would go with it"},
		{name: "Disconnect of a subsystem with a namespace that is gone", step: on(teardown.Disconnect, teardown.Step{NQN: nqn, Units: "259:0 259:7"}), change: map[string]string{"sys/class/nvme/nvme0/delete_controller": "1\n"}},
		{name: "Disconnect of nothing", step: on(teardown.Disconnect, teardown.Step{})},
		{name: "SetManual", step: on(teardown.SetManual, entry), change: map[string]string{"etc/iscsi/nodes/" + iqn + "/192.0.2.1,3260,1/default": record("manual")}},
		{name: "SetManual of an old record", step: on(teardown.SetManual, teardown.Step{Target: iqn, Portal: "192.0.2.9:3260", Interface: "default"}), change: map[string]string{"var/lib/iscsi/nodes/" + iqn + "/192.0.2.9,3260,1": record("manual")}},
		{name: "SetManual of a record without a portal group", step: on(teardown.SetManual, teardown.Step{Target: iqn, Portal: "192.0.2.8:3260", Interface: "default"}), spoil: map[string]string{"etc/iscsi/nodes/" + iqn + "/192.0.2.8,3260": record("automatic")}, change: map[string]string{"etc/iscsi/nodes/" + iqn + "/192.0.2.8,3260": record("manual")}},
		{name: "SetManual without a record", step: on(teardown.SetManual, teardown.Step{Target: iqn, Portal: "192.0.2.2:3260", Interface: "default"}), err: "no such record"},
		{name: "SetManual with a pattern", step: on(teardown.SetManual, teardown.Step{Target: "*", Portal: "192.0.2.1:3260", Interface: "default"}), err: "no record has such a name"},
		{name: "SetManual upwards", step: on(teardown.SetManual, teardown.Step{Target: "../x", Portal: "192.0.2.1:3260"}), err: "no record has such a name"},
		{name: "Freeze", step: on(teardown.Freeze, pod), change: map[string]string{"sys/fs/cgroup/" + cgroup + "/cgroup.freeze": "1"}},
		{name: "Freeze, cgroups of version 1", step: on(teardown.Freeze, pod), spoil: map[string]string{"sys/fs/cgroup/freezer/" + cgroup + "/freezer.state": "THAWED"}, change: map[string]string{"sys/fs/cgroup/freezer/" + cgroup + "/freezer.state": "FROZEN"}},
		{name: "Freeze of everything", step: on(teardown.Freeze, teardown.Step{}), err: "no cgroup of a pod"},
		{name: "Freeze upwards", step: on(teardown.Freeze, teardown.Step{Cgroup: "../x"}), err: "no cgroup of a pod"},
		{name: "Kill", step: on(teardown.Kill, pod), change: map[string]string{"sys/fs/cgroup/" + cgroup + "/cgroup.kill": "1"}},
		{name: "Kill of what has no number", step: on(teardown.Kill, pod), spoil: map[string]string{"sys/fs/cgroup/" + cgroup + "/cri-1/cgroup.procs": "0\n"}, err: "no process"},
		{name: "Logout of another target", step: on(teardown.Logout, teardown.Step{Session: "7", Target: "iqn.x"}), err: "by now"},
		{name: "Logout with a unit that the plan does not name (34)", step: on(teardown.Logout, teardown.Step{Session: "7", Target: iqn, Units: "8:16"}), spoil: map[string]string{serves + "7/block/sdh/dev": "8:112\n", serves + "7/type": "0\n"}, err: "sdh would go with it"},
		{name: "Logout of no unit, of which one has come", step: on(teardown.Logout, teardown.Step{Session: "7", Target: iqn}), err: "sdb would go with it"},
		{name: "Logout with a unit that has no device yet", step: on(teardown.Logout, teardown.Step{Session: "7", Target: iqn, Units: "8:16"}), spoil: map[string]string{serves + "7/type": "0\n"}, err: "serves unit 2:0:0:7 by now"},
		{name: "Logout with a new tape", step: on(teardown.Logout, teardown.Step{Session: "7", Target: iqn, Units: "8:16"}), spoil: map[string]string{serves + "7/type": "1\n"}, err: "serves unit 2:0:0:7 by now"},
		{name: "Logout under another number (35)", step: on(teardown.Logout, teardown.Step{Session: "7", Target: iqn, Units: "8:16"}), spoil: map[string]string{serves + "1/block/sdb/dev": "8:160\n"}, err: "8:160, not only"},
		{name: "CutMap of another map", step: on(teardown.CutMap, teardown.Step{Device: teardown.Number{Major: 253}, Name: "dm-0", Map: "luks-1"}), err: "by now"},
		{name: "CutMap of a new map of that name (35)", step: on(teardown.CutMap, teardown.Step{Device: teardown.Number{Major: 253}, Name: "dm-0", Map: "mpatha", Unit: "36001"}), spoil: map[string]string{"sys/class/block/dm-0/dm/uuid": "mpath-36002\n"}, err: `unit "36002" by now, not "36001"`},
		{name: "DetachLoop of another file (35)", step: on(teardown.DetachLoop, teardown.Step{Device: teardown.Number{Major: 7}, Name: "loop0", Unit: "/a"}), spoil: map[string]string{"sys/class/block/loop0/dev": "7:0\n", "sys/class/block/loop0/loop/backing_file": "/b (deleted)\n"}, err: `unit "/b" by now, not "/a"`},
		{name: "CutMap without device-mapper", step: on(teardown.CutMap, teardown.Step{Device: teardown.Number{Major: 253}, Name: "dm-0", Map: "mpatha"}), err: "mapper/control: no such file"},
		{name: "DetachLoop of a file", step: on(teardown.DetachLoop, disk), spoil: map[string]string{"dev/sdb": ""}, err: "not 8:16"},
		{name: "Attest", step: on(teardown.Attest, disk), err: "no work for a child"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := host()
			for name, text := range tt.spoil {
				if before[name] = text; text == "-" {
					delete(before, name)
				}
			}
			c := writeHost(t, before)
			err := child.New(child.Default()).Do(t.Context(), workStep, patient, order{c, tt.step}, nil)
			if (tt.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error = %v, want %q", err, tt.err)
			}
			maps.Copy(before, tt.change)
			if d := cmp.Diff(before, files(t, c)); d != "" {
				t.Errorf("files (-want +got):\n%s", d)
			}
		})
	}
}

// A kernel without cgroup.kill has its processes killed one by one, and the
// agent's own pod is refused.
func TestKillOneByOne(t *testing.T) {
	victim := exec.Command("/bin/sleep", "60")
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	before := host()
	delete(before, "sys/fs/cgroup/"+cgroup+"/cgroup.kill")
	before["sys/fs/cgroup/"+cgroup+"/cri-1/cgroup.procs"] = strconv.Itoa(victim.Process.Pid) + "\n"
	c := writeHost(t, before)
	step := teardown.Step{Op: teardown.Kill, Cgroup: cgroup}
	err := child.New(child.Default()).Do(t.Context(), workStep, patient, order{c, step}, nil)
	if err != nil {
		_ = victim.Process.Kill() // the test has failed already
		t.Error(err)
	}
	var exit *exec.ExitError
	if err := victim.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("the process ended with %v", err)
	}
	before["sys/fs/cgroup/"+cgroup+"/cri-1/cgroup.procs"] = strconv.Itoa(os.Getpid()) + "\n"
	if err := (order{writeHost(t, before), step}).do(); err == nil || !strings.Contains(err.Error(), "the agent lives in") {
		t.Errorf("do() = %v, want it to spare the agent", err)
	}
}

// holdMount mounts a tmpfs in a namespace of its own, and stays.
func holdMount(dir string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("picket-test", dir, "tmpfs", 0, "size=64k"); err != nil {
		return err
	}
	fmt.Println("ready")
	_, err := bufio.NewReader(os.Stdin).ReadString('\n')
	return err
}

// A mount is unmounted where it is, and only the one that the step names (37).
func TestUnmountInAnotherNamespace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a mount")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	holder := exec.Command("/proc/self/exe", "mount", dir)
	holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	in, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Skipf("a namespace of mounts needs root: %v", err)
	}
	defer func() {
		_ = in.Close() // which ends it
		_ = holder.Wait()
	}()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Skipf("a mount needs root: %q %v", line, err)
	}
	h := block.HostBelow("/")
	c := ConfigBelow("/")
	c.Enter, c.Host = "", h
	step := findMount(t, holder.Process.Pid, dir)
	run := func(s teardown.Step) error {
		return child.New(child.Default()).Do(t.Context(), workStep, patient, order{c, s}, nil)
	}
	other, wrong := step, step
	other.Mount++
	wrong.Namespace++
	if err := run(other); err == nil || !strings.Contains(err.Error(), "by now") {
		t.Errorf("another mount: %v", err)
	}
	if err := run(wrong); err == nil || !strings.Contains(err.Error(), "by now") {
		t.Errorf("another namespace: %v", err)
	}
	if findMount(t, holder.Process.Pid, dir).Mount == 0 {
		t.Fatal("it was unmounted by a step that meant another")
	}
	if err := run(step); err != nil {
		t.Error(err)
	}
	if findMount(t, holder.Process.Pid, dir).Mount != 0 {
		t.Error("it is still mounted")
	}
}

// findMount returns the step that unmounts dir as the process sees it.
func findMount(t *testing.T, pid int, dir string) teardown.Step {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("/proc/%d/ns/mnt", pid), &st); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); fields[4] == strings.ReplaceAll(dir, " ", `\040`) {
			id, err := strconv.Atoi(fields[0])
			if err != nil {
				t.Fatal(err)
			}
			return teardown.Step{Op: teardown.Unmount, Mount: id, Namespace: st.Ino, PID: pid, Point: dir}
		}
	}
	return teardown.Step{}
}

// script is an Executor whose looks are written down, the last one for good.
func script(t *testing.T, looks ...teardown.Inventory) (*Executor, *int) {
	e := New(writeHost(t, host()), child.New(child.Default()))
	n := 0
	e.look = func(context.Context) teardown.Inventory {
		inv := looks[min(n, len(looks)-1)]
		n++
		return teardown.Inventory{Roots: inv.Roots, Devices: slices.Clone(inv.Devices), Mounts: slices.Clone(inv.Mounts), Namespaces: inv.Namespaces,
			Sessions: inv.Sessions, Volumes: slices.Clone(inv.Volumes), Clients: inv.Clients, ClientsKnown: true, Pods: inv.Pods, Unknown: inv.Unknown}
	}
	return e, &n
}

func disk(cut bool, inFlight int) teardown.Inventory {
	return teardown.Inventory{Devices: []teardown.Device{{Number: sdb, Name: "sdb", Kind: teardown.ISCSI, Cut: cut, InFlight: inFlight}}}
}

func TestDo(t *testing.T) {
	offline := teardown.Step{Op: teardown.Offline, Device: sdb, Name: "sdb", Bound: patient}
	gone := teardown.Inventory{}
	unread := disk(true, 0)
	unread.Unknown = []teardown.Unknown{{What: "x", Why: "y"}}
	short := func(s teardown.Step) teardown.Step { s.Bound = 2 * time.Second; return s }
	other := offline
	other.Device.Minor = 99
	wait := teardown.Step{Op: teardown.Wait, Device: sdb, Name: "sdb", Bound: patient}
	tests := []struct {
		name  string
		step  teardown.Step
		looks []teardown.Inventory
		err   string
	}{
		{"shown as done", offline, []teardown.Inventory{disk(true, 0)}, ""},
		{"shown as done later", offline, []teardown.Inventory{disk(false, 0), disk(false, 0), disk(true, 0)}, ""},
		{"gone altogether", offline, []teardown.Inventory{gone}, ""},
		{"never shown as done", short(offline), []teardown.Inventory{disk(false, 0)}, "is stuck after"},
		{"what cannot be read is no proof", short(offline), []teardown.Inventory{unread}, "is stuck after"},
		{"refused, and yet done", other, []teardown.Inventory{gone}, ""},
		{"refused", other, []teardown.Inventory{{Devices: []teardown.Device{{Number: other.Device, Name: "sdb"}}}}, "by now"},
		{"a wait that ends", wait, []teardown.Inventory{disk(false, 2), disk(false, -1), disk(false, 0)}, ""},
		{"a wait that does not", short(wait), []teardown.Inventory{disk(false, 2)}, "does not show it as done"},
		{"nothing to do", teardown.Step{}, []teardown.Inventory{gone}, "no operation"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, _ := script(t, tt.looks...)
			begin := time.Now()
			err := e.Do(t.Context(), tt.step)
			if (tt.err == "") != (err == nil) || err != nil && (!errors.Is(err, ErrStuck) || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("Do() = %v, want %q", err, tt.err)
			}
			if took := time.Since(begin); took > patient/2 {
				t.Errorf("Do() took %v", took)
			}
		})
	}
}

// What is in use can be so for a moment: its release is tried again within the bound,
// and a step of another kind is not.
func TestDoTriesAgainWhatWasInUse(t *testing.T) {
	mapped := teardown.Inventory{Devices: []teardown.Device{{Number: teardown.Number{Major: 253}, Name: "dm-0", Map: "m"}}}
	remove := teardown.Step{Op: teardown.RemoveMap, Device: teardown.Number{Major: 253}, Name: "dm-0", Map: "m", Bound: patient}
	short := remove
	short.Bound = 500 * time.Millisecond
	offline := teardown.Step{Op: teardown.Offline, Device: sdb, Name: "sdb", Bound: patient}
	for _, tt := range []struct {
		name        string
		step        teardown.Step
		looks       []teardown.Inventory
		least, most int // tries
		err         error
	}{
		{"released at the third try", remove, []teardown.Inventory{mapped, mapped, {}}, 3, 3, nil},
		{"never released", short, []teardown.Inventory{mapped}, 2, 10_000, ErrStuck},
		{"no release", offline, []teardown.Inventory{disk(false, 0)}, 1, 1, ErrStuck},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, _ := script(t, tt.looks...)
			tries := filepath.Join(t.TempDir(), "tries")
			c := child.Default()
			c.Command = []string{"/bin/sh", "-c", "echo >>" + tries + "; exit 1"}
			e.run = child.New(c)
			begin := time.Now()
			if err := e.Do(t.Context(), tt.step); !errors.Is(err, tt.err) {
				t.Errorf("Do() = %v, want %v", err, tt.err)
			}
			text, err := os.ReadFile(tries)
			if n := len(text); err != nil || n < tt.least || n > tt.most {
				t.Errorf("%d tries (%v), want %d to %d", n, err, tt.least, tt.most)
			}
			if took := time.Since(begin); took > patient/2 {
				t.Errorf("Do() took %v", took)
			}
		})
	}
}

// A child that does not die ends the step, not the agent.
func TestDoAbandonsWhatHangs(t *testing.T) {
	e, _ := script(t, disk(false, 0))
	c := child.Default()
	c.Command = []string{"/bin/sh", "-c", "exec sleep 60", "child"}
	e.run = child.New(c)
	begin := time.Now()
	err := e.Do(t.Context(), teardown.Step{Op: teardown.Offline, Device: sdb, Name: "sdb", Bound: 300 * time.Millisecond})
	if !errors.Is(err, ErrStuck) || time.Since(begin) > patient/2 {
		t.Errorf("Do() = %v after %v", err, time.Since(begin))
	}
}

// An unmount that hangs is no proof, and neither is its mount's being gone from the
// tables meanwhile: the step counts as done, and the plan that follows waits for the
// process, which a look names as the agent's own (29).
func TestRow29_AnUnmountThatHangsInTheKernel(t *testing.T) {
	mounted := teardown.Inventory{Mounts: []teardown.Mount{{ID: 60, Namespace: 5, Point: "/x"}}}
	step := teardown.Step{Op: teardown.Unmount, Mount: 60, Namespace: 5, Point: "/x", Bound: 300 * time.Millisecond}
	c := child.Default()
	c.Command = []string{"/bin/sh", "-c", "exec sleep 60", "child"}
	for name, tt := range map[string]struct {
		after teardown.Inventory
		err   error
	}{"its mount stays": {mounted, ErrStuck}, "its mount is gone": {teardown.Inventory{}, nil}} {
		e, _ := script(t, tt.after)
		e.run = child.New(c)
		begin := time.Now()
		if err := e.Do(t.Context(), step); !errors.Is(err, tt.err) || time.Since(begin) > patient/2 {
			t.Errorf("%s: Do() = %v after %v", name, err, time.Since(begin))
		}
	}
	hangs := teardown.Inventory{ClientsKnown: true, Processes: []teardown.Process{{PID: 4711, Name: "picket-agent", Agent: true, Stuck: true}}}
	p := teardown.Make(hangs, teardown.Attachments{Known: true}, teardown.Aim{SameBoot: true, Rejoin: teardown.RejoinClean})
	if p.State != teardown.Work || p.Steps[0].Op != teardown.Wait || p.Steps[0].PID != 4711 || p.Stuck != teardown.Reset {
		t.Errorf("what follows is %v (%s), stuck becomes %v: %+v", p.State, p.Why, p.Stuck, p.Steps)
	}
}

// The kill of its child completes an unmapping that waits for its watch to end.
func TestUnmapIsKilledAfterHalfItsBound(t *testing.T) {
	rbd := teardown.Step{Op: teardown.UnmapRBD, Device: teardown.Number{Major: 252, Minor: 48}, Name: "rbd3", ID: 3, Bound: time.Second}
	there := teardown.Inventory{Devices: []teardown.Device{{Number: rbd.Device, Name: rbd.Name, Kind: teardown.RBD}}}
	e, n := script(t, there, there, teardown.Inventory{})
	c := child.Default()
	c.Command = []string{"/bin/sh", "-c", "exec sleep 60", "child"}
	e.run = child.New(c)
	begin := time.Now()
	if err := e.Do(t.Context(), rbd); err != nil {
		t.Errorf("Do() = %v", err)
	}
	if took := time.Since(begin); took < rbd.Bound/2 || *n != 3 {
		t.Errorf("Do() took %v and %d looks", took, *n)
	}
}

// What a step has noted outlives the agent, and goes with the node's being
// Clean.
func TestMemory(t *testing.T) {
	mounted := teardown.Inventory{Mounts: []teardown.Mount{{ID: 60, Device: sdb, Point: "/x"}, {ID: 61, Device: sdb, Point: "/y"}}}
	e, _ := script(t, mounted)
	note := teardown.Volume{File: "note of sdb", PV: "pv-a", Identity: teardown.Identity{WWID: "3600"}}
	for range 2 {
		if err := e.Do(t.Context(), teardown.Step{Op: teardown.Note, Note: note, Bound: patient}); err != nil {
			t.Fatal(err)
		}
	}
	// The directory cannot be told to shut down, which does not matter.
	if err := e.Do(t.Context(), teardown.Step{Op: teardown.ShutDown, Mount: 60, Device: sdb, Point: "/x", Bound: patient}); err != nil {
		t.Fatal(err)
	}
	later := New(e.config, e.run)
	later.look = e.look
	want := mounted
	want.Mounts = slices.Clone(mounted.Mounts)
	want.Mounts[0].ShutDown = true
	want.Volumes, want.ClientsKnown = []teardown.Volume{note}, true
	if d := cmp.Diff(want, later.Look(t.Context()), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Errorf("look (-want +got):\n%s", d)
	}
	if err := errors.Join(later.Forget(), later.Forget()); err != nil {
		t.Error(err)
	}
	if inv := later.Look(t.Context()); inv.Volumes != nil || inv.Mounts[0].ShutDown {
		t.Errorf("look after Forget = %+v", inv)
	}
	if err := os.WriteFile(filepath.Join(e.config.Run, memoryFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if inv := later.Look(t.Context()); len(inv.Unknown) != 1 {
		t.Errorf("look with a memory that is broken: unknown = %+v", inv.Unknown)
	}
	if err := later.Do(t.Context(), teardown.Step{Op: teardown.Note, Note: note, Bound: time.Millisecond}); !errors.Is(err, ErrStuck) {
		t.Errorf("Do() = %v over a memory that is broken", err)
	}
}

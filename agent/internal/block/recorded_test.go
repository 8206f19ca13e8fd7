package block

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/agent/teardown"
)

var update = flag.Bool("update", false, "write the golden files")

// A recording is a node of the lab as test/lab/record.sh found it, with what its
// kernel, systemd, containerd, open-iscsi, the kubelet and a CSI driver had there while
// a pod wrote to the volume.
//
// What it cannot hold: block devices' nodes, which are empty files; who has one open,
// which is in the place of the child's answer (/run/opens); the ioctls of device-mapper
// and of loop devices, which are those of TestRead's children; and all but the first
// thread of processes, and all processes but the first of each mount namespace and
// those of volumes and pods.
type recording struct {
	name string
	// volume is the one that moves.
	volume teardown.Attachment
}

func recordings() []recording {
	csi := func(pv string) teardown.Attachment {
		return teardown.Attachment{PV: pv, Driver: "lab.picket.dev", Handle: pv, Gated: true}
	}
	return []recording{
		{"raw", csi("moved")},  // rejoin-block: the kubelet's loop device on a bound node
		{"luks", csi("moved")}, // rejoin-luks: on a queueing multipath map over two sessions
		{"krbd", csi("moved")}, // rejoin-blocklisted: a request waits for the cluster
	}
}

// An inventory of a real node, and the plan for it, must be those that a person has
// read and found right.
func TestRecorded(t *testing.T) {
	for _, r := range recordings() {
		t.Run(r.name, func(t *testing.T) {
			tr := r.tree(t)
			inv, h := tr.read(t), tr.write(t)
			inv.Processes = processes(t, h)
			sameUnits(t, h, inv.Devices)
			want := filepath.Join("testdata/recorded", r.name+".golden")
			got := strings.Join(append(describe(inv), plan(inv, r.volume)...), "\n") + "\n"
			if *update {
				if err := os.WriteFile(want, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			text, err := os.ReadFile(want)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(strings.Split(string(text), "\n"), strings.Split(got, "\n")); d != "" {
				t.Errorf("%s (-want +got):\n%s", want, d)
			}
			r.volume.Attached = true
			p := teardown.Make(inv, teardown.Attachments{Known: true, Volumes: []teardown.Attachment{r.volume}}, again)
			if p.State != teardown.Clean || len(p.Steps) != 1 {
				t.Errorf("attached here it is %v (%s), with %d steps", p.State, p.Why, len(p.Steps))
			}
		})
	}
}

// The recorded image has a request in flight, which only a reset ends; once the cluster
// has turned it away, the image can be unmapped.
func TestRecordedImageIsUnmappedOnceNothingIsInFlight(t *testing.T) {
	r := recordings()[len(recordings())-1]
	tr := r.tree(t)
	const inflight = "sys/devices/rbd/0/block/rbd0/inflight"
	if tr[inflight] != "       0        1\n" {
		t.Fatalf("the recording has %q in flight", tr[inflight])
	}
	tr[inflight] = "       0        0\n"
	var got []string
	p := teardown.Make(tr.read(t), teardown.Attachments{Known: true, Volumes: []teardown.Attachment{r.volume}}, again)
	for _, s := range p.Steps {
		got = append(got, s.Op.String())
	}
	want := strings.Fields("UnmapRBD ShutDown Freeze Kill Unmount Unmount Verify Attest")
	if d := cmp.Diff(want, got); d != "" || p.State != teardown.Work || len(p.Blockers) > 0 {
		t.Errorf("%v (%s), blockers %v, steps (-want +got):\n%s", p.State, p.Why, p.Blockers, d)
	}
}

// again is how a node comes back that was fenced and did not reset.
var again = teardown.Aim{SameBoot: true, Rejoin: teardown.RejoinClean}

// tree reads the recording: what head -v prints.
func (r recording) tree(t *testing.T) tree {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata/recorded", r.name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	tr := make(tree)
	for _, one := range strings.Split("\n"+string(text), "\n==> ")[1:] {
		name, body, ok := strings.Cut(one, " <==\n")
		if !ok {
			t.Fatalf("%s.txt: no text belongs to %.80q", r.name, one)
		}
		if strings.HasPrefix(body, arrow) {
			body = strings.TrimSpace(body)
		}
		if strings.HasPrefix(name, "/dev/loop") {
			body = "{}" // it serves a file, or is not asked
		}
		tr[strings.TrimPrefix(name, "/")] = body
	}
	return tr
}

// processes are those that had block devices open: /proc/PID/fd/FD and the device's
// number, in each line.
func processes(t *testing.T, h Host) []teardown.Process {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(h.Root, "run/opens"))
	if err != nil {
		t.Fatal(err)
	}
	var all []opening
	for line := range strings.Lines(string(text)) {
		o, fd, n := opening{}, 0, teardown.Number{}
		if _, err := fmt.Sscanf(line, "/proc/%d/fd/%d %d:%d", &o.PID, &fd, &n.Major, &n.Minor); err != nil {
			t.Fatalf("run/opens has %q: %v", line, err)
		}
		o.Devices = []teardown.Number{n}
		all = append(all, o)
	}
	l := &look{host: h}
	l.processes(l.tasks(), all, l.pods(), nil)
	return l.inv.Processes
}

// sameUnits fails where what is read of a device before it is touched is not what the
// inventory says (35).
func sameUnits(t *testing.T, h Host, devices []teardown.Device) {
	t.Helper()
	for _, d := range devices {
		dir := filepath.Join(h.Sys, "class/block", d.Name)
		if d.Kind == teardown.RBD {
			dir = filepath.Join(h.Sys, "bus/rbd/devices", fmt.Sprint(d.ID))
		}
		if got := Unit(dir); got != d.Unit() {
			t.Errorf("%s is unit %q, and in the inventory %q", d.Name, got, d.Unit())
		}
	}
}

// describe writes an inventory, one thing a line; of mounts without a block device,
// such as tmpfs, the number in each namespace.
func describe(inv teardown.Inventory) []string {
	memory := make(map[uint64]int)
	var mounts []teardown.Mount
	for _, m := range inv.Mounts {
		if deviceOf(m).Major == 0 {
			memory[m.Namespace]++
			continue
		}
		mounts = append(mounts, m)
	}
	inv.Mounts = mounts
	var lines []string
	v := reflect.ValueOf(inv)
	for i := range v.NumField() {
		name, field := v.Type().Field(i).Name, v.Field(i)
		if field.Kind() != reflect.Slice {
			lines = append(lines, name+" "+words(field))
			continue
		}
		for j := range field.Len() {
			lines = append(lines, name+" "+words(field.Index(j)))
		}
	}
	for _, s := range inv.Namespaces {
		lines = append(lines, fmt.Sprintf("Mounts without a device in %d: %d", s.ID, memory[s.ID]))
	}
	return lines
}

// plan writes what is to be done after the volume has moved.
func plan(inv teardown.Inventory, volume teardown.Attachment) []string {
	p := teardown.Make(inv, teardown.Attachments{Known: true, Volumes: []teardown.Attachment{volume}}, again)
	lines := []string{"", fmt.Sprintf("%v: %s; stuck: %v", p.State, p.Why, p.Stuck)}
	for _, b := range p.Blockers {
		lines = append(lines, "Blocker "+words(reflect.ValueOf(b)))
	}
	for _, s := range p.Steps {
		lines = append(lines, words(reflect.ValueOf(s)))
	}
	return lines
}

// words writes what is set of a value.
func words(v reflect.Value) string {
	if s, ok := reflect.TypeAssert[fmt.Stringer](v); ok {
		return s.String()
	}
	var all []string
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); !v.Field(i).IsZero() {
				all = append(all, f.Name+"="+words(v.Field(i)))
			}
		}
		return "{" + strings.Join(all, " ") + "}"
	case reflect.Slice:
		for i := range v.Len() {
			all = append(all, words(v.Index(i)))
		}
		return "[" + strings.Join(all, " ") + "]"
	default:
		return fmt.Sprintf("%v", v)
	}
}

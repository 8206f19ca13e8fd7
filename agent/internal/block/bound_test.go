package block

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/agent/internal/block/child"
	"github.com/picket-dev/picket/agent/teardown"
)

// A bound node tells its device itself: its name is another device's by now.
func TestABoundNodeSaysItsDevice(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root makes device nodes")
	}
	f := rawFixture()
	h := f.tree.write(t)
	const bind = kubelet + "/plugins/kubernetes.io/csi/volumeDevices/pvc-raw/dev/" + podUID
	at := filepath.Join(h.Root, bind)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mknod(at, unix.S_IFBLK|0o600, int(unix.Mkdev(252, 80))); err != nil {
		t.Skip("no device nodes here:", err)
	}
	for _, m := range NewReader(h, child.New(child.Default())).Read(t.Context()).Mounts {
		if m.Point == bind && m.Node != (teardown.Number{Major: 252, Minor: 80}) {
			t.Errorf("the node that is bound is %v", m.Node)
		}
	}
}

// A file that a power cut has left empty is no reason to hold the whole node: where
// nothing is mounted there, it has nothing to tell.
func TestAnEmptyFileOfAnIdleVolume(t *testing.T) {
	for _, text := range []string{"", "\x00\x00\x00\x00", "\n"} {
		tr := newTree()
		tr[staged+"/vol_data.json"], tr[staged+"/globalmount/image-meta.json"] = text, text
		if inv := tr.read(t); len(inv.Unknown) > 0 || len(inv.Volumes) > 0 {
			t.Errorf("%q: unknown %v, volumes %v", text, inv.Unknown, inv.Volumes)
		}
	}
}

// A volume that is a part of its pod is the pod's, whether its driver attaches
// others or not.
func TestAnEphemeralVolumeIsItsPods(t *testing.T) {
	tr := newTree()
	dir := podDir + "/volumes/kubernetes.io~csi/scratch"
	tr[dir+"/vol_data.json"] = `{"driverName":"d","volumeHandle":"csi-0a","specVolID":"scratch","volumeLifecycleMode":"Ephemeral"}`
	want := []teardown.Volume{{File: dir + "/vol_data.json", Dir: dir}}
	if d := cmp.Diff(want, tr.read(t).Volumes, cmpopts.EquateComparable(teardown.Volume{})); d != "" {
		t.Error(d)
	}
}

// A line that ends early names no device, and says nothing of any.
func TestAShortLineOfCrypttab(t *testing.T) {
	tr := newTree()
	tr["etc/crypttab"] = "data\n"
	tr["etc/fstab"] += "/dev/vdz\n"
	if inv := tr.read(t); len(inv.Unknown) > 0 {
		t.Errorf("unknown: %v", inv.Unknown)
	}
}

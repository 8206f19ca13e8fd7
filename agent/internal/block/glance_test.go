package block

import (
	"os"
	"path/filepath"
	"testing"
)

// A glance sees what matters change, and not what pods do all the time.
func TestGlance(t *testing.T) {
	const first = "22 1 254:1 / / rw shared:1 - ext4 /dev/vda1 rw\n"
	tr := newTree()
	tr["proc/1/mountinfo"] = first
	h := tr.write(t)
	put := func(name, text string) {
		at := filepath.Join(h.Root, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	last := h.Glance()
	for _, tt := range []struct {
		name, file, text string
		changes          bool
	}{
		{"nothing", "proc/1/mountinfo", first, false},
		{"a pod's token", "proc/1/mountinfo", first + "60 22 0:50 / " + podDir + "/volumes/kubernetes.io~projected/kube-api-access rw - tmpfs tmpfs rw\n", false},
		{"a mount of the host", "proc/1/mountinfo", first + "61 22 8:1 / /srv rw - ext4 /dev/sda1 rw\n", false},
		{"a volume", "proc/1/mountinfo", first + "60 22 252:0 / " + podDir + "/volumes/kubernetes.io~csi/pv/mount rw - ext4 /dev/rbd0 rw\n", true},
		{"the same", "proc/1/mountinfo", first + "60 22 252:0 / " + podDir + "/volumes/kubernetes.io~csi/pv/mount rw - ext4 /dev/rbd0 rw\n", false},
		{"a disk", "sys/class/block/sdq", "", true},
		{"a session", "sys/class/iscsi_session/session1", "", true},
		{"an image", "sys/bus/rbd/devices/0", "", true},
	} {
		put(tt.file, tt.text)
		now := h.Glance()
		if (now != last) != tt.changes {
			t.Errorf("%s: %s after %s", tt.name, now, last)
		}
		last = now
	}
	if err := os.Remove(filepath.Join(h.Root, "proc/1/mountinfo")); err != nil {
		t.Fatal(err)
	}
	if h.Glance() == last {
		t.Error("what cannot be read looks as before")
	}
}

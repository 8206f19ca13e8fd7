package block

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/agent/internal/block/child"
	"github.com/picket-dev/picket/agent/teardown"
)

// A file of sysfs or procfs that hangs, which none should, costs its look and no other
// thing: nobody waits for it, and what it was to find out is unknown.
func TestReadDoesNotWaitForSysfs(t *testing.T) {
	for _, hangs := range []string{"sys/devices/pci0000:00/virtio0/block/vda/inflight", "proc/1/task/1/mountinfo"} {
		tr := newTree()
		tr[hangs] = "PIPE"
		h := tr.write(t)
		h.Bound = 50 * time.Millisecond
		r := NewReader(h, child.New(child.Default()))
		for n := range mostHung + 1 {
			begin := time.Now()
			inv := r.Read(t.Context())
			want := teardown.Inventory{Roots: []string{kubelet}, Unknown: []teardown.Unknown{{What: "the host", Why: errHung.Error()}}}
			if n == mostHung {
				want.Unknown[0].Why = errTooMany.Error()
			}
			if d := cmp.Diff(want, inv); d != "" {
				t.Errorf("%s, look %d (-want +got):\n%s", hangs, n, d)
			}
			if took := time.Since(begin); took > 20*time.Second {
				t.Errorf("%s, look %d took %v", hangs, n, took)
			}
			if p := teardown.Make(inv, teardown.Attachments{Known: true}, teardown.Aim{}); p.State != teardown.Blocked {
				t.Errorf("%s: the plan is %v", hangs, p.State)
			}
		}
		// What hung comes back, and looks are taken again.
		for begin := time.Now(); r.hung.Load() > 0; {
			f, err := os.OpenFile(filepath.Join(h.Root, hangs), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			if time.Since(begin) > 20*time.Second {
				t.Fatalf("%s: %d looks never end", hangs, r.hung.Load())
			}
		}
		if err := os.Remove(filepath.Join(h.Root, hangs)); err != nil {
			t.Error(err)
		}
		r.host.Bound = 30 * time.Second
		for _, u := range r.Read(t.Context()).Unknown {
			if strings.Contains(u.Why, errHung.Error()) || u.What == "the host" {
				t.Errorf("%s: %+v", hangs, u)
			}
		}
	}
}

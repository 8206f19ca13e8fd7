package rejoin

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/agent/internal/block/child"
	"github.com/picket-dev/picket/agent/teardown"
)

// The kernel gives the number and the name of a device that is gone to the next one,
// all at once. What has them when a step's turn comes is refused unless it is the unit
// that the plan was made for: while the API is asked, a volume can go, and one that is
// attached here can come (35).
func TestRow35_AnotherUnitUnderTheSameNumberAndName(t *testing.T) {
	moved := func(d teardown.Device) func(Config) teardown.Inventory {
		return func(Config) teardown.Inventory {
			return teardown.Inventory{
				Roots: []string{"/var/lib/kubelet"}, ClientsKnown: true, Devices: []teardown.Device{d},
				Sessions: []teardown.Session{{ID: "7", Target: iqn, Portal: "192.0.2.1:3260", Others: []string{"a tape"}}},
				Volumes:  []teardown.Volume{{File: "f", PV: "pv-moved", Identity: teardown.Identity{WWID: d.WWID, Image: d.Image}}},
			}
		}
	}
	disk := teardown.Device{Number: sdb, Name: "sdb", Kind: teardown.ISCSI, Session: "7", LUN: 1, WWID: "36001"}
	cut := disk
	cut.Cut = true
	alone := func(c Config) teardown.Inventory { // nothing else needs its session
		inv := moved(cut)(c)
		inv.Sessions[0].Others = nil
		return inv
	}
	image := teardown.Device{
		Number: teardown.Number{Major: 252, Minor: 48}, Name: "rbd3", Kind: teardown.RBD, ID: 3,
		Image: teardown.Image{Cluster: "f", Pool: "p", Name: "i"},
	}
	const bus = "sys/bus/rbd/devices/3/"
	withUnits := func(before map[string]string) map[string]string {
		for name, text := range map[string]string{
			"sys/class/block/sdb/device/wwid": "naa.6001", serves + "1/block/sdb/device/wwid": "naa.6001",
			bus + "pool": "p", bus + "name": "i", bus + "cluster_fsid": "f", bus + "current_snap": "-", bus + "pool_ns": "",
		} {
			before[name] = text + "\n"
		}
		return before
	}
	tests := []struct {
		name  string
		inv   func(Config) teardown.Inventory
		other map[string]string // what has come in its place
		op    teardown.Op
	}{
		{"Offline", moved(disk), map[string]string{"sys/class/block/sdb/device/wwid": "naa.6002"}, teardown.Offline},
		{"Offline of one that has no WWID by now", moved(disk), map[string]string{"sys/class/block/sdb/device/wwid": ""}, teardown.Offline},
		{"DeleteSCSI", moved(cut), map[string]string{"sys/class/block/sdb/device/wwid": "naa.6002"}, teardown.DeleteSCSI},
		{"Logout", alone, map[string]string{serves + "1/block/sdb/device/wwid": "naa.6002"}, teardown.Logout},
		{"UnmapRBD", moved(image), map[string]string{bus + "name": "j"}, teardown.UnmapRBD},
		{"UnmapRBD of a snapshot", moved(image), map[string]string{bus + "current_snap": "s"}, teardown.UnmapRBD},
		{"UnmapRBD in another pool", moved(image), map[string]string{bus + "pool": "q"}, teardown.UnmapRBD},
		{"UnmapRBD in another cluster", moved(image), map[string]string{bus + "cluster_fsid": "g"}, teardown.UnmapRBD},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := writeHost(t, withUnits(host()))
			e := New(c, child.New(child.Default()))
			e.look = func(context.Context) teardown.Inventory { return tt.inv(c) }
			var before map[string]string
			asked := func(_ context.Context, inv teardown.Inventory) teardown.Attachments {
				for name, text := range tt.other {
					if err := os.WriteFile(filepath.Join(c.Host.Root, name), []byte(text+"\n"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				before = files(t, c)
				return teardown.Attachments{Known: true, Volumes: []teardown.Attachment{{PV: "pv-moved", Gated: true}}}
			}
			inv := tt.inv(c)
			step := teardown.Make(inv, asked(t.Context(), inv), teardown.Aim{}).Steps[0]
			if step.Op != tt.op {
				t.Fatalf("the plan begins with %v, want %v", step.Op, tt.op)
			}
			err := e.act(t.Context(), step)
			if err == nil || !strings.Contains(err.Error(), "by now") && !strings.Contains(err.Error(), "would go with it") {
				t.Errorf("%v: %v", step.Op, err)
			}
			if d := cmp.Diff(before, files(t, c)); d != "" {
				t.Errorf("files (-want +got):\n%s", d)
			}
			if step.Op == teardown.UnmapRBD {
				return // whose refusal is waited for like its end
			}
			if o := e.Run(t.Context(), teardown.Aim{}, asked); !errors.Is(o.Err, ErrStuck) || o.State() != teardown.Blocked {
				t.Errorf("it comes to %v: %v", o.State(), o.Err)
			}
		})
	}
}

package block

import (
	"fmt"
	"strings"
	"testing"

	"github.com/picket-dev/picket/agent/internal/block/child"
	"github.com/picket-dev/picket/agent/teardown"
)

// Whoever is about to touch a device reads of it what the inventory has read (35).
func TestRow35_UnitIsWhatTheInventorySays(t *testing.T) {
	for name, build := range map[string]func() fixture{
		"multipath": multipathFixture, "LUKS": luksFixture, "LVM": lvmFixture, "OSD": osdFixture, "nbd": nbdFixture,
		"NVMe": nvmeFixture, "raw": rawFixture, "in-tree": treeFixture,
	} {
		h := build().tree.write(t)
		for _, d := range NewReader(h, child.New(child.Default())).Read(t.Context()).Devices {
			dir := h.Sys + "/class/block/" + strings.ReplaceAll(d.Name, "/", "!")
			if d.Kind == teardown.RBD {
				dir = fmt.Sprintf("%s/bus/rbd/devices/%d", h.Sys, d.ID)
			}
			if got := Unit(dir); got != d.Unit() {
				t.Errorf("%s: %s is unit %q, and in the inventory %q", name, d.Name, got, d.Unit())
			}
		}
	}
	if got := Unit("/nothing/here"); got != "" {
		t.Errorf("of nothing: %q", got)
	}
}

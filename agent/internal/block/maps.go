package block

import (
	"slices"
	"strings"

	"github.com/picket-dev/picket/agent/internal/block/dm"
	"github.com/picket-dev/picket/agent/teardown"
)

// mapsRequest asks for the tables of device-mapper devices.
type mapsRequest struct {
	Control string // device-mapper's control device
	Devices []teardown.Number
}

// A table is what a device-mapper device does with requests. Its parameters
// stay in the child: those of dm-crypt hold the key.
type table struct {
	Device   teardown.Number
	Targets  []string // types, such as crypt or error
	Queueing bool     // keeps requests while no path is left
	Error    string
}

func readMaps(r mapsRequest) ([]table, error) {
	control, err := dm.Open(r.Control)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	var all []table
	for _, n := range r.Devices {
		t := table{Device: n}
		targets, err := control.Table(n.Major, n.Minor)
		if err != nil {
			t.Error = err.Error()
		}
		for _, target := range targets {
			t.Targets = append(t.Targets, target.Kind)
			t.Queueing = t.Queueing || target.Kind == "multipath" && slices.Contains(strings.Fields(target.Parameters), "queue_if_no_path")
		}
		all = append(all, t)
	}
	return all, nil
}

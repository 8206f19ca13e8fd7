package rejoin

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/picket-dev/picket/agent/internal/block/dm"
)

// onMap gives the step's map, once it is known to be the same, to do.
func (o order) onMap(do func(c *dm.Control, dir string) error) error {
	dir, err := o.device()
	if err != nil {
		return err
	}
	c, err := dm.Open(filepath.Join(o.Config.Host.Dev, "mapper/control"))
	if err != nil {
		return err
	}
	return errors.Join(do(c, dir), c.Close())
}

// cutMap puts an error table in the place of the map's.
func (o order) cutMap() error {
	return o.onMap(func(c *dm.Control, dir string) error {
		text, err := os.ReadFile(filepath.Join(dir, "size"))
		if err != nil {
			return err
		}
		sectors, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
		if err != nil || sectors == 0 {
			return fmt.Errorf("size of %s: %q is no number of sectors", o.Step.Name, text)
		}
		return c.Wipe(o.Step.Device.Major, o.Step.Device.Minor, sectors)
	})
}

// removeMap removes a map: of dm-crypt, of LVM, or another.
func (o order) removeMap() error {
	return o.onMap(func(c *dm.Control, _ string) error {
		return c.Remove(o.Step.Device.Major, o.Step.Device.Minor)
	})
}

// failQueue makes a multipath map fail what it keeps. Multipathd, where it runs,
// would turn the map's own switch back.
func (o order) failQueue() error {
	return o.onMap(func(c *dm.Control, _ string) error {
		err := o.multipathd("disablequeueing map " + o.Step.Map)
		if !errors.Is(err, errNoDaemon) {
			return err
		}
		return c.Tell(o.Step.Device.Major, o.Step.Device.Minor, "fail_if_no_path")
	})
}

// flushMultipath removes a multipath map, by multipathd where it runs, so that
// it lets go, too.
func (o order) flushMultipath() error {
	return o.onMap(func(c *dm.Control, _ string) error {
		err := o.multipathd("del map " + o.Step.Map)
		if !errors.Is(err, errNoDaemon) {
			return err
		}
		return c.Remove(o.Step.Device.Major, o.Step.Device.Minor)
	})
}

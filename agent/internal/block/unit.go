package block

import (
	"strings"

	"github.com/picket-dev/picket/agent/teardown"
)

// Unit returns what teardown.Device.Unit says of the device that has a directory
// below /sys/class/block or /sys/bus/rbd/devices by now; nothing where that cannot be
// read. It asks neither the storage nor for a lock.
func Unit(dir string) string {
	var l look // what cannot be read is another unit
	if exists(dir + "/pool") {
		return teardown.Device{Kind: teardown.RBD, Image: l.image(dir)}.Unit()
	}
	if file, bound := l.backing(dir); bound {
		return file
	}
	if uuid, ok := l.attr(dir + "/dm/uuid"); ok {
		return mapWWID(uuid)
	}
	if text, ok := l.attr(dir + "/device/wwid"); ok {
		return scsiWWID(text)
	}
	wwid, _ := l.attr(dir + "/wwid") // NVMe's
	return wwid
}

// backing reads the file that a loop device serves, and whether it serves one.
func (l *look) backing(dir string) (file string, bound bool) {
	file, bound = l.attr(dir + "/loop/backing_file")
	return strings.TrimSuffix(file, " (deleted)"), bound
}

// mapWWID returns the WWID of a map with this device-mapper UUID: that of a multipath
// map is its paths'.
func mapWWID(uuid string) string { return strings.TrimPrefix(uuid, "mpath-") }

package block

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/picket-dev/picket/agent/teardown"
)

// A node is a block device while the look is under way.
type node struct {
	teardown.Device
	dir string // in sysfs, without the symbolic links of /sys/class
	pid int    // of an nbd device: the process that serves it
}

// devices lists the block devices. What they are made of is filled in where
// sysfs says so.
func (l *look) devices() []node {
	var all []node
	for _, name := range l.names(l.sys("class/block")) {
		link, err := os.Readlink(l.sys("class/block", name))
		if err != nil {
			if !gone(err) {
				l.note(l.sys("class/block", name), err)
			}
			continue
		}
		n := node{dir: filepath.Join(l.sys("class/block"), link)}
		n.Name = strings.ReplaceAll(name, "!", "/") // sysfs cannot have slashes in names
		if l.readNode(&n) {
			all = append(all, n)
		}
	}
	byName := make(map[string]teardown.Number)
	for _, n := range all {
		byName[n.Name] = n.Number
	}
	for i := range all {
		l.readSlaves(&all[i], byName)
	}
	slices.SortFunc(all, func(a, b node) int { return compareNumbers(a.Number, b.Number) })
	return all
}

// readNode reads what every device has. It reports whether this is one that
// can hold anything: not a loop or nbd device that waits for use, and not the
// hidden path of an NVMe namespace.
func (l *look) readNode(n *node) bool {
	if hidden, _ := l.attr(n.dir + "/hidden"); hidden == "1" {
		return false
	}
	text, ok := l.attr(n.dir + "/dev")
	number, err := parseNumber(text)
	switch {
	case !ok && !exists(n.dir):
		return false
	case !ok:
		err = errors.New("it has no device number")
	}
	if err != nil {
		l.note("block device "+n.Name, err)
		return false
	}
	n.Number = number
	n.InFlight = l.inFlight(n)
	return l.classify(n)
}

// inFlight sums the reads and writes that have not been answered.
func (l *look) inFlight(n *node) int {
	text, ok := l.attr(n.dir + "/inflight")
	fields := strings.Fields(text)
	if !ok || len(fields) != 2 {
		return -1
	}
	reads, err := strconv.ParseUint(fields[0], 10, 31)
	writes, err2 := strconv.ParseUint(fields[1], 10, 31)
	if err != nil || err2 != nil {
		return -1
	}
	return int(reads) + int(writes)
}

// The names of devices that the name alone tells. What has none of them stays
// unknown, and is never touched.
var (
	raid  = regexp.MustCompile(`^md(\d|_|$)`)
	drbd  = regexp.MustCompile(`^drbd\d`)
	local = regexp.MustCompile(`^(vd|xvd|hd|sr|mmcblk|dasd|pmem|fd|cciss/)`)
	other = regexp.MustCompile(`^(zram|ram|bcache|ublkb)\d`)
)

// classify finds out what a device is, and reads what is particular to it. It
// reports whether the device is in use at all.
func (l *look) classify(n *node) bool {
	switch name := n.Name; {
	case exists(n.dir + "/partition"):
		n.Kind = teardown.Partition
	case strings.HasPrefix(name, "dm-"):
		l.readMap(n)
	case strings.HasPrefix(name, "loop"):
		n.Kind = teardown.Loop
		var bound bool
		n.Backing, bound = l.backing(n.dir)
		return bound
	case strings.HasPrefix(name, "nbd"):
		return l.readNBD(n)
	case strings.HasPrefix(name, "rbd"):
		n.Kind = teardown.RBD // and what it maps: see rbds
	case strings.HasPrefix(name, "sd"):
		l.readSCSI(n)
	case strings.HasPrefix(name, "nvme"):
		l.readNVMe(n)
	case raid.MatchString(name):
		n.Kind = teardown.MD
	case drbd.MatchString(name):
		n.Kind = teardown.DRBD
	case local.MatchString(name):
		n.Kind = teardown.Disk
	case other.MatchString(name):
		n.Kind = teardown.Other
	}
	return true
}

// readMap reads a device-mapper device, which tells in its UUID who made it.
func (l *look) readMap(n *node) {
	n.Map, _ = l.attr(n.dir + "/dm/name")
	uuid, _ := l.attr(n.dir + "/dm/uuid")
	n.Kind, n.WWID = teardown.Other, mapWWID(uuid)
	switch prefix, _, _ := strings.Cut(uuid, "-"); {
	case prefix == "mpath":
		n.Kind = teardown.Multipath
	case prefix == "CRYPT":
		n.Kind = teardown.Crypt
	case prefix == "LVM":
		n.Kind = teardown.LogicalVolume
	case strings.HasPrefix(prefix, "part"):
		n.Kind = teardown.Linear
	}
	if n.Map == "" {
		l.noteDevice(n.Number, "device-mapper's name of "+n.Name, errors.New("there is none"))
	}
}

// readNBD reads who serves an nbd device.
func (l *look) readNBD(n *node) bool {
	n.Kind = teardown.Other // until it proves to be rbd-nbd's
	pid, served := l.attr(n.dir + "/pid")
	if !served {
		size, ok := l.attr(n.dir + "/size")
		return ok && size != "0"
	}
	var err error
	if n.pid, err = strconv.Atoi(pid); err != nil || n.pid <= 0 {
		n.pid = 0
		l.noteDevice(n.Number, "process that serves "+n.Name, errors.New("no number: "+strconv.Quote(pid)))
	}
	return true
}

// unit finds the session and the logical unit in the path of a SCSI device.
var unit = regexp.MustCompile(`/session(\d+)/target[^/]*/\d+:\d+:\d+:(\d+)/`)

func (l *look) readSCSI(n *node) {
	n.Kind = teardown.Disk
	if m := unit.FindStringSubmatch(n.dir); m != nil {
		lun, err := strconv.ParseUint(m[2], 10, 64)
		if err != nil {
			l.noteDevice(n.Number, "logical unit of "+n.Name, err)
		}
		n.Kind, n.Session, n.LUN = teardown.ISCSI, m[1], lun
	}
	if text, ok := l.attr(n.dir + "/device/wwid"); ok {
		n.WWID = scsiWWID(text)
	}
	state, ok := l.attr(n.dir + "/device/state")
	n.Cut = ok && state == "offline"
	n.Lost = n.Kind == teardown.ISCSI && (state == "blocked" || state == "transport-offline")
}

// scsiWWID turns the kernel's form of a SCSI identifier, such as naa.6001…,
// into that of udev and multipath, 36001…, by which files name it.
func scsiWWID(text string) string {
	kind, id, ok := strings.Cut(text, ".")
	if !ok {
		return text
	}
	digit, ok := map[string]string{"naa": "3", "eui": "2", "t10": "1"}[kind]
	if !ok {
		return text
	}
	return digit + strings.Join(strings.Fields(id), "_")
}

// readNVMe finds out whether a namespace is reached over a network: by all
// controllers of its subsystem, or by its only one.
func (l *look) readNVMe(n *node) {
	n.WWID, _ = l.attr(n.dir + "/wwid")
	parent := filepath.Dir(n.dir)
	controllers := []string{parent}
	if strings.HasPrefix(filepath.Base(parent), "nvme-subsys") {
		controllers = nil
		for _, name := range l.names(parent) {
			if c := filepath.Join(parent, name); nvmeController.MatchString(name) && exists(c+"/transport") {
				controllers = append(controllers, c)
			}
		}
	}
	transports := make(map[bool]int)
	for _, c := range controllers {
		if transport, ok := l.attr(c + "/transport"); ok {
			transports[transport == "pcie" || transport == "apple-nvme"]++
		}
	}
	n.NQN, _ = l.attr(parent + "/subsysnqn")
	switch {
	case transports[true] > 0:
		n.Kind, n.NQN = teardown.Disk, ""
	case transports[false] > 0:
		n.Kind = teardown.NVMeFabric
	default:
		l.noteDevice(n.Number, "transport of "+n.Name, errors.New("no controller says it"))
	}
}

var nvmeController = regexp.MustCompile(`^nvme\d+$`)

// readSlaves reads what lies directly below a device.
func (l *look) readSlaves(n *node, byName map[string]teardown.Number) {
	var names []string
	if n.Kind == teardown.Partition {
		names = []string{filepath.Base(filepath.Dir(n.dir))}
	} else {
		names = l.names(n.dir + "/slaves")
	}
	for _, name := range names {
		number, ok := byName[strings.ReplaceAll(name, "!", "/")]
		switch {
		case !ok && strings.HasPrefix(n.Name, "dm-") && !exists(l.sys("class/block", name)):
			continue // a path whose session has ended: the map keeps its name
		case !ok:
			l.noteDevice(n.Number, "what lies below "+n.Name, errors.New("no such device: "+name))
			continue
		}
		n.Slaves = append(n.Slaves, number)
	}
	slices.SortFunc(n.Slaves, compareNumbers)
}

// parseNumber reads a device number such as 8:16.
func parseNumber(text string) (teardown.Number, error) {
	major, minor, ok := strings.Cut(text, ":")
	a, err := strconv.ParseUint(major, 10, 32)
	b, err2 := strconv.ParseUint(minor, 10, 32)
	if !ok || err != nil || err2 != nil {
		return teardown.Number{}, fmt.Errorf("no device number: %.80q", text)
	}
	return teardown.Number{Major: uint32(a), Minor: uint32(b)}, nil
}

func compareNumbers(a, b teardown.Number) int {
	return cmp.Or(cmp.Compare(a.Major, b.Major), cmp.Compare(a.Minor, b.Minor))
}

// exists reports whether there is such a file in procfs or sysfs.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

package block

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/picket-dev/picket/agent/teardown"
)

// sessions lists the iSCSI sessions. onboot says of which targets the session is the
// host's.
func (l *look) sessions(onboot map[string]bool) {
	connections := l.names(l.sys("class/iscsi_connection"))
	for _, name := range l.names(l.sys("class/iscsi_session")) {
		id, ok := strings.CutPrefix(name, "session")
		dir := l.sys("class/iscsi_session", name)
		target, known := l.attr(dir + "/targetname")
		if !known && !exists(dir) {
			continue // it was logged out just now
		}
		s := teardown.Session{ID: id, Target: target, Boot: onboot[target]}
		if !ok || target == "" {
			l.note("iSCSI "+name, errors.New("it has no target"))
		}
		for _, c := range connections {
			if strings.HasPrefix(c, "connection"+id+":") {
				s.Portal = l.portal(l.sys("class/iscsi_connection", c))
			}
		}
		if s.Portal == "" {
			l.note("portal of iSCSI "+name, errors.New("no connection has an address"))
		}
		s.Others = l.units(name, dir)
		l.inv.Sessions = append(l.inv.Sessions, s)
	}
	slices.SortFunc(l.inv.Sessions, func(a, b teardown.Session) int { return compareNatural(a.ID, b.ID) })
}

// portal returns where a connection leads, as open-iscsi names it.
func (l *look) portal(dir string) string {
	address, _ := l.attr(dir + "/persistent_address")
	port, _ := l.attr(dir + "/persistent_port")
	if address == "" || port == "" {
		return ""
	}
	return net.JoinHostPort(address, port)
}

// units returns the logical units of a session that need it without having a
// block device, such as a tape. Of a disk the device is on its way in or out,
// which is unknown for that long. Units that hold nothing, such as the controller
// that many targets have as number 0, do not count.
func (l *look) units(name, dir string) (others []string) {
	base, err := filepath.EvalSymlinks(dir + "/device")
	if err != nil {
		if !gone(err) {
			l.note("units of iSCSI "+name, err)
		}
		return nil
	}
	for _, target := range l.names(base) {
		if !strings.HasPrefix(target, "target") {
			continue
		}
		for _, unit := range l.names(filepath.Join(base, target)) {
			at := filepath.Join(base, target, unit)
			kind, ok := l.attr(at + "/type")
			switch {
			case !address.MatchString(unit) || !ok || HoldsNothing(kind) || exists(at+"/block"):
			case isDisk(kind):
				l.note(fmt.Sprintf("unit %s of iSCSI %s", unit, name), errors.New("it is a disk without a block device"))
			default:
				others = append(others, fmt.Sprintf("unit %s (SCSI type %s)", unit, kind))
			}
		}
	}
	return others
}

// address is a SCSI address: host, channel, target, unit.
var address = regexp.MustCompile(`^\d+:\d+:\d+:\d+$`)

// isDisk reports whether a SCSI device type is one that gets a block device by
// the kernel's driver for disks: a disk, a magneto-optical one, one of reduced
// commands, or one of zones.
func isDisk(kind string) bool {
	return slices.Contains([]string{"0", "7", "14", "20"}, kind)
}

// HoldsNothing reports whether a SCSI device type, as sysfs writes it, is that of
// a processor, a storage array's controller, an enclosure, a well-known unit, or
// of none.
func HoldsNothing(kind string) bool {
	return slices.Contains([]string{"3", "12", "13", "30", "31"}, kind)
}

// onboot returns the targets that firmware, the kernel's arguments or a node
// record name as what the host boots from, and those that its own files name.
func (l *look) onboot() map[string]bool {
	targets := make(map[string]bool)
	for _, t := range l.targets {
		targets[t] = true
	}
	for _, r := range l.inv.Records {
		if r.Startup == "onboot" {
			targets[r.Target] = true
		}
	}
	for _, table := range l.names(l.sys("firmware")) {
		if table != "ibft" && !strings.HasPrefix(table, "iscsi_boot") {
			continue
		}
		for _, entry := range l.names(l.sys("firmware", table)) {
			if target, ok := l.attr(l.sys("firmware", table, entry, "target-name")); ok {
				targets[target] = true
			}
		}
	}
	arguments, _ := l.attr(l.proc("cmdline"))
	for _, word := range strings.FieldsFunc(arguments, func(r rune) bool { return strings.ContainsRune(" =\"\n\t", r) }) {
		if i := strings.Index(word, "iqn."); i >= 0 {
			targets[word[i:]] = true // netroot=iscsi:ADDRESS::::TARGET, too
		}
	}
	return targets
}

// compareNatural orders session IDs as numbers.
func compareNatural(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

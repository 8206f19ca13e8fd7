package teardown

import (
	"strings"
	"time"
)

// An Op is what a step does.
type Op int

// The operations, roughly in the order in which a plan has them. What each
// needs is in the fields of its Step; how it shows in the next inventory is
// what makes it done, since exit codes prove nothing.
const (
	OpUnknown Op = iota
	// Wait changes nothing: it waits until the device has no requests in
	// flight, the process is gone, or the kernel's client of the cluster is.
	Wait
	// Offline writes "offline" to the state of a SCSI device. Requests in flight
	// are failed when the target is reached again, and not sent again. It lasts
	// until the session recovers: open-iscsi then sets every unit running.
	Offline
	// CutMap puts an error table in the place of a device-mapper map: suspend
	// without flush or lock, dmsetup wipe_table --force --noflush --nolockfs.
	CutMap
	// FailQueue makes a multipath map without paths fail what it keeps:
	// multipathd disablequeueing, since multipathd turns the map's own
	// fail_if_no_path back; the message to the map only where no multipathd is.
	FailQueue
	// UnmapRBD writes "ID force" to remove_single_major. New requests fail, and
	// those in flight are waited for. Its child is killed after half of the
	// bound: cut off from the cluster it waits, killably, to end its watch, and
	// the kill completes it.
	UnmapRBD
	// Note stores the step's Note in the host's /run, durably enough to outlive
	// the agent; from then on it is one of the inventory's Volumes, until the
	// node is Clean. Once unmounted, nothing else may tell whose a device was.
	Note
	// SetManual sets node.startup of a node record to manual, so that nothing
	// logs in again.
	SetManual
	// Logout ends an iSCSI session, and with it all its devices.
	Logout
	// ShutDown is FS_IOC_SHUTDOWN without a flush of the log; it helps, and is
	// not needed: once tried, the mount counts as told.
	ShutDown
	// Freeze writes 1 to cgroup.freeze of the pod.
	Freeze
	// Kill writes 1 to cgroup.kill of the pod.
	Kill
	// Unmount unmounts one mount in its namespace, neither lazily nor by force.
	Unmount
	// DetachLoop, CloseCrypt, Deactivate, RemoveMap and FlushMultipath close
	// what lies above the volume's device: a loop device, dm-crypt, a logical
	// volume (by its map, since LVM would ask its disks), another map, and a
	// multipath map (multipath -f, so that multipathd lets go, too).
	DetachLoop
	CloseCrypt
	Deactivate
	RemoveMap
	FlushMultipath
	// DeleteSCSI removes one SCSI device; its session stays.
	DeleteSCSI
	// UnmapNBD and Disconnect end a device that nothing uses: of rbd-nbd, and of
	// an NVMe subsystem all of whose namespaces are stale.
	UnmapNBD
	Disconnect
	// Verify takes a fresh inventory and plans again: the verdict must be Clean.
	Verify
	// Attest publishes Clean in the own NodeGuard.
	Attest
)

// An operation is what Op stands for.
type operation struct {
	name  string
	bound time.Duration
}

// ops says of each operation what it is called and how long it may take until
// it is stuck. The times are several times the longest that was measured: a logout
// during an outage took 6.4 s, an unmount after a fence 0.2 s, an unmapping 0.6 s.
func ops() []operation {
	return []operation{
		OpUnknown:      {"Unknown", 0},
		Wait:           {"Wait", 10 * time.Second},
		Offline:        {"Offline", 2 * time.Second},
		CutMap:         {"CutMap", 5 * time.Second},
		FailQueue:      {"FailQueue", 5 * time.Second},
		UnmapRBD:       {"UnmapRBD", 10 * time.Second},
		Note:           {"Note", 2 * time.Second},
		SetManual:      {"SetManual", 5 * time.Second},
		Logout:         {"Logout", 20 * time.Second},
		ShutDown:       {"ShutDown", 3 * time.Second},
		Freeze:         {"Freeze", 3 * time.Second},
		Kill:           {"Kill", 10 * time.Second},
		Unmount:        {"Unmount", 5 * time.Second},
		DetachLoop:     {"DetachLoop", 3 * time.Second},
		CloseCrypt:     {"CloseCrypt", 5 * time.Second},
		Deactivate:     {"Deactivate", 5 * time.Second},
		RemoveMap:      {"RemoveMap", 5 * time.Second},
		FlushMultipath: {"FlushMultipath", 5 * time.Second},
		DeleteSCSI:     {"DeleteSCSI", 5 * time.Second},
		UnmapNBD:       {"UnmapNBD", 10 * time.Second},
		Disconnect:     {"Disconnect", 10 * time.Second},
		Verify:         {"Verify", 5 * time.Second},
		Attest:         {"Attest", 30 * time.Second},
	}
}

// String returns the operation's name.
func (o Op) String() string {
	if all := ops(); o >= 0 && int(o) < len(all) {
		return all[o].name
	}
	return ops()[OpUnknown].name
}

// bound is how long the operation may take.
func (o Op) bound() time.Duration { return ops()[o].bound }

// A Step is one thing to do. Only the fields that its operation needs are set.
type Step struct {
	Op     Op            `json:"op"`
	Volume string        `json:"volume,omitempty"` // whom it is for: a PersistentVolume's name, or the best there is
	Bound  time.Duration `json:"bound"`            // a step that takes longer is stuck
	Why    string        `json:"why"`

	// Device and Name are the device's number and kernel name, Map its name in
	// device-mapper, ID its number on the rbd bus, NQN its NVMe subsystem.
	// They and Unit are to be checked again just before: the kernel gives number and
	// name to the next device, once there is room.
	Device Number `json:"device,omitzero"`
	Name   string `json:"name,omitempty"`
	Map    string `json:"map,omitempty"`
	Unit   string `json:"unit,omitempty"` // Device.Unit when the plan was made
	ID     int    `json:"id,omitempty"`
	NQN    string `json:"nqn,omitempty"`
	// Units are all devices that go with the session or the subsystem, each as
	// UnitWord has it, in order and a blank between them: with others it is refused.
	Units string `json:"units,omitempty"`

	// Mount is the mount's ID, Namespace where it is, PID a process by which
	// that can be entered, Point where it is there.
	Mount     int    `json:"mount,omitempty"`
	Namespace uint64 `json:"namespace,omitempty"`
	PID       int    `json:"pid,omitempty"` // of Wait: the process to wait for
	Point     string `json:"point,omitempty"`

	// Session is an iSCSI session's ID; the others name it or a node record.
	Session   string `json:"session,omitempty"`
	Target    string `json:"target,omitempty"`
	Portal    string `json:"portal,omitempty"`
	Interface string `json:"interface,omitempty"`

	Pod    string `json:"pod,omitempty"` // UID
	Cgroup string `json:"cgroup,omitempty"`
	Client Client `json:"client,omitzero"`
	Note   Volume `json:"note,omitzero"`
}

// units returns the devices that match, as Step.Units has them.
func units(devices []Device, match func(Device) bool) string {
	var words []string
	for _, d := range devices {
		if match(d) {
			words = append(words, UnitWord(d.Number.String(), d.Unit()))
		}
	}
	return strings.Join(words, " ")
}

// UnitWord returns a device's number and unit in one word, such as 8:16=36001.
func UnitWord(number, unit string) string {
	if unit == "" {
		return number
	}
	return number + "=" + strings.Join(strings.Fields(unit), "_")
}

// Unit returns what tells the device from the next one that has its number and name:
// its WWID, its image, or a loop device's file. Empty: nothing does.
func (d Device) Unit() string {
	switch i := d.Image; d.Kind {
	case RBD:
		return strings.Join([]string{i.Cluster, i.Pool, i.Namespace, i.Name, i.Snapshot}, "/")
	case Loop:
		return d.Backing
	default:
		return d.WWID
	}
}

// step returns a step of the stack, bounded as its operation is.
func (s *stack) step(op Op, why string) Step {
	s.planned = true
	return Step{Op: op, Volume: s.moved(), Bound: op.bound(), Why: why}
}

// moved returns the name of a volume of the stack that has moved, or nothing.
func (s *stack) moved() string {
	for _, v := range s.volumes {
		if stale, _ := v.stale(); stale {
			return v.name()
		}
	}
	return ""
}

// on adds the device.
func (s Step) on(d Device) Step {
	s.Device, s.Name, s.Map, s.Unit = d.Number, d.Name, d.Map, d.Unit()
	return s
}

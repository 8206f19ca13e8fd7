package teardown

import (
	"slices"
)

// A stack is all devices that lie above or below one another or are paths to
// the same unit, with what uses them. A network file system is one without
// devices; so is what is left of a device that is gone.
type stack struct {
	numbers   []Number // of all members, sorted; some may be gone
	devices   []Device // those that are there, by number
	mounts    []Mount
	processes []Process // that have a member open, but for the agent's own
	unknown   []Unknown

	volumes    []*volume       // that claim it, by name
	identified []Number        // devices that metadata or the API name
	pods       []string        // UIDs of those that use it, sorted
	fading     map[uint64]bool // namespaces that go when these pods are killed
	differs    []string        // who claims its place, but means another unit
	strays     []string        // leaves that no claim covers

	host     []string // why it is the host's
	blockers []string // why it can be neither left as it is nor torn down
	stale    bool     // to be torn down, if nothing blocks
	planned  bool     // the plan has a step for it
	uncut    bool     // something may be writing to it, and nothing cuts that off
}

// used reports whether anything could write to the stack.
func (s *stack) used() bool { return len(s.mounts)+len(s.processes) > 0 }

// clears reports whether the stack is to be torn down.
func (s *stack) clears() bool { return s.stale && len(s.blockers) == 0 }

// volatile reports whether a file system holds nothing that another node could have.
func volatile(fs string) bool {
	switch fs {
	case "tmpfs", "ramfs", "hugetlbfs", "overlay", "proc", "sysfs", "devpts", "mqueue", "cgroup2":
		return true
	}
	return false
}

// findStacks joins what belongs together.
func (h *host) findStacks() {
	set := newJoined(compareNumber)
	for _, d := range h.Devices {
		set.join(d.Number, d.Number)
		for _, slave := range d.Slaves {
			set.join(d.Number, slave)
		}
	}
	units := map[string]Number{}
	for _, d := range h.Devices {
		if first, ok := units[d.WWID]; ok && d.WWID != "" {
			set.join(first, d.Number)
		} else {
			units[d.WWID] = d.Number
		}
	}
	var mounts []Mount
	for _, m := range h.Mounts {
		if volatile(m.FS) {
			continue
		}
		n, ok := h.deviceOf(m)
		_, placed := placeOf(h.Roots, m.Point)
		if !ok && (!placed || m.FS == "devtmpfs") {
			continue // neither a device nor a volume
		}
		if m.FS != "devtmpfs" {
			set.join(m.Device, m.Device)
			if ok {
				set.join(n, m.Device)
			}
		} else {
			set.join(n, n)
		}
		mounts = append(mounts, m)
	}
	for _, p := range h.Processes {
		for _, n := range p.Opens {
			set.join(n, n)
		}
	}
	for _, u := range h.Unknown {
		if (u.Device != Number{}) {
			set.join(u.Device, u.Device)
		}
	}
	h.collect(set, mounts)
}

// collect makes a stack of each joined set.
func (h *host) collect(set *joined[Number], mounts []Mount) {
	for _, n := range set.members() {
		root := set.find(n)
		s, ok := h.stackOf[root]
		if !ok {
			s = &stack{}
			h.stackOf[root] = s
			h.stacks = append(h.stacks, s)
		}
		h.stackOf[n] = s
		s.numbers = append(s.numbers, n)
		if d, ok := h.device[n]; ok {
			s.devices = append(s.devices, d)
		}
	}
	slices.SortStableFunc(h.stacks, func(a, b *stack) int { return compareNumber(h.bottom(a), h.bottom(b)) })
	for _, m := range mounts {
		s := h.stackOf[h.numberOf(m)]
		s.mounts = append(s.mounts, m)
	}
	for _, p := range h.Processes {
		for _, n := range p.Opens {
			if s := h.stackOf[n]; !p.Agent && !h.attends(p, n) && !slices.ContainsFunc(s.processes, func(q Process) bool { return q.PID == p.PID }) {
				s.processes = append(s.processes, p)
			}
		}
	}
	for _, u := range h.Unknown {
		if s, ok := h.stackOf[u.Device]; ok && (u.Device != Number{}) {
			s.unknown = append(s.unknown, u)
		}
	}
}

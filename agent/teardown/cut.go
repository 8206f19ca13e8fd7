package teardown

import (
	"fmt"
	"slices"
)

// isMap reports whether the kind is a device-mapper map.
func isMap(k Kind) bool {
	return k == Multipath || k == Crypt || k == LogicalVolume || k == Linear
}

// uses returns how a disk is used: the maps that lie directly above it or its
// partitions, and whether anything uses these otherwise.
func (h *host) uses(d Device) (maps []Device, direct bool) {
	s := h.stackOf[d.Number]
	own := reach(d.Number, func(n Number) []Number {
		return slices.DeleteFunc(slices.Clone(h.holders[n]), func(n Number) bool { return isMap(h.device[n].Kind) })
	})
	for _, n := range own {
		for _, holder := range h.holders[n] {
			if isMap(h.device[holder].Kind) {
				maps = append(maps, h.device[holder])
			}
		}
		direct = direct || h.device[n].Kind == Loop ||
			slices.ContainsFunc(s.mounts, func(m Mount) bool { return h.numberOf(m) == n }) ||
			slices.ContainsFunc(s.processes, func(p Process) bool { return slices.Contains(p.Opens, n) })
	}
	return maps, direct
}

// cutAbove reports whether a mapped image is used by maps alone, and these are
// cut: nothing can reach it any more.
func (h *host) cutAbove(d Device) bool {
	maps, direct := h.uses(d)
	return !direct && len(maps) > 0 && !slices.ContainsFunc(maps, func(m Device) bool { return !m.Cut })
}

// cut makes sure, in the kernel, that nothing reaches the storage any more:
// whatever comes after it, an unmount, a last close or the death of a process,
// would otherwise write dirty pages back. Images with requests in flight have
// to settle first.
func (h *host) cut(s *stack) []Step {
	var steps []Step
	for _, d := range h.leaves(s) {
		if !h.unsettled(d) {
			steps = append(steps, h.cutOff(s, d)...)
		}
	}
	return steps
}

// failQueue makes maps fail what they keep. It comes after the early logouts:
// multipathd turns queueing on again when a path goes.
func (h *host) failQueue(s *stack) []Step {
	var steps []Step
	for _, d := range s.devices {
		if d.Kind == Multipath && d.Queueing {
			steps = append(steps, s.step(FailQueue, "without a path it would keep what is written, and hang every unmount").on(d))
		}
	}
	return steps
}

// cutOff returns the steps that cut off one disk.
func (h *host) cutOff(s *stack, d Device) []Step {
	maps, direct := h.uses(d)
	switch {
	case d.Kind == ISCSI && d.Lost && !d.Cut:
		return nil // the logout cuts it off
	case d.Kind == ISCSI && !d.Cut:
		return []Step{s.step(Offline, "cut first: unmounting, closing and killing write dirty pages back").on(d)}
	case d.Kind == RBD && direct:
		st := s.step(UnmapRBD, "cut first: unmapped by force, it drops what is dirty, and no request is in flight").on(d)
		st.ID = d.ID
		return []Step{st}
	case d.Kind == RBD:
		// A map with an error table has nothing below it any more.
		steps := h.noteOf(s, d)
		for _, m := range maps {
			if !m.Cut {
				steps = append(steps, s.step(CutMap, fmt.Sprintf("cut first: an error table keeps dirty pages from %s", d.Name)).on(m))
			}
		}
		return steps
	}
	return nil
}

// unsettled reports whether an image has requests in flight that end by
// themselves, and that a cut would wait for as well, where nothing can kill it.
func (h *host) unsettled(d Device) bool {
	return d.Kind == RBD && d.InFlight > 0 && !d.Cut && !h.cutAbove(d)
}

// settle waits for such requests, and then cuts. It comes when all else is cut.
func (h *host) settle(s *stack) []Step {
	var steps []Step
	for _, d := range h.leaves(s) {
		if h.unsettled(d) {
			wait := s.step(Wait, "nothing uses it: what is in flight is no write of this boot").on(d)
			steps = append(append(steps, wait), h.cutOff(s, d)...)
		}
	}
	return steps
}

// direct reports whether something else than maps uses a mapped image: unmapping
// it is then what cuts it off.
func (h *host) direct(d Device) bool {
	_, direct := h.uses(d)
	return direct
}

// shutDown tells each file system on the stack that can be told to stop.
func (h *host) shutDown(s *stack) []Step {
	var steps []Step
	mounts := slices.Clone(s.mounts)
	h.sortDeepest(mounts)
	slices.SortStableFunc(mounts, func(a, b Mount) int { // the host's own first
		return h.first(b) - h.first(a)
	})
	var seen []Number
	for _, m := range mounts {
		if m.FS != "ext4" && m.FS != "xfs" || slices.Contains(seen, m.Device) {
			continue
		}
		seen = append(seen, m.Device)
		told := func(n Mount) bool { return n.Device == m.Device && n.ShutDown }
		if ns := h.namespace[m.Namespace]; ns.PID != 0 && !m.Deleted && !slices.ContainsFunc(mounts, told) {
			steps = append(steps, h.at(s.step(ShutDown, "the file system forgets what it has not written"), m))
		}
	}
	return steps
}

func (h *host) first(m Mount) int {
	if h.namespace[m.Namespace].Host {
		return 1
	}
	return 0
}

// at adds the mount.
func (h *host) at(st Step, m Mount) Step {
	st.Device, st.Mount, st.Namespace, st.Point = h.numberOf(m), m.ID, m.Namespace, m.Point
	st.PID = h.namespace[m.Namespace].PID
	return st
}

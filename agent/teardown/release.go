package teardown

import (
	"cmp"
	"slices"
)

// steps returns what tears down all stacks that can be, in phases: each over
// all stacks before the next, so that everything is cut before anything else is
// done, and all the more before anything is killed or unmounted.
func (h *host) steps() []Step {
	var all []Step
	each := func(phase func(*stack) []Step) {
		for _, s := range h.stacks {
			if s.clears() {
				all = append(all, phase(s)...)
			}
		}
	}
	h.judgeSessions()
	each(h.cut)
	each(h.settle)
	each(h.note)
	all = append(all, h.setManual()...)
	all = append(all, h.logout(true)...)
	each(h.failQueue)
	each(h.settleShared)
	each(h.shutDown)
	all = append(all, h.freeze()...)
	all = append(all, h.kill()...)
	each(h.detach)
	each(h.unmount)
	each(h.close)
	each(h.release)
	all = append(all, h.logout(false)...)
	return append(all, h.leftovers()...)
}

// idle reports whether d is a loop device that nothing is mounted on.
func (h *host) idle(s *stack, d Device) bool {
	return d.Kind == Loop && len(h.holders[d.Number]) == 0 &&
		!slices.ContainsFunc(s.mounts, func(m Mount) bool { return h.numberOf(m) == d.Number })
}

// detach detaches idle loop devices: the kubelet's on a raw block volume holds the
// bound device node, which could not be unmounted.
func (h *host) detach(s *stack) []Step {
	var steps []Step
	for _, d := range s.devices {
		if h.idle(s, d) {
			steps = append(steps, s.step(DetachLoop, "it keeps the bound device node busy").on(d))
		}
	}
	return steps
}

func (h *host) unmount(s *stack) []Step {
	var steps []Step
	for _, m := range h.remaining(s) {
		why := "deepest first; never lazily, which only hides it"
		if h.first(m) == 0 {
			why = "another namespace holds it; found by its device number"
		}
		steps = append(steps, h.at(s.step(Unmount, why), m))
	}
	return steps
}

// closing returns by which operation each kind of upper device is closed.
func closing(k Kind) Op {
	switch k {
	case Loop:
		return DetachLoop
	case Crypt:
		return CloseCrypt
	case LogicalVolume:
		return Deactivate
	case Linear:
		return RemoveMap
	case Multipath:
		return FlushMultipath
	default:
		return OpUnknown
	}
}

// close closes what lies above the stack's disks, from the top.
func (h *host) close(s *stack) []Step {
	var upper []Device
	for _, d := range s.devices {
		if closing(d.Kind) != OpUnknown && !h.idle(s, d) {
			upper = append(upper, d)
		}
	}
	slices.SortFunc(upper, func(a, b Device) int {
		return cmp.Or(cmp.Compare(h.height(b.Number), h.height(a.Number)), compareNumber(a.Number, b.Number))
	})
	var steps []Step
	for _, d := range upper {
		steps = append(steps, s.step(closing(d.Kind), "nothing is above it any more").on(d))
	}
	return steps
}

// height returns how many devices lie below n at most, one below the other.
func (h *host) height(n Number) int {
	below := []Number{n}
	for steps := 0; ; steps++ {
		var next []Number
		for _, n := range below {
			next = append(next, h.device[n].Slaves...)
		}
		slices.SortFunc(next, compareNumber)
		next = slices.Compact(next)
		if len(next) == 0 || steps > len(h.device) {
			return steps
		}
		below = next
	}
}

// release removes the stack's disks, but for those that a logout removes.
func (h *host) release(s *stack) []Step {
	var steps []Step
	for _, d := range h.leaves(s) {
		switch d.Kind {
		case RBD:
			if !h.direct(d) {
				st := s.step(UnmapRBD, "nothing is above it any more").on(d)
				st.ID = d.ID
				steps = append(steps, st)
			}
		case ISCSI:
			if h.shared(d) {
				steps = append(steps, s.step(DeleteSCSI, "only this unit has moved: the session serves others, and stays").on(d))
			}
		case NBD:
			steps = append(steps, s.step(UnmapNBD, "nothing uses it").on(d))
		case NVMeFabric:
			first, all := h.subsystem(d)
			if !all {
				continue // it cannot be left alone, either
			}
			st := s.step(Disconnect, "nothing uses the subsystem").on(d)
			st.NQN = d.NQN
			st.Units = units(h.Devices, func(other Device) bool { return other.Kind == NVMeFabric && other.NQN == d.NQN })
			if first {
				steps = append(steps, st)
			}
		case KindUnknown, Disk, MD, DRBD, Other, Partition, Multipath, Crypt, LogicalVolume, Linear, Loop:
		}
	}
	return steps
}

// subsystem reports whether d is the first namespace of its NVMe subsystem, and
// whether all of them are torn down.
func (h *host) subsystem(d Device) (first, all bool) {
	first, all = true, true
	for _, other := range h.Devices {
		if other.Kind == NVMeFabric && other.NQN == d.NQN {
			first = first && compareNumber(d.Number, other.Number) <= 0
			all = all && h.stackOf[other.Number].clears()
		}
	}
	return first, all
}

// leftovers waits for what may still write although no device shows it: a
// process that hangs in the kernel, a client of a Ceph cluster without images.
func (h *host) leftovers() []Step {
	var steps []Step
	pods := h.doomed()
	for _, p := range h.Processes {
		left := p.Agent || p.Pod != "" && !slices.Contains(h.api.Pods, p.Pod) &&
			!slices.ContainsFunc(pods, func(q doomed) bool { return q.UID == p.Pod })
		if p.Stuck && left {
			steps = append(steps, Step{Op: Wait, Bound: Wait.bound(), PID: p.PID, Name: p.Name, Pod: p.Pod,
				Why: "it hangs in the kernel, where mount tables do not show what it holds"})
		}
	}
	if !h.aim.SameBoot {
		return steps
	}
	for _, c := range h.Clients {
		serves := func(d Device) bool {
			return d.Kind == RBD && d.Client.Cluster == c.Cluster && d.Client.ID == c.ID
		}
		if !slices.ContainsFunc(h.Devices, serves) {
			steps = append(steps, Step{Op: Wait, Bound: Wait.bound(), Client: c,
				Why: "an image is not gone while its client is there"})
		}
	}
	return steps
}

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
	each(h.cut)
	each(h.settle)
	each(h.note)
	all = append(all, h.setManual()...)
	all = append(all, h.logout(true)...)
	each(h.settleShared)
	each(h.shutDown)
	all = append(all, h.freeze()...)
	all = append(all, h.kill()...)
	each(h.unmount)
	each(h.close)
	each(h.release)
	all = append(all, h.logout(false)...)
	return append(all, h.leftovers()...)
}

// setManual keeps open-iscsi from logging in again to targets all of whose
// units have moved. It comes before the logout: an agent that dies between the
// two must not leave a session to come back.
func (h *host) setManual() []Step {
	var steps []Step
	for _, r := range h.Records {
		if r.Startup != "automatic" {
			continue
		}
		var served []*stack
		shared := false
		for _, session := range h.Sessions {
			if session.Target == r.Target {
				own := h.exclusive(session)
				served, shared = append(served, own...), shared || own == nil
			}
		}
		if len(served) > 0 && !shared {
			st := served[0].step(SetManual, "its record would log in again, and bring the moved volume's device back")
			st.Target, st.Portal, st.Interface = r.Target, r.Portal, r.Interface
			steps = append(steps, st)
		}
	}
	return steps
}

// exclusive returns the stacks that the session serves, if all of them are torn
// down, and nothing else that is known of it wants it.
func (h *host) exclusive(session Session) []*stack {
	if _, ok := h.session[session.ID]; !ok || session.Boot || slices.ContainsFunc(h.Records, func(r Record) bool {
		return r.Target == session.Target && r.Startup != "automatic" && r.Startup != "manual"
	}) {
		return nil
	}
	var served []*stack
	for _, d := range h.Devices {
		if d.Kind != ISCSI || d.Session != session.ID {
			continue
		}
		s := h.stackOf[d.Number]
		if !s.clears() {
			return nil
		}
		served = append(served, s)
	}
	return served
}

// logout ends sessions that serve nothing else: early those with requests in
// flight, which end with the session and which an unmount would wait for; the
// others once nothing is left above them.
func (h *host) logout(early bool) []Step {
	var steps []Step
	for _, session := range h.Sessions {
		served := h.exclusive(session)
		if served == nil || h.inFlight(session.ID) != early {
			continue
		}
		why := "nothing else uses the session"
		if early {
			why = "its requests in flight end with the session, here and now; nothing else uses it"
		}
		st := served[0].step(Logout, why)
		for _, s := range served {
			s.planned = true
		}
		st.Session, st.Target, st.Portal = session.ID, session.Target, session.Portal
		steps = append(steps, st)
	}
	return steps
}

// inFlight reports whether a device of the session has requests in flight, or
// may have.
func (h *host) inFlight(session string) bool {
	return slices.ContainsFunc(h.Devices, func(d Device) bool {
		return d.Kind == ISCSI && d.Session == session && d.InFlight != 0
	})
}

// settleShared waits for requests on units whose session must stay.
func (h *host) settleShared(s *stack) []Step {
	var steps []Step
	for _, d := range h.leaves(s) {
		if d.Kind == ISCSI && d.InFlight != 0 && h.exclusive(h.session[d.Session]) == nil && (h.aim.SameBoot || s.used()) {
			steps = append(steps, s.step(Wait, "its requests in flight fail once the target is reached; its session serves others, and stays (34)").on(d))
		}
	}
	return steps
}

// A doomed pod uses what is torn down, and still has processes.
type doomed struct {
	Pod
	by *stack // one that it uses
}

func (h *host) doomed() []doomed {
	var pods []doomed
	for _, p := range h.Pods {
		i := slices.IndexFunc(h.stacks, func(s *stack) bool { return s.clears() && slices.Contains(s.pods, p.UID) })
		if i >= 0 && p.Processes > 0 {
			pods = append(pods, doomed{p, h.stacks[i]})
		}
	}
	return pods
}

func (h *host) freeze() []Step {
	var steps []Step
	for _, p := range h.doomed() {
		if !p.Frozen {
			st := p.by.step(Freeze, "a frozen process neither writes nor starts another")
			st.Pod, st.Cgroup = p.UID, p.Cgroup
			steps = append(steps, st)
		}
	}
	return steps
}

func (h *host) kill() []Step {
	var steps []Step
	for _, p := range h.doomed() {
		st := p.by.step(Kill, "it holds the volume; what its end would write is cut off (27)")
		st.Pod, st.Cgroup = p.UID, p.Cgroup
		steps = append(steps, st)
		for _, s := range h.stacks {
			s.planned = s.planned || slices.Contains(s.pods, p.UID)
		}
	}
	return steps
}

func (h *host) unmount(s *stack) []Step {
	var steps []Step
	for _, m := range h.remaining(s) {
		why := "deepest first; never lazily, which only hides it"
		if h.first(m) == 0 {
			why = "another namespace holds it; found by its device number (37)"
		}
		steps = append(steps, h.at(s.step(Unmount, why), m))
	}
	return steps
}

// closing says by which operation each kind of upper device is closed.
var closing = map[Kind]Op{
	Loop: DetachLoop, Crypt: CloseCrypt, LogicalVolume: Deactivate, Linear: RemoveMap, Multipath: FlushMultipath,
}

// close closes what lies above the stack's disks, from the top.
func (h *host) close(s *stack) []Step {
	var upper []Device
	for _, d := range s.devices {
		if closing[d.Kind] != OpUnknown {
			upper = append(upper, d)
		}
	}
	slices.SortFunc(upper, func(a, b Device) int {
		return cmp.Or(cmp.Compare(h.height(b.Number), h.height(a.Number)), compareNumber(a.Number, b.Number))
	})
	var steps []Step
	for _, d := range upper {
		steps = append(steps, s.step(closing[d.Kind], "nothing is above it any more").on(d))
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
			if h.exclusive(h.session[d.Session]) == nil {
				steps = append(steps, s.step(DeleteSCSI, "only this unit has moved: the session serves others, and stays (34)").on(d))
			}
		case NBD:
			steps = append(steps, s.step(UnmapNBD, "nothing uses it").on(d))
		case NVMeFabric:
			first, all := h.subsystem(d)
			if !all {
				continue // it cannot be left alone, either
			}
			st := s.step(Disconnect, "nothing uses the subsystem").on(d)
			if st.NQN = d.NQN; first {
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
			steps = append(steps, Step{Op: Wait, Bound: ops[Wait].bound, PID: p.PID, Name: p.Name, Pod: p.Pod,
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
			steps = append(steps, Step{Op: Wait, Bound: ops[Wait].bound, Client: c,
				Why: "an image is not gone while its client is there"})
		}
	}
	return steps
}

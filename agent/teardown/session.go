package teardown

import (
	"slices"
)

// exclusive returns the stacks that the session serves, and whether all of them
// are torn down, and nothing else that is known of it wants it. One that serves
// none is so where only volumes that have moved come from its target: their units
// are on their way.
func (h *host) exclusive(session Session) (served []*stack, ok bool) {
	moved, stays := h.volumesOf(session.Target)
	if _, there := h.session[session.ID]; !there || session.Boot || len(session.Others) > 0 || stays || h.bootsFrom(session.Target) {
		return nil, false
	}
	for _, d := range h.Devices {
		if d.Kind != ISCSI || d.Session != session.ID {
			continue
		}
		s := h.stackOf[d.Number]
		if !s.clears() {
			return nil, false
		}
		served = append(served, s)
	}
	return served, len(served) > 0 || len(moved) > 0
}

// shared reports whether the device's session has to stay.
func (h *host) shared(d Device) bool {
	_, alone := h.exclusive(h.session[d.Session])
	return !alone
}

// sessionStep returns a step about a target, for the stacks that its sessions
// serve or, where they serve none, for a volume that comes from it.
func (h *host) sessionStep(op Op, target string, served []*stack, why string) Step {
	st := Step{Op: op, Bound: op.bound(), Why: why, Target: target}
	for _, s := range served {
		s.planned = true
	}
	if len(served) > 0 {
		st.Volume = served[0].moved()
	} else if moved, _ := h.volumesOf(target); len(moved) > 0 {
		st.Volume = moved[0].name()
	}
	return st
}

// judgeSessions refuses what only the end of its session would cut off, where the
// session serves others and has to stay: a unit in use, which is offline until
// the session recovers and no longer, and one that cannot even be set offline.
// Each refusal can leave a session serving others, and so the next one.
func (h *host) judgeSessions() {
	for again := true; again; {
		again = false
		for _, s := range h.stacks {
			for _, d := range h.leaves(s) {
				lost := d.Lost && !d.Cut
				if !s.clears() || d.Kind != ISCSI || !lost && !s.used() || !h.shared(d) {
					continue
				}
				s.uncut, again = s.used(), true
				if lost {
					s.block("%s cannot be set offline while its session is lost, which serves others, too", d.Name)
				} else {
					s.block("%s is in use, and is cut off only until its session recovers, which serves others, too", d.Name)
				}
			}
		}
	}
}

// logout ends sessions that serve nothing else: early those whose units are in
// use, since open-iscsi sets every unit running again when a session recovers,
// and what is dirty must not be written then; those with requests in flight,
// which end with the session and which an unmount would wait for; and those that
// are lost, whose units nothing else cuts off. First of all end those without
// units, while there are others to tell whose they are. The rest end once nothing
// is left above them.
func (h *host) logout(early bool) []Step {
	var steps []Step
	for _, session := range slices.SortedStableFunc(slices.Values(h.Sessions), func(a, b Session) int { return h.filled(a) - h.filled(b) }) {
		served, alone := h.exclusive(session)
		if !alone || h.urgent(session) != early {
			continue
		}
		why := "nothing else uses the session"
		switch {
		case len(served) == 0:
			why = "its units are on their way, and have moved"
		case early:
			why = "only its end cuts for good: recovered, it would set its units running again; nothing else uses it"
		}
		st := h.sessionStep(Logout, session.Target, served, why)
		st.Session, st.Portal = session.ID, session.Portal
		st.Units = units(h.Devices, func(d Device) bool { return d.Kind == ISCSI && d.Session == session.ID })
		steps = append(steps, st)
	}
	return steps
}

// filled returns 1 for a session that has units, 0 for others.
func (h *host) filled(session Session) int {
	if slices.ContainsFunc(h.Devices, func(d Device) bool { return d.Kind == ISCSI && d.Session == session.ID }) {
		return 1
	}
	return 0
}

// urgent reports whether a device of the session is in use, has requests in
// flight, or may have, or is not cut off because the session is lost; or whether
// none has come yet.
func (h *host) urgent(session Session) bool {
	return h.filled(session) == 0 || slices.ContainsFunc(h.Devices, func(d Device) bool {
		return d.Kind == ISCSI && d.Session == session.ID && (h.stackOf[d.Number].used() || d.InFlight != 0 || d.Lost && !d.Cut)
	})
}

// settleShared waits for requests on units whose session must stay. Nothing uses
// them, so that nothing but these requests can be on its way.
func (h *host) settleShared(s *stack) []Step {
	var steps []Step
	for _, d := range h.leaves(s) {
		if d.Kind == ISCSI && d.InFlight != 0 && h.shared(d) && h.aim.SameBoot {
			steps = append(steps, s.step(Wait, "its requests in flight fail once the target is reached; its session serves others, and stays").on(d))
		}
	}
	return steps
}

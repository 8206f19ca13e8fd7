package teardown

import (
	"slices"
)

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
	if _, ok := h.session[session.ID]; !ok || session.Boot || len(session.Others) > 0 || slices.ContainsFunc(h.Records, func(r Record) bool {
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
				if !s.clears() || d.Kind != ISCSI || !lost && !s.used() || h.exclusive(h.session[d.Session]) != nil {
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
// are lost, whose units nothing else cuts off. The others end once nothing is
// left above them.
func (h *host) logout(early bool) []Step {
	var steps []Step
	for _, session := range h.Sessions {
		served := h.exclusive(session)
		if served == nil || h.urgent(session.ID) != early {
			continue
		}
		why := "nothing else uses the session"
		if early {
			why = "only its end cuts for good: recovered, it would set its units running again; nothing else uses it"
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

// urgent reports whether a device of the session is in use, has requests in
// flight, or may have, or is not cut off because the session is lost.
func (h *host) urgent(session string) bool {
	return slices.ContainsFunc(h.Devices, func(d Device) bool {
		return d.Kind == ISCSI && d.Session == session && (h.stackOf[d.Number].used() || d.InFlight != 0 || d.Lost && !d.Cut)
	})
}

// settleShared waits for requests on units whose session must stay. Nothing uses
// them, so that nothing but these requests can be on its way.
func (h *host) settleShared(s *stack) []Step {
	var steps []Step
	for _, d := range h.leaves(s) {
		if d.Kind == ISCSI && d.InFlight != 0 && h.exclusive(h.session[d.Session]) == nil && h.aim.SameBoot {
			steps = append(steps, s.step(Wait, "its requests in flight fail once the target is reached; its session serves others, and stays").on(d))
		}
	}
	return steps
}

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

// logout ends sessions that serve nothing else: early those with requests in
// flight, which end with the session and which an unmount would wait for, and
// those that are lost, whose units nothing else cuts off; the others once nothing
// is left above them.
func (h *host) logout(early bool) []Step {
	var steps []Step
	for _, session := range h.Sessions {
		served := h.exclusive(session)
		if served == nil || h.urgent(session.ID) != early {
			continue
		}
		why := "nothing else uses the session"
		if early {
			why = "what is in flight ends with the session, here and now; nothing else uses it"
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

// urgent reports whether a device of the session has requests in flight, or may
// have, or is not cut off because the session is lost.
func (h *host) urgent(session string) bool {
	return slices.ContainsFunc(h.Devices, func(d Device) bool {
		return d.Kind == ISCSI && d.Session == session && (d.InFlight != 0 || d.Lost && !d.Cut)
	})
}

// settleShared waits for requests on units whose session must stay.
func (h *host) settleShared(s *stack) []Step {
	var steps []Step
	for _, d := range h.leaves(s) {
		if d.Kind == ISCSI && d.InFlight != 0 && h.exclusive(h.session[d.Session]) == nil && (h.aim.SameBoot || s.used()) {
			steps = append(steps, s.step(Wait, "its requests in flight fail once the target is reached; its session serves others, and stays").on(d))
		}
	}
	return steps
}

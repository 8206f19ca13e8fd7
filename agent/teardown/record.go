package teardown

import "slices"

// setManual keeps open-iscsi from logging in again to targets from which only
// volumes come that have moved, whether or not it has logged in by now. It comes
// before the logout: an agent that dies between the two must not leave a session
// to come back.
func (h *host) setManual() []Step {
	var steps []Step
	for _, r := range h.Records {
		if served, ok := h.forsaken(r.Target); ok && r.Startup == "automatic" {
			st := h.sessionStep(SetManual, r.Target, served, "its record would log in again, and bring the moved volume's device back")
			st.Portal, st.Interface = r.Portal, r.Interface
			steps = append(steps, st)
		}
	}
	return steps
}

// forsaken returns the stacks that the target's sessions serve, and whether only
// volumes come from it that have moved.
func (h *host) forsaken(target string) (served []*stack, ok bool) {
	for _, session := range h.Sessions {
		if session.Target != target {
			continue
		}
		own, alone := h.exclusive(session)
		if !alone {
			return nil, false
		}
		served = append(served, own...)
	}
	moved, stays := h.volumesOf(target)
	return served, len(moved) > 0 && !stays && !h.bootsFrom(target)
}

// volumesOf returns the volumes from the target that have moved, and whether one
// that may stay has yet to get its device from there. A volume of which this node
// has nothing, neither metadata nor a device, has not moved: it was never here.
func (h *host) volumesOf(target string) (moved []*volume, stays bool) {
	if target == "" || !h.api.Known {
		return nil, false
	}
	look := func(id Identity, v *volume) {
		there := func(d Device) bool { same, _ := h.identify(id, d); return same }
		switch stale, _ := v.stale(); {
		case id.Target != target:
		case !stale:
			stays = stays || !slices.ContainsFunc(h.Devices, there)
		case slices.Contains(h.noted, v):
			moved = append(moved, v)
		}
	}
	for i, v := range h.Volumes {
		look(v.Identity, h.noted[i])
	}
	for i, a := range h.api.Volumes {
		look(a.Identity, h.said[i])
	}
	for _, d := range h.Devices {
		if d.Kind != ISCSI || h.session[d.Session].Target != target {
			continue
		}
		for _, v := range h.stackOf[d.Number].volumes {
			if stale, _ := v.stale(); stale {
				moved = append(moved, v)
			}
		}
	}
	return moved, stays
}

// bootsFrom reports whether a node record makes the target the host's.
func (h *host) bootsFrom(target string) bool {
	return slices.ContainsFunc(h.Records, func(r Record) bool {
		return r.Target == target && r.Startup != "automatic" && r.Startup != "manual"
	})
}

package teardown

import "slices"

// lasting reports whether a device is still there when all its mounts are gone,
// so that only its identity tells whose it was.
func (h *host) lasting(d Device) bool {
	return d.Kind == ISCSI || d.Kind == NVMeFabric || isMap(d.Kind) || d.Kind == RBD && !h.direct(d)
}

// identity returns by what the device can be told from others.
func (h *host) identity(d Device) Identity {
	id := Identity{WWID: d.WWID, Image: d.Image}
	if target := h.session[d.Session].Target; d.Kind == ISCSI && target != "" {
		id.Target, id.LUN = target, d.LUN
	}
	return id
}

// note has the executor remember whose the devices are that only their mounts
// tell: a plan that is made after an unmount must still know.
func (h *host) note(s *stack) []Step {
	var steps []Step
	for _, d := range s.devices {
		noted := func(st Step) bool { same, _ := h.identify(st.Note.Identity, d); return same }
		if d.Kind != RBD && !slices.ContainsFunc(steps, noted) { // images are noted before they are cut
			steps = append(steps, h.noteOf(s, d)...)
		}
	}
	return steps
}

// noteOf returns the step that notes one device, if it is needed.
func (h *host) noteOf(s *stack, d Device) []Step {
	if !h.lasting(d) || slices.Contains(s.identified, d.Number) {
		return nil
	}
	v := Volume{File: "note of " + d.Name, Identity: h.identity(d)}
	for _, of := range s.volumes {
		if stale, _ := of.stale(); stale {
			v.PV, v.Driver, v.Handle = of.pv, of.driver, of.handle
			break
		}
	}
	st := s.step(Note, "once it is unmounted nothing else tells whose it was").on(d)
	st.Note = v
	return []Step{st}
}

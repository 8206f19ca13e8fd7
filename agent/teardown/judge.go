package teardown

import (
	"fmt"
	"slices"
	"strings"
)

// judge decides of each stack whether it is stale, and what forbids to tear it
// down.
func (h *host) judge() {
	for _, s := range h.stacks {
		if len(s.volumes) == 0 {
			h.judgeUnclaimed(s)
			continue
		}
		var moved, stay []string
		for _, v := range s.volumes {
			if stale, _ := v.stale(); stale {
				moved = append(moved, v.name())
			} else {
				stay = append(stay, v.name())
			}
		}
		if len(moved) == 0 {
			continue
		}
		s.stale = true
		if len(s.host) > 0 {
			s.block("the host's: %s", s.host[0])
			continue
		}
		if len(stay) > 0 {
			s.block("%s shares its devices, and may stay", strings.Join(stay, ", "))
		}
		for _, u := range s.unknown {
			s.block("%s could not be read: %s", u.What, u.Why)
		}
		for _, name := range s.strays {
			s.block("part of it is %s, which belongs to no volume", name)
		}
		for _, why := range s.differs {
			s.block("%s", why)
		}
		for _, d := range s.devices {
			if h.lasting(d) && h.identity(d) == (Identity{}) {
				s.block("nothing tells %s from others once it is unmounted: it has no WWID", d.Name)
			}
		}
		h.judgeCut(s)
		h.judgeMounts(s)
		h.judgePods(s)
	}
}

// block notes why the stack can be neither left as it is nor torn down.
func (s *stack) block(format string, args ...any) {
	s.blockers = append(s.blockers, fmt.Sprintf(format, args...))
}

// judgeUnclaimed looks for signs of a volume in what no volume claims and the
// host does not use. What nobody uses writes nothing, and is left alone.
func (h *host) judgeUnclaimed(s *stack) {
	if len(s.host) > 0 {
		return
	}
	for _, u := range s.unknown {
		s.block("%s could not be read: %s", u.What, u.Why)
	}
	for _, why := range s.differs {
		s.block("%s", why)
	}
	if s.used() {
		s.block("in use by pods, but nothing tells of which volume it is")
	}
}

// judgeCut refuses what no measured way cuts off from the storage while
// something may be writing to it.
func (h *host) judgeCut(s *stack) {
	for _, m := range s.mounts {
		if m.Device.Major == 0 && m.FS != "devtmpfs" {
			s.uncut = true
			s.block("%s at %s shows no device that could be cut off", m.FS, m.Point)
			break
		}
	}
	for _, d := range h.leaves(s) {
		switch d.Kind {
		case NBD, NVMeFabric:
			if s.used() {
				s.uncut = true
				s.block("%s is in use, and there is no measured way to cut it off", d.Name)
			}
		case RBD:
			if d.InFlight != 0 && !d.Cut && !h.cutAbove(d) && !h.mayWait(s) {
				s.uncut = true
				s.block("%s has requests in flight: they would be written once the cluster is reached", d.Name)
			}
		case ISCSI:
			if h.aim.SameBoot && h.servesHost(d.Session) {
				s.block("session %s of %s serves a disk of the host, too", d.Session, d.Name)
			}
		case KindUnknown, Disk, MD, DRBD, Other, Partition, Multipath, Crypt, LogicalVolume, Linear, Loop:
		}
	}
}

// mayWait reports whether waiting for an image's requests to end is safe: they
// cannot be writes of a volume that this boot has never used. Of one that it has
// used only the storage knows whether it turns them away; those end by themselves.
func (h *host) mayWait(s *stack) bool { return !h.aim.SameBoot && !s.used() }

// servesHost reports whether a disk of the host comes over the session.
func (h *host) servesHost(session string) bool {
	return slices.ContainsFunc(h.Devices, func(d Device) bool {
		return d.Kind == ISCSI && d.Session == session && len(h.stackOf[d.Number].host) > 0
	})
}

// judgeMounts refuses what cannot be unmounted.
func (h *host) judgeMounts(s *stack) {
	for _, m := range h.remaining(s) {
		switch ns := h.namespace[m.Namespace]; {
		case m.Deleted:
			s.block("mounted at %s, which is deleted: no path leads there", m.Point)
		case ns.PID == 0:
			s.block("mounted at %s in namespace %d, into which no process leads", m.Point, m.Namespace)
		}
	}
	for _, m := range h.Mounts {
		if s.fading[m.Namespace] {
			continue
		}
		under, ok := h.under(s, m)
		if other := h.stackOf[h.numberOf(m)]; ok && (other == nil || !other.stale && other != s) {
			s.block("%s is mounted at %s, on top of its mount at %s", m.FS, m.Point, under.Point)
		}
	}
}

// under returns the mount of the stack on which m lies, directly or not, if m
// is none of the stack's itself.
func (h *host) under(s *stack, m Mount) (Mount, bool) {
	if h.stackOf[h.numberOf(m)] == s {
		return Mount{}, false
	}
	seen := map[int]bool{}
	for p, ok := h.mount[m.Parent]; ok && !seen[p.ID]; p, ok = h.mount[p.Parent] {
		if h.stackOf[h.numberOf(p)] == s {
			return p, true
		}
		seen[p.ID] = true
	}
	return Mount{}, false
}

// judgePods refuses what is used by pods that cannot be killed.
func (h *host) judgePods(s *stack) {
	for _, p := range s.processes {
		if p.Pod != "" && !slices.ContainsFunc(h.Pods, func(q Pod) bool { return q.UID == p.Pod }) {
			s.block("open by %s (%d) of pod %s, whose cgroup is not known", p.Name, p.PID, p.Pod)
		}
	}
}

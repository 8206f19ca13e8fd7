package teardown

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// findPods notes which pods use the stack: those that its volumes are mounted
// for, and those that have a device open. The mount namespaces that only such
// pods keep go when these are killed, and their mounts, too.
func (h *host) findPods(s *stack) {
	for _, v := range s.volumes {
		s.pods = append(s.pods, v.pods...)
	}
	for _, p := range s.processes {
		if p.Pod != "" {
			s.pods = append(s.pods, p.Pod)
		}
	}
	slices.Sort(s.pods)
	s.pods = slices.Compact(s.pods)
	s.fading = map[uint64]bool{}
	for _, ns := range h.Namespaces {
		kept := func(uid string) bool {
			_, uses := slices.BinarySearch(s.pods, uid)
			return !uses || !slices.ContainsFunc(h.Pods, func(p Pod) bool { return p.UID == uid })
		}
		if h.ofPods(ns) && !slices.ContainsFunc(ns.Pods, kept) {
			s.fading[ns.ID] = true
		}
	}
}

// ofPods reports whether only processes of pods live in the namespace.
func (h *host) ofPods(ns Namespace) bool { return !ns.Host && !ns.Others && len(ns.Pods) > 0 }

// remaining returns the mounts of the stack that are left once its pods are
// killed, in the order in which they are to be unmounted: first those that
// only another namespace sees, the host's last, so that what names the volume
// stays to the end; in each the deepest first, a pod's before the global one.
func (h *host) remaining(s *stack) []Mount {
	var hosts, others []Mount
	for _, m := range s.mounts {
		switch {
		case h.namespace[m.Namespace].Host:
			hosts = append(hosts, m)
		case !s.fading[m.Namespace]:
			others = append(others, m)
		}
	}
	h.sortDeepest(hosts)
	h.sortDeepest(others)
	hosts = h.withoutEchoes(hosts, nil)
	return append(h.withoutEchoes(others, hosts), hosts...)
}

// withoutEchoes leaves out the mounts that go by propagation with an earlier
// one, or with one of those that are unmounted in any case.
func (h *host) withoutEchoes(mounts, others []Mount) []Mount {
	var kept []Mount
	for _, m := range mounts {
		echo := func(of Mount) bool { return h.propagates(of, m) }
		if !slices.ContainsFunc(kept, echo) && !slices.ContainsFunc(others, echo) {
			kept = append(kept, m)
		}
	}
	return kept
}

// propagates reports whether unmounting m unmounts n, too: they show the same
// at the same place of mounts of which n's is a peer or a slave of m's.
func (h *host) propagates(m, n Mount) bool {
	p, ok := h.mount[m.Parent]
	q, also := h.mount[n.Parent]
	if !ok || !also || m.ID == n.ID || p.ID == q.ID || p.Shared == 0 ||
		m.Device != n.Device || m.Root != n.Root || p.Device != q.Device {
		return false
	}
	return h.receives(q, p.Shared) && spot(p, m) == spot(q, n)
}

// receives reports whether q is in the peer group or a slave of it, directly
// or by way of other groups.
func (h *host) receives(q Mount, group int) bool {
	if q.Shared == group {
		return true
	}
	masters := reach(q.Master, func(master int) []int {
		var up []int
		for _, m := range h.Mounts {
			if m.Shared == master && m.Shared != 0 && m.Master != 0 {
				up = append(up, m.Master)
			}
		}
		return up
	})
	return slices.Contains(masters, group)
}

// spot returns where on the parent's file system a mount lies.
func spot(parent, m Mount) string {
	below := strings.TrimPrefix(m.Point, strings.TrimSuffix(parent.Point, "/"))
	return path.Join("/", parent.Root, below)
}

// sortDeepest puts mounts into the order in which they come apart.
func (h *host) sortDeepest(mounts []Mount) {
	depth := map[int]int{}
	for _, m := range mounts {
		seen := map[int]bool{}
		for p, ok := h.mount[m.Parent]; ok && !seen[p.ID]; p, ok = h.mount[p.Parent] {
			seen[p.ID] = true
			depth[m.ID]++
		}
	}
	slices.SortFunc(mounts, func(a, b Mount) int {
		return cmp.Or(
			cmp.Compare(a.Namespace, b.Namespace),
			cmp.Compare(depth[b.ID], depth[a.ID]),
			cmp.Compare(h.rank(a), h.rank(b)),
			cmp.Compare(strings.Count(b.Point, "/"), strings.Count(a.Point, "/")),
			cmp.Compare(a.Point, b.Point),
			cmp.Compare(b.ID, a.ID),
		)
	})
}

// rank orders mounts of one volume: a pod's subpaths, a pod's, the plugin's.
func (h *host) rank(m Mount) int {
	p, ok := placeOf(h.Roots, m.Point)
	switch {
	case ok && p.pod != "" && p.weak:
		return 0
	case ok && p.pod != "":
		return 1
	case ok:
		return 2
	}
	return 0
}

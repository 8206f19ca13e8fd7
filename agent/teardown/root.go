package teardown

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// checkRoots looks for volumes that the kubelet has mounted below none of its
// known roots. Nothing says whose they are: neither paths nor metadata are read
// there, and they must not pass for the host's own. What is known of them by
// another mount is known.
func (h *host) checkRoots() {
	known := map[Number]bool{}
	for _, m := range h.Mounts {
		if _, placed := placeOf(h.Roots, m.Point); placed {
			known[h.numberOf(m)] = true
		}
	}
	for _, m := range h.Mounts {
		if volatile(m.FS) || known[h.numberOf(m)] || h.ofPods(h.namespace[m.Namespace]) || below(h.Roots, m.Point) || !volumeBelowAny(m.Point) {
			continue
		}
		h.Unknown = append(h.Unknown, Unknown{
			What: "whose the volume mounted at " + m.Point + " is",
			Why:  fmt.Sprintf("the kubelet's roots are said to be %s (agent.kubeletRoots)", strings.Join(h.Roots, ", ")),
		})
	}
}

// below reports whether the point lies below one of the roots.
func below(roots []string, point string) bool {
	return slices.ContainsFunc(roots, func(root string) bool { return strings.HasPrefix(path.Clean(point), root+"/") })
}

// volumeBelowAny reports whether a kubelet could have mounted a volume there that
// can be attached elsewhere, whatever its root is.
func volumeBelowAny(point string) bool {
	parts := strings.Split(path.Clean(point), "/")
	for i := range parts {
		if p, ok := parsePlace(parts[i:]); ok && !stays(p.plugin) {
			return true
		}
	}
	return false
}

package teardown

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A claim says that a member of a stack belongs to a volume.
type claim struct {
	key    string // the volume's
	number Number
	pod    string // UID of the one that uses it there
	weak   bool   // the key may be wrong: it counts only where there is no better one
}

// claim finds the volumes of each stack: by where its members are mounted, and
// by what metadata and the API say of a volume's device.
func (h *host) claim() {
	h.known = h.findVolumes()
	vs := h.known
	for _, s := range h.stacks {
		named, denied := h.claimsByIdentity(s)
		for _, c := range named {
			s.identified = append(s.identified, c.number)
		}
		claims := append(h.claimsByMount(s), named...)
		// A subpath can be a directory of the host's own, bound for a ConfigMap.
		strong := len(s.host) > 0 || slices.ContainsFunc(claims, func(c claim) bool { return !c.weak })
		for _, c := range claims {
			if c.weak && strong {
				continue
			}
			if v := vs.get(c.key); !slices.Contains(s.volumes, v) {
				s.volumes = append(s.volumes, v)
			}
		}
		slices.SortFunc(s.volumes, func(a, b *volume) int {
			return cmp.Or(cmp.Compare(a.name(), b.name()), cmp.Compare(a.driver, b.driver))
		})
		for _, c := range claims {
			for _, v := range s.volumes {
				if c.weak && strong || v == vs.get(c.key) {
					h.use(v, c.pod)
				}
			}
		}
		for _, d := range denied {
			if v := vs.get(d.key); len(s.volumes) == 0 || slices.Contains(s.volumes, v) {
				s.differs = append(s.differs, d.why)
			}
		}
		s.strays = h.strays(s, claims)
	}
	for _, s := range h.stacks {
		h.findPods(s)
	}
}

// claimsByMount returns what the stack's mount points say, and the backing file
// of the loop device that the kubelet puts on a raw block volume.
func (h *host) claimsByMount(s *stack) []claim {
	var claims []claim
	for _, m := range s.mounts {
		c := claim{number: h.numberOf(m)}
		p, placed := placeOf(h.Roots, m.Point)
		c.key, c.pod = h.metadataKey(m), p.pod
		switch {
		case c.key != "":
		case !placed:
			continue
		case p.hash != "":
			c.key = keyHash(p.driver, p.hash)
		default:
			c.key, c.weak = keyPV(p.name), p.weak
		}
		claims = append(claims, c)
	}
	for _, d := range s.devices {
		if p, ok := placeOf(h.Roots, d.Backing); ok && d.Kind == Loop && p.name != "" {
			claims = append(claims, claim{key: keyPV(p.name), number: d.Number, pod: p.pod, weak: p.weak})
		}
	}
	return claims
}

// metadataKey returns the key of the volume below whose directory m is mounted.
func (h *host) metadataKey(m Mount) string {
	for _, v := range h.Volumes {
		if v.Dir != "" && (m.Point == v.Dir || strings.HasPrefix(m.Point, v.Dir+"/")) {
			return keys(v.PV, v.Driver, v.Handle, v.File)[0]
		}
	}
	return ""
}

// A denial says that a volume's place in a stack has another unit.
type denial struct{ key, why string }

// claimsByIdentity returns what metadata and PersistentVolumes say of the
// stack's devices, and where they mean another unit.
func (h *host) claimsByIdentity(s *stack) (claims []claim, denied []denial) {
	look := func(id Identity, key, source string) {
		for _, d := range s.devices {
			same, differs := h.identify(id, d)
			if same {
				claims = append(claims, claim{key: key, number: d.Number})
			}
			if differs != "" {
				denied = append(denied, denial{key, source + " " + differs})
			}
		}
	}
	for _, v := range h.Volumes {
		look(v.Identity, keys(v.PV, v.Driver, v.Handle, v.File)[0], v.File)
	}
	for _, a := range h.api.Volumes {
		look(a.Identity, keys(a.PV, a.Driver, a.Handle, "")[0], "PersistentVolume "+a.PV)
	}
	return claims, denied
}

// identify reports whether id means the device. Where id names the device's
// place, but a unit that is not proven to be there, it says so: the kernel's
// names and LUNs are given to other units over time (scenario 35).
func (h *host) identify(id Identity, d Device) (same bool, differs string) {
	if id.WWID != "" && id.WWID == d.WWID {
		return true, ""
	}
	if id.Image.Name != "" && (d.Kind == RBD || d.Kind == NBD) && id.Image.means(d.Image) {
		return true, ""
	}
	if id.Target == "" || d.Kind != ISCSI || h.session[d.Session].Target != id.Target || d.LUN != id.LUN {
		return false, ""
	}
	switch {
	case id.WWID == "":
		return true, ""
	case d.WWID == "":
		return false, fmt.Sprintf("names LUN %d of %s as unit %s, and which unit %s is could not be read", id.LUN, id.Target, id.WWID, d.Name)
	}
	return false, fmt.Sprintf("names LUN %d of %s as unit %s, but %s is unit %s", id.LUN, id.Target, id.WWID, d.Name, d.WWID)
}

// means reports whether i and j are the same image, as far as both say.
func (i Image) means(j Image) bool {
	if i.Cluster == "" || j.Cluster == "" {
		i.Cluster, j.Cluster = "", ""
	}
	return i == j
}

// strays returns the names of the leaves that no claim covers: a claim covers
// what is below it, and other paths to the same unit.
func (h *host) strays(s *stack, claims []claim) []string {
	covered, units := map[Number]bool{}, map[string]bool{}
	for _, c := range claims {
		for _, n := range h.below(c.number) {
			covered[n] = true
			units[h.device[n].WWID] = true
		}
	}
	var strays []string
	for _, d := range h.leaves(s) {
		if !covered[d.Number] && (d.WWID == "" || !units[d.WWID]) {
			strays = append(strays, d.Name)
		}
	}
	return strays
}

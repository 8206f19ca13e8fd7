package teardown

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// A volume is what files, mounts and the API call by different names.
type volume struct {
	key    string // what follows the first word of a key
	pv     string
	claim  string // namespace/name of its PVC
	driver string
	handle string
	pods   []string // UIDs of those that use it, or have used it; sorted

	gated    bool
	attached bool // to this node, since before the fence
	again    bool // attached to this node, since after the fence
	alive    bool // a pod of this node uses it
	wanted   bool // a pod that a later boot than the fenced one may start has its claim

	held string // what says that it has yet to be detached from this node
}

// stale reports whether this node has no right to the volume any more, or none
// to what it has of it, and why it is as it is.
func (v *volume) stale() (bool, string) {
	switch {
	case v.attached:
		return false, "attached to this node"
	case v.again:
		return true, "attached to this node again, but mapped before the fence"
	case v.gated:
		return true, "not attached to this node"
	case v.alive:
		return false, "used by a pod of this node"
	case v.wanted:
		return false, "a pod of this node has its claim"
	}
	return true, "used by no pod of this node"
}

// volumes holds the volumes under all keys by which they are known.
type volumes struct {
	set  *joined[string]
	root map[string]*volume
}

// A key is one of the names by which a volume is known. A driver's directory
// for it has the hash of its handle, and so have its keys.
func keyPV(name string) string { return "pv " + name }

func keyHandle(driver, handle string) string {
	sum := sha256.Sum256([]byte(handle))
	return keyHash(driver, hex.EncodeToString(sum[:]))
}

func keyHash(driver, hash string) string { return "csi " + driver + " " + hash }

// keys returns the keys that a metadata file or a PersistentVolume gives; file
// serves where there is none.
func keys(pv, driver, handle, file string) []string {
	var k []string
	if pv != "" {
		k = append(k, keyPV(pv))
	}
	if handle != "" {
		k = append(k, keyHandle(driver, handle))
	}
	if len(k) == 0 {
		k = append(k, "file "+file)
	}
	return k
}

// findVolumes learns from the API and the metadata which names mean the same.
func (h *host) findVolumes() *volumes {
	vs := &volumes{set: newJoined(strings.Compare), root: map[string]*volume{}}
	for _, a := range h.api.Volumes {
		k := keys(a.PV, a.Driver, a.Handle, "")
		for _, other := range k {
			vs.set.join(k[0], other)
		}
	}
	for _, m := range h.Volumes {
		k := keys(m.PV, m.Driver, m.Handle, m.File)
		for _, other := range append(k, h.places(m)...) {
			vs.set.join(k[0], other)
		}
	}
	for _, a := range h.api.Volumes {
		v := vs.get(keys(a.PV, a.Driver, a.Handle, "")[0])
		h.said = append(h.said, v)
		v.describe(a.PV, a.Driver, a.Handle, a.Claim)
		v.gated = v.gated || a.Gated
		v.attached = v.attached || a.Attached && !a.Again
		v.again = v.again || a.Attached && a.Again
		v.held = cmp.Or(v.held, a.Held)
		// What the fenced boot has of a volume it has from before the fence, whoever
		// has the claim now; a later one has it for the pods of now.
		v.wanted = v.wanted || a.Wanted && !h.aim.SameBoot
	}
	for _, m := range h.Volumes {
		v := vs.get(keys(m.PV, m.Driver, m.Handle, m.File)[0])
		h.noted = append(h.noted, v)
		v.describe(m.PV, m.Driver, m.Handle, "")
		if p, ok := placeOf(h.Roots, m.Dir); ok {
			h.record(v, p.pod)
		}
	}
	h.known = vs
	return vs
}

// places returns keys of the PersistentVolumes that have the place that a file names,
// where it names nothing else: an in-tree volume's directory, before the volume is
// mounted for its pod. What the fenced boot has not mounted is nobody's there.
func (h *host) places(m Volume) []string {
	var k []string
	for _, a := range h.api.Volumes {
		if !h.aim.SameBoot && m.PV == "" && m.Handle == "" && m.Target != "" && a.Target == m.Target && a.LUN == m.LUN {
			k = append(k, keys(a.PV, a.Driver, a.Handle, "")...)
		}
	}
	return k
}

// get returns the volume with that key, a new one if there is none.
func (vs *volumes) get(key string) *volume {
	root := vs.set.find(key)
	v, ok := vs.root[root]
	if !ok {
		_, name, _ := strings.Cut(key, " ")
		v = &volume{key: name}
		vs.root[root] = v
	}
	return v
}

// describe adds what a source says of the volume; the first to say it counts.
func (v *volume) describe(pv, driver, handle, claim string) {
	v.pv, v.claim = cmp.Or(v.pv, pv), cmp.Or(v.claim, claim)
	v.driver, v.handle = cmp.Or(v.driver, driver), cmp.Or(v.handle, handle)
}

// name returns how to call the volume to people.
func (v *volume) name() string { return cmp.Or(v.pv, v.handle, v.key) }

// use notes that something of the volume is mounted for a pod. No boot leaves a
// mount to the next: in a later one than the fenced it is the pod's to the end, and
// the kubelet's to unmount. The fenced boot's pods are gone once they are to go.
func (h *host) use(v *volume, pod string) {
	h.record(v, pod)
	v.alive = v.alive || !h.aim.SameBoot && slices.Contains(h.api.Leaving, pod)
}

// record notes that a pod uses the volume, or did when a file was written: those
// outlast a reset.
func (h *host) record(v *volume, pod string) {
	if pod == "" {
		return
	}
	if i, ok := slices.BinarySearch(v.pods, pod); !ok {
		v.pods = slices.Insert(v.pods, i, pod)
	}
	v.alive = v.alive || slices.Contains(h.api.Pods, pod)
}

// lingers reports whether the volume is still to be taken away from this node: it
// has not been detached, and no pod here has a use for it (C6).
func (v *volume) lingers() bool { return v.held != "" && !v.wanted && !v.alive }

// displaced reports whether the stack has a stale volume of which an attachment
// says where it is.
func (s *stack) displaced() bool {
	return slices.ContainsFunc(s.volumes, func(v *volume) bool {
		stale, _ := v.stale()
		return stale && v.gated
	})
}

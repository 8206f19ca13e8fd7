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
		for _, other := range k {
			vs.set.join(k[0], other)
		}
	}
	for _, a := range h.api.Volumes {
		v := vs.get(keys(a.PV, a.Driver, a.Handle, "")[0])
		v.describe(a.PV, a.Driver, a.Handle, a.Claim)
		v.gated = v.gated || a.Gated
		v.attached = v.attached || a.Attached && !a.Again
		v.again = v.again || a.Attached && a.Again
	}
	for _, m := range h.Volumes {
		v := vs.get(keys(m.PV, m.Driver, m.Handle, m.File)[0])
		v.describe(m.PV, m.Driver, m.Handle, "")
		if p, ok := placeOf(h.Roots, m.Dir); ok {
			h.use(v, p.pod)
		}
	}
	return vs
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

// use notes that a pod uses the volume.
func (h *host) use(v *volume, pod string) {
	if pod == "" {
		return
	}
	if i, ok := slices.BinarySearch(v.pods, pod); !ok {
		v.pods = slices.Insert(v.pods, i, pod)
	}
	v.alive = v.alive || slices.Contains(h.api.Pods, pod)
}

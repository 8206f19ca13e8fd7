package teardown

import (
	"path"
	"strings"
)

// A place is what a path below the kubelet's root says of a volume.
type place struct {
	plugin string // csi, iscsi, rbd, nfs …
	name   string // its PersistentVolume's, or what the plugin calls it
	driver string // of a CSI volume, where the path says so
	hash   string // SHA-256 of the volume's handle, in hexadecimal
	pod    string // UID
	weak   bool   // name may be the pod's own name for the volume
}

// stays reports whether the plugin's volumes cannot leave the node: what is mounted
// there is the host's own.
func stays(plugin string) bool {
	switch plugin {
	case "configmap", "downward-api", "empty-dir", "git-repo", "host-path", "image",
		"local-volume", "projected", "secret":
		return true
	}
	return false
}

// placeOf returns what the path says, if it is where the kubelet or a CSI driver
// mounts volumes that can be attached elsewhere.
func placeOf(roots []string, point string) (place, bool) {
	point = path.Clean(point)
	for _, root := range roots {
		below, ok := strings.CutPrefix(point, root+"/")
		if !ok {
			continue
		}
		if p, ok := parsePlace(strings.Split(below, "/")); ok && !stays(p.plugin) {
			return p, true
		}
	}
	return place{}, false
}

// parsePlace recognises the kubelet's paths, given relative to its root:
//
//	pods/UID/volumes/kubernetes.io~PLUGIN/VOLUME[/mount]
//	pods/UID/volumeDevices/kubernetes.io~PLUGIN/VOLUME
//	pods/UID/volume-subpaths/VOLUME/CONTAINER/N
//	plugins/kubernetes.io/PLUGIN/…
func parsePlace(p []string) (place, bool) {
	switch {
	case len(p) >= 5 && p[0] == "pods" && (p[2] == "volumes" || p[2] == "volumeDevices"):
		plugin, ok := strings.CutPrefix(p[3], "kubernetes.io~")
		return place{plugin: plugin, name: p[4], pod: p[1]}, ok
	case len(p) >= 6 && p[0] == "pods" && p[2] == "volume-subpaths":
		return place{name: p[3], pod: p[1], weak: true}, true
	case len(p) >= 4 && p[0] == "plugins" && p[1] == "kubernetes.io" && p[2] == "csi":
		return parseCSI(p[3:])
	case len(p) >= 5 && p[0] == "plugins" && p[1] == "kubernetes.io":
		return place{plugin: p[2], name: p[len(p)-1], weak: true}, true
	}
	return place{}, false
}

// parseCSI recognises the global mounts of CSI volumes:
//
//	pv/VOLUME/globalmount                     before Kubernetes 1.24
//	DRIVER/HASH/globalmount                   since
//	volumeDevices/staging/VOLUME/…            raw block, staged by its driver
//	volumeDevices/publish/VOLUME/POD          published by it
//	volumeDevices/VOLUME/dev/POD              bound by the kubelet
func parseCSI(p []string) (place, bool) {
	at := func(i int) string {
		if i < len(p) {
			return p[i]
		}
		return ""
	}
	found := place{plugin: "csi"}
	switch {
	case p[0] == "pv":
		found.name = at(1)
	case p[0] == "volumeDevices" && at(1) == "staging":
		found.name = at(2)
	case p[0] == "volumeDevices" && at(1) == "publish":
		found.name, found.pod = at(2), at(3)
	case p[0] == "volumeDevices":
		found.name, found.pod = at(1), at(3)
	default:
		found.driver, found.hash = p[0], at(1)
		return found, found.hash != ""
	}
	return found, found.name != ""
}

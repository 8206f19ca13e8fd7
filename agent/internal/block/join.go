package block

import (
	"path"
	"strings"

	"github.com/picket-dev/picket/agent/teardown"
)

// join completes the volumes whose own file does not say whose they are: by the
// kubelet's file beside ceph-csi's, and by the pod for which the same device is
// mounted. Taken for a volume of its own, such a one would seem to be used by
// nobody.
func (l *look) join() {
	byDir := make(map[string]teardown.Volume)
	for _, v := range l.inv.Volumes {
		if v.Handle != "" && v.Dir != "" {
			byDir[v.Dir] = v
		}
	}
	for i := range l.inv.Volumes {
		v := &l.inv.Volumes[i]
		if v.Handle != "" || v.Dir == "" {
			continue
		}
		if of, ok := byDir[path.Dir(v.Dir)]; ok {
			v.Driver, v.Handle, v.PV = of.Driver, of.Handle, of.PV
		}
		if v.Handle == "" && v.PV == "" {
			v.PV = l.mountedAs(v.Dir)
		}
	}
}

// mountedAs returns the name of the PersistentVolume as which what is mounted at
// dir, or below it, is mounted for a pod, if there is one name alone.
func (l *look) mountedAs(dir string) string {
	devices := make(map[teardown.Number]bool)
	for _, m := range l.hostMounts() {
		if m.Point == dir || strings.HasPrefix(m.Point, dir+"/") {
			devices[deviceOf(m)] = true
		}
	}
	name := ""
	for _, m := range l.hostMounts() {
		pv, ok := podVolume(l.inv.Roots, m.Point)
		switch {
		case !ok || !devices[deviceOf(m)] || pv == name:
		case name != "":
			return ""
		default:
			name = pv
		}
	}
	return name
}

func deviceOf(m teardown.Mount) teardown.Number {
	if m.Node != (teardown.Number{}) {
		return m.Node
	}
	return m.Device
}

// podVolume returns the PersistentVolume of a mount point of the form
// pods/UID/volumes/PLUGIN/VOLUME[/mount], or volumeDevices.
func podVolume(roots []string, point string) (string, bool) {
	for _, root := range roots {
		below, ok := strings.CutPrefix(point, root+"/pods/")
		parts := strings.Split(below, "/")
		if ok && len(parts) >= 4 && (parts[1] == "volumes" || parts[1] == "volumeDevices") {
			return parts[3], true
		}
	}
	return "", false
}

package block

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/mount-utils"
)

// Config says where to look.
type Config struct {
	// MountInfo is the mountinfo of the host's first process:
	// /proc/1/mountinfo, or where the pod sees it. It has no default, so that
	// a test cannot reach the machine that it runs on.
	MountInfo string
	// KubeletRoots are the kubelet's root directory as it appears there: the
	// configured path and, where that is a symbolic link, its target.
	KubeletRoots []string
}

// Default returns the kubelet's usual root. MountInfo remains to be set.
func Default() Config { return Config{KubeletRoots: []string{"/var/lib/kubelet"}} }

// Validate returns an error for settings that cannot work.
func (c Config) Validate() error {
	if c.MountInfo == "" {
		return fmt.Errorf("settings of block: mountInfo is empty")
	}
	if len(c.KubeletRoots) == 0 {
		return fmt.Errorf("settings of block: kubeletRoots is empty")
	}
	for _, root := range c.KubeletRoots {
		if !filepath.IsAbs(root) || filepath.Clean(root) != root || root == "/" {
			return fmt.Errorf("settings of block: kubelet root %q is not a clean absolute path below /", root)
		}
	}
	return nil
}

// A Device is a block device or mount that belongs to a volume.
type Device struct {
	// Path is the device, or the mount point where the volume has no device.
	Path string
	// Volume is the PersistentVolume's name; for one that no pod has mounted
	// it can be the name that its plugin gave it, or empty.
	Volume string
}

// Inventory returns the devices of mounted volumes, sorted and once each; none
// means Clean. With an error nothing is known, which is not Clean.
func Inventory(c Config) ([]Device, error) {
	mounts, err := readMounts(c.MountInfo)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.MountInfo, err)
	}
	return inventory(c.KubeletRoots, mounts), nil
}

// A found mount belongs to a volume. Those with the same source are the same
// volume: its global mount, and what is bound to it.
type found struct {
	source string
	device Device
	pod    bool // its Volume is the PersistentVolume's name
}

func inventory(roots []string, mounts []mount.MountInfo) []Device {
	var all []found
	names := make(map[string]string) // by source
	for _, m := range mounts {
		f, ok := volumeOf(roots, m)
		if !ok {
			continue
		}
		all = append(all, f)
		if f.pod {
			names[f.source] = f.device.Volume
		}
	}
	var devices []Device
	for _, f := range all {
		if name, ok := names[f.source]; ok && !f.pod {
			f.device.Volume = name
		}
		devices = append(devices, f.device)
	}
	slices.SortFunc(devices, func(a, b Device) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Volume, b.Volume))
	})
	return slices.Compact(devices)
}

// volumeOf returns what a mount tells of a volume, if it belongs to one.
func volumeOf(roots []string, m mount.MountInfo) (found, bool) {
	if m.FsType == "tmpfs" || m.FsType == "ramfs" {
		return found{}, false // secrets and the like: no storage is behind them
	}
	for _, root := range roots {
		below, ok := strings.CutPrefix(m.MountPoint, root+"/")
		if !ok {
			continue
		}
		volume, pod, ok := parsePath(strings.Split(below, "/"))
		if !ok {
			continue
		}
		path, source := devicePath(m)
		return found{source: source, device: Device{Path: path, Volume: volume}, pod: pod}, true
	}
	return found{}, false
}

// ours reports whether the plugin's volumes bring a device of their own.
func ours(plugin string) bool { return plugin == "csi" || plugin == "iscsi" || plugin == "rbd" }

// parsePath recognises the kubelet's paths, given relative to its root:
//
//	pods/UID/volumes/kubernetes.io~PLUGIN/VOLUME[/mount]
//	pods/UID/volumeDevices/kubernetes.io~PLUGIN/VOLUME
//	plugins/kubernetes.io/PLUGIN/…
//
// pod says that the volume is named as its PersistentVolume.
func parsePath(p []string) (volume string, pod, ok bool) {
	switch {
	case len(p) >= 5 && p[0] == "pods" && (p[2] == "volumes" || p[2] == "volumeDevices"):
		plugin, found := strings.CutPrefix(p[3], "kubernetes.io~")
		return p[4], true, found && ours(plugin)
	case len(p) >= 4 && p[0] == "plugins" && p[1] == "kubernetes.io" && ours(p[2]):
		return pluginVolume(p[2], p[3:]), false, true
	}
	return "", false, false
}

// pluginVolume returns the name by which a plugin's own mount goes:
//
//	csi/pv/VOLUME/globalmount                     before Kubernetes 1.24
//	csi/DRIVER/HASH/globalmount                   since; the hash names nothing
//	csi/volumeDevices/[staging|publish/]VOLUME/…  raw block
//	iscsi/INTERFACE/PORTAL-IQN-lun-N              and other plugins: the last part
func pluginVolume(plugin string, p []string) string {
	if plugin != "csi" {
		return p[len(p)-1]
	}
	switch {
	case len(p) >= 2 && p[0] == "pv":
		return p[1]
	case len(p) >= 3 && p[0] == "volumeDevices" && (p[1] == "staging" || p[1] == "publish"):
		return p[2]
	case len(p) >= 2 && p[0] == "volumeDevices":
		return p[1]
	}
	return ""
}

// devicePath returns how to name what is mounted, and a key that all mounts of
// the same thing share.
func devicePath(m mount.MountInfo) (path, source string) {
	switch {
	case m.FsType == "devtmpfs": // the device node itself, bound for raw block
		path = "/dev" + m.Root
		return path, path
	case strings.HasPrefix(m.Source, "/dev/"):
		return m.Source, m.Source
	}
	return m.MountPoint, fmt.Sprintf("%d:%d", m.Major, m.Minor)
}

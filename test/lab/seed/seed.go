// Package seed is what makes a node of a copy of the root filesystem: its
// configuration, programs, images and identity, by path.
//
// It owns the files below files/, which lie there as on a node's disk and are
// templates over Node. It refuses to write them anywhere: package image does.
package seed

import (
	"embed"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"path"
	"strings"
	"text/template"

	"github.com/picket-dev/picket/test/lab/image"
)

// Node is what one node differs by, and what its files are templates over.
type Node struct {
	Name string
	// MachineID is 32 hexadecimal digits.
	MachineID              string
	Cluster, Storage       netip.Addr
	ClusterMAC, StorageMAC net.HardwareAddr
	// ClusterHost is the control plane's address, ServiceCIDR what is reached
	// through it.
	ClusterHost netip.Addr
	ServiceCIDR netip.Prefix
	// PodSubnet is the node's own.
	PodSubnet netip.Prefix
	// Pause is the name of the sandbox image.
	Pause string

	// Kubelet, Guest and CSI are programs on this machine; Kubeconfig is the
	// kubelet's.
	Kubelet, Guest, CSI, Kubeconfig string
	// Images are archives on this machine that the node imports, by the name of
	// their file there.
	Images map[string]string
}

//go:embed all:files
var tree embed.FS

// units are started at boot.
var units = map[string]string{
	"kubelet.service":                      "multi-user.target",
	"lab-images.service":                   "multi-user.target",
	"lab-guest.service":                    "sysinit.target",
	"lab-csi.service":                      "multi-user.target",
	"systemd-networkd.service":             "multi-user.target",
	"systemd-networkd-wait-online.service": "network-online.target",
}

// Files returns what the node's disk carries beside the root filesystem.
func (n Node) Files() (map[string]image.File, error) {
	files := map[string]image.File{
		"/usr/local/bin/kubelet":       {From: n.Kubelet, Mode: 0o755},
		"/usr/local/bin/lab-guest":     {From: n.Guest, Mode: 0o755},
		"/usr/local/bin/lab-csi":       {From: n.CSI, Mode: 0o755},
		"/etc/kubernetes/kubelet.conf": {From: n.Kubeconfig, Mode: 0o600},
	}
	for name, from := range n.Images {
		files["/var/lib/lab/images/"+name] = image.File{From: from}
	}
	for unit, target := range units {
		dir := "/etc/systemd/system"
		if strings.HasPrefix(unit, "systemd-") {
			dir = "/lib/systemd/system"
		}
		files[path.Join("/etc/systemd/system", target+".wants", unit)] = image.File{Link: path.Join(dir, unit)}
	}
	err := fs.WalkDir(tree, "files", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		parsed, err := template.ParseFS(tree, name)
		if err != nil {
			return err
		}
		var text strings.Builder
		if err := parsed.Execute(&text, n); err != nil {
			return err
		}
		files[strings.TrimPrefix(name, "files")] = image.File{Text: text.String()}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("make the files of %s: %w", n.Name, err)
	}
	return files, nil
}

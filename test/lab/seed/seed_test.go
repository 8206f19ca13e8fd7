package seed

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestFiles makes the files of a node, and looks at those that it cannot boot
// without.
func TestFiles(t *testing.T) {
	files, err := Node{
		Name: "node-7", MachineID: "0123456789abcdef0123456789abcdef",
		Cluster: netip.MustParseAddr("10.77.0.17"), Storage: netip.MustParseAddr("10.78.0.17"),
		ClusterMAC: net.HardwareAddr{2, 0, 0, 0, 1, 7}, StorageMAC: net.HardwareAddr{2, 0, 0, 0, 2, 7},
		ClusterHost: netip.MustParseAddr("10.77.0.1"), ServiceCIDR: netip.MustParsePrefix("10.0.0.0/24"),
		PodSubnet: netip.MustParsePrefix("10.244.7.0/24"), Pause: "x.dev/pause:1",
		Kubelet: "/k", Guest: "/g", Kubeconfig: "/c", Images: map[string]string{"p.tar": "/p"},
	}.Files()
	if err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{
		"/etc/hostname":                               "node-7\n",
		"/etc/machine-id":                             "0123456789abcdef0123456789abcdef\n",
		"/etc/iscsi/initiatorname.iscsi":              "InitiatorName=iqn.2026-01.dev.picket.lab:node-7\n",
		"/etc/systemd/network/10-cluster.network":     "Address=10.77.0.17/24",
		"/etc/systemd/network/20-storage.network":     "MACAddress=02:00:00:00:02:07",
		"/etc/containerd/config.toml":                 `sandbox_image = "x.dev/pause:1"`,
		"/etc/cni/net.d/10-lab.conflist":              `"subnet": "10.244.7.0/24"`,
		"/etc/systemd/system/kubelet.service":         "--hostname-override=node-7 --node-ip=10.77.0.17",
		"/etc/systemd/journald.conf.d/lab.conf":       "TTYPath=/dev/hvc0",
		"/etc/systemd/system/lab-guest.service":       "DefaultDependencies=no",
		"/etc/systemd/system/lab-images.service":      "images import",
		"/etc/systemd/system/lab-csi.service":         "/usr/local/bin/lab-csi --node=node-7",
		"/etc/multipath.conf":                         "no_path_retry queue",
		"/etc/systemd/system/system.slice.d/lab.conf": "CPUWeight=",
	} {
		if !strings.Contains(files[path].Text, says) {
			t.Errorf("%s does not say %q:\n%s", path, says, files[path].Text)
		}
	}
	if f := files["/var/lib/lab/images/p.tar"]; f.From != "/p" {
		t.Errorf("the image is %+v", f)
	}
	if f := files["/etc/systemd/system/multi-user.target.wants/kubelet.service"]; f.Link != "/etc/systemd/system/kubelet.service" {
		t.Errorf("the kubelet is not enabled: %+v", f)
	}
	var kubelet map[string]any
	if err := yaml.UnmarshalStrict([]byte(files["/etc/kubernetes/kubelet.yaml"].Text), &kubelet); err != nil {
		t.Errorf("the kubelet's configuration: %v", err)
	}
	for path, f := range files {
		if strings.Contains(f.Text, "{{") || strings.Contains(f.Text, "<no value>") {
			t.Errorf("%s is not filled in:\n%s", path, f.Text)
		}
	}
}

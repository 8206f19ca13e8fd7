package doctor

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/picket-dev/picket/proto/finding"
	"github.com/picket-dev/picket/proto/screen"
)

// network reports whether a DaemonSet is a network agent by its name: that of a
// network without which the kubelet of a new boot does not become Ready, or
// kube-proxy.
func network(name string) bool {
	return slices.ContainsFunc([]string{
		"calico-node", "canal", "cilium", "flannel", "weave-net", "kube-router", "antrea-agent", "kube-ovn-cni", "ovs-ovn",
		"ovnkube-node", "multus", "aws-node", "azure-cni", "kindnet", "kube-proxy", "sdn",
	}, func(known string) bool {
		return strings.HasPrefix(name, known) || strings.HasPrefix(name, "kube-"+known)
	})
}

// registrar reports whether a DaemonSet is a CSI driver's node plugin: each has a
// container that registers it with the kubelet.
func registrar(d *appsv1.DaemonSet) bool {
	for _, c := range d.Spec.Template.Spec.Containers {
		if strings.Contains(c.Name, "driver-registrar") || strings.Contains(c.Image, "csi-node-driver-registrar") {
			return true
		}
	}
	return false
}

// daemonSets judges those that a node needs to come back, and that a quarantine
// keeps away.
func daemonSets(f *Facts) (string, []finding.Finding) {
	var found []finding.Finding
	for i := range f.DaemonSets {
		d := &f.DaemonSets[i]
		all := d.Spec.Template.Spec.Tolerations
		if endures(all, quarantine()) && endures(all, outOfService()) {
			continue
		}
		known := network(d.Name)
		switch {
		case known || d.Spec.Template.Spec.HostNetwork && d.Namespace == "kube-system":
			x := finding.Finding{
				ID: NetworkAgentEvicted, Severity: finding.Warning,
				What: fmt.Sprintf("%s/%s does not tolerate every NoExecute taint", d.Namespace, d.Name),
				Why:  "a node that comes back is quarantined until its kubelet is Ready (C8), and without its network it may never be",
				Fix:  tolerateAll(d),
			}
			if known {
				x.Severity = finding.Error
			}
			found = append(found, x)
		case registrar(d):
			found = append(found, finding.Finding{
				ID: StoragePluginEvicted, Severity: finding.Warning,
				What: fmt.Sprintf("%s/%s, a CSI node plugin, does not tolerate every NoExecute taint", d.Namespace, d.Name),
				Why:  "it is evicted with the pods whose volumes it should unmount, so that a node which is fenced and still runs cannot be cleaned",
				Fix:  tolerateAll(d),
			})
		}
	}
	return screen.Count(len(f.DaemonSets), "DaemonSet", "DaemonSets") + " looked at", found
}

// tolerateAll makes a DaemonSet run whatever is wrong with a node: it comes before
// what it tolerates only for a while.
func tolerateAll(d *appsv1.DaemonSet) string {
	path, value := "/spec/template/spec/tolerations/0", `{"operator":"Exists"}`
	if len(d.Spec.Template.Spec.Tolerations) == 0 {
		path, value = strings.TrimSuffix(path, "/0"), "["+value+"]"
	}
	return fmt.Sprintf(`kubectl -n %s patch daemonset %s --type json -p '[{"op":"add","path":"%s","value":%s}]'`, d.Namespace, d.Name, path, value)
}

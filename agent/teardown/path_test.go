package teardown

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPlaceOf(t *testing.T) {
	const hash = "3f79bb7b435b05321651daefd374cdc681dc06faa65e374e38337b88ca046dea"
	type found struct {
		Plugin, Name, Driver, Hash, Pod string
		Weak                            bool
	}
	tests := []struct {
		point string
		want  *found
	}{
		{"pods/uid/volumes/kubernetes.io~csi/pvc-1/mount", &found{Plugin: "csi", Name: "pvc-1", Pod: "uid"}},
		{"pods/uid/volumes/kubernetes.io~csi/pvc with blank/mount", &found{Plugin: "csi", Name: "pvc with blank", Pod: "uid"}},
		{"pods/uid/volumes/kubernetes.io~iscsi/pv-1", &found{Plugin: "iscsi", Name: "pv-1", Pod: "uid"}},
		{"pods/uid/volumeDevices/kubernetes.io~csi/pvc-1", &found{Plugin: "csi", Name: "pvc-1", Pod: "uid"}},
		{"pods/uid/volume-subpaths/pvc-1/db/0", &found{Name: "pvc-1", Pod: "uid", Weak: true}},
		{"plugins/kubernetes.io/csi/rbd.csi.ceph.com/" + hash + "/globalmount/0001-0009", &found{Plugin: "csi", Driver: "rbd.csi.ceph.com", Hash: hash}},
		{"plugins/kubernetes.io/csi/pv/pvc-1/globalmount", &found{Plugin: "csi", Name: "pvc-1"}},
		{"plugins/kubernetes.io/csi/volumeDevices/staging/pvc-1/0001", &found{Plugin: "csi", Name: "pvc-1"}},
		{"plugins/kubernetes.io/csi/volumeDevices/publish/pvc-1/uid", &found{Plugin: "csi", Name: "pvc-1", Pod: "uid"}},
		{"plugins/kubernetes.io/csi/volumeDevices/pvc-1/dev/uid", &found{Plugin: "csi", Name: "pvc-1", Pod: "uid"}},
		{"plugins/kubernetes.io/iscsi/iface-default/192.0.2.1:3260-iqn.x-lun-1", &found{Plugin: "iscsi", Name: "192.0.2.1:3260-iqn.x-lun-1", Weak: true}},
		{"plugins/kubernetes.io/rbd/mounts/rbd-image-a", &found{Plugin: "rbd", Name: "rbd-image-a", Weak: true}},
		{"pods/uid/volumes/kubernetes.io~local-volume/pv-1", nil},
		{"pods/uid/volumes/kubernetes.io~secret/s", nil},
		{"pods/uid/volumes/kubernetes.io~empty-dir/d", nil},
		{"plugins/kubernetes.io/local-volume/mounts/pv-1", nil},
		{"pods/uid/volumes/vendor~flex/v", nil},
		{"pods/uid/volumes/kubernetes.io~csi", nil},
		{"pods/uid/etc-hosts", nil},
		{"plugins/kubernetes.io/csi", nil},
		{"plugins/kubernetes.io/csi/pv", nil},
		{"plugins/rbd.csi.ceph.com/x/y/z", nil},
		{"plugins_registry/kubernetes.io/csi/x/y", nil},
		{"../kubelet2/pods/uid/volumes/kubernetes.io~csi/pvc-1/mount", nil},
		{"", nil},
	}
	for _, tt := range tests {
		var got *found
		if p, ok := placeOf([]string{"/srv/k", kubelet}, kubelet+"/"+tt.point); ok {
			got = &found{p.plugin, p.name, p.driver, p.hash, p.pod, p.weak}
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.point, d)
		}
	}
}

// Only what lies below a root is a volume's, and what is one has a name.
func FuzzPlaceOf(f *testing.F) {
	f.Add("/var/lib/kubelet/pods/uid/volumes/kubernetes.io~csi/pvc-1/mount")
	f.Add("/var/lib/kubelet/plugins/kubernetes.io/csi/volumeDevices//publish")
	f.Add("/var/lib/kubelet/../../..")
	f.Fuzz(func(t *testing.T, point string) {
		p, ok := placeOf([]string{kubelet}, point)
		if ok && (!strings.HasPrefix(point, "/") || p.name == "" && p.hash == "") {
			t.Errorf("%q is %+v", point, p)
		}
	})
}

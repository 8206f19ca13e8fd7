package teardown

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A volume below a root that nobody has named as the kubelet's is not the host's
// own: neither Clean nor touched. What the kubelet and others mount beside
// volumes that move is no reason to doubt.
func TestVolumesBelowAnUnknownRoot(t *testing.T) {
	const (
		other = "/var/snap/microk8s/common/var/lib/kubelet"
		pod   = "/pods/6fa459ea-ee8a-3ca4-894e-db77e160355e"
		csi   = pod + "/volumes/kubernetes.io~csi/pv-a/mount"
	)
	tests := []struct {
		name  string
		shape func(s *shape, d Number)
		want  bool // it is unknown whose it is
	}{
		{"a CSI volume", func(s *shape, d Number) { s.mount(hostNS, d, "ext4", other+csi, "") }, true},
		{"its global mount", func(s *shape, d Number) {
			s.mount(hostNS, d, "ext4", other+"/plugins/kubernetes.io/csi/csi.example/0a1b/globalmount", "")
		}, true},
		{"raw block", func(s *shape, d Number) {
			s.mount(hostNS, d, "devtmpfs", "/var/lib/k0s/kubelet"+pod+"/volumeDevices/kubernetes.io~csi/pv-a", "/sdb")
		}, true},
		{"NFS, which has no device", func(s *shape, _ Number) {
			s.mount(hostNS, num(0, 81), "nfs4", other+pod+"/volumes/kubernetes.io~nfs/pv-a", "")
		}, true},
		{"in a service's namespace alone", func(s *shape, d Number) { s.mount(udevNS, d, "ext4", other+csi, "") }, true},
		{"in the middle of a name", func(s *shape, d Number) { s.mount(hostNS, d, "ext4", "/srv/kubelet2"+csi, "") }, true},
		{"below a known root", func(s *shape, d Number) { s.shown(d, "ext4", kubelet+csi, "") }, false},
		{"known by another mount", func(s *shape, d Number) {
			s.shown(d, "ext4", kubelet+csi, "")
			s.mount(hostNS, d, "ext4", other+csi, "")
		}, false},
		{"in a pod's namespace", func(s *shape, d Number) {
			s.shown(d, "ext4", kubelet+csi, "")
			s.mount(csiNS, num(0, 82), "nfs4", "/host"+kubelet+pod+"/volumes/kubernetes.io~nfs/pv-b", "")
		}, false},
		{"a secret", func(s *shape, _ Number) {
			s.mount(hostNS, num(0, 83), "tmpfs", other+pod+"/volumes/kubernetes.io~secret/token", "")
		}, false},
		{"a local volume", func(s *shape, _ Number) {
			s.mount(hostNS, num(253, 2), "ext4", other+pod+"/volumes/kubernetes.io~local-volume/data", "")
		}, false},
		{"within an empty directory", func(s *shape, _ Number) {
			s.mount(hostNS, num(253, 2), "ext4", kubelet+pod+"/volumes/kubernetes.io~empty-dir/nested"+csi, "")
		}, false},
		{"a directory of the host's", func(s *shape, _ Number) { s.mount(hostNS, num(253, 2), "ext4", "/srv/pods/a/volumes/b/c", "") }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := node()
			s.session("1", target, portalA)
			d := s.lun("sdb", "1", 1, "w1")
			tt.shape(s, d)
			s.api.Pods = append(s.api.Pods, "6fa459ea-ee8a-3ca4-894e-db77e160355e")
			got := newHost(s.inv, s.api, sameClean).Unknown
			if d := cmp.Diff(tt.want, len(got) == 1 && got[0].Device == Number{}); d != "" || len(got) > 1 {
				t.Errorf("unknown (-want +got):\n%s%v", d, got)
			}
			for aim, state := range map[Aim]State{sameClean: Reset, newBoot: Blocked} {
				if p := Make(s.inv, s.api, aim); (p.State == state) != tt.want {
					t.Errorf("%v with %v: %s", p.State, lines(p.Steps), p.Why)
				}
			}
		})
	}
}

package block

import (
	"testing"

	"github.com/picket-dev/picket/agent/teardown"
)

func TestMountedAs(t *testing.T) {
	mount := func(d teardown.Number, point string) teardown.Mount {
		return teardown.Mount{Namespace: hostSpace, Device: d, Point: point}
	}
	tests := []struct {
		name   string
		mounts []teardown.Mount
		want   string
	}{
		{"nowhere", nil, ""},
		{"not for a pod", []teardown.Mount{mount(dev(8, 0), "/v")}, ""},
		{"for a pod", []teardown.Mount{mount(dev(8, 0), "/v"), mount(dev(8, 0), podDir+"/volumes/kubernetes.io~iscsi/pv-a")}, "pv-a"},
		{"for two pods", []teardown.Mount{mount(dev(8, 0), "/v/x"), mount(dev(8, 0), podDir+"/volumes/kubernetes.io~iscsi/pv-a"), mount(dev(8, 0), kubelet+"/pods/b/volumes/kubernetes.io~iscsi/pv-a")}, "pv-a"},
		{"for two volumes", []teardown.Mount{mount(dev(8, 0), "/v"), mount(dev(8, 0), podDir+"/volumes/kubernetes.io~iscsi/pv-a"), mount(dev(8, 0), podDir+"/volumes/kubernetes.io~iscsi/pv-b")}, ""},
		{"another device", []teardown.Mount{mount(dev(8, 0), "/v"), mount(dev(8, 16), podDir+"/volumes/kubernetes.io~iscsi/pv-a")}, ""},
		{"another directory", []teardown.Mount{mount(dev(8, 0), "/vv"), mount(dev(8, 0), podDir+"/volumes/kubernetes.io~iscsi/pv-a")}, ""},
		{"raw block", []teardown.Mount{
			{Namespace: hostSpace, Device: dev(0, 6), Node: dev(8, 0), Point: "/v/dev"},
			{Namespace: hostSpace, Device: dev(0, 6), Node: dev(8, 0), Point: podDir + "/volumeDevices/kubernetes.io~csi/pv-raw"},
			{Namespace: hostSpace, Device: dev(0, 6), Node: dev(8, 16), Point: podDir + "/volumeDevices/kubernetes.io~csi/pv-other"},
		}, "pv-raw"},
	}
	for _, tt := range tests {
		l := &look{inv: teardown.Inventory{Roots: []string{kubelet}, Namespaces: []teardown.Namespace{{ID: hostSpace, Host: true}}, Mounts: tt.mounts}}
		if got := l.mountedAs("/v"); got != tt.want {
			t.Errorf("%s: mountedAs() = %q, want %q", tt.name, got, tt.want)
		}
	}
}

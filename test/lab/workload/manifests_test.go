package workload

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func TestManifests(t *testing.T) {
	o := DefaultOptions()
	o.Image, o.IQN, o.Collector = "picket.dev/writer:lab", "iqn.2026-01.test:t", "http://10.9.0.1:8000"
	o.Portal = netip.MustParseAddrPort("10.9.1.1:3260")
	text, err := Manifests(o)
	if err != nil {
		t.Fatal(err)
	}
	documents := bytes.Split(text, []byte("---\n"))
	if len(documents) != 3 {
		t.Fatalf("%d documents", len(documents))
	}
	var (
		volume  corev1.PersistentVolume
		service corev1.Service
		set     appsv1.StatefulSet
	)
	for i, into := range []any{&volume, &service, &set} {
		if err := yaml.UnmarshalStrict(documents[i], into); err != nil {
			t.Fatal(err)
		}
	}
	disk := &corev1.ISCSIPersistentVolumeSource{TargetPortal: "10.9.1.1:3260", IQN: o.IQN, Lun: 1, FSType: "ext4"}
	if diff := cmp.Diff(disk, volume.Spec.ISCSI); diff != "" {
		t.Error(diff)
	}
	claim := set.Spec.VolumeClaimTemplates[0]
	if got := volume.Spec.ClaimRef; got.Name != claim.Name+"-"+set.Name+"-0" || got.Namespace != set.Namespace || claim.Spec.VolumeName != volume.Name {
		t.Errorf("the volume is for %v, the claim for %q", got, claim.Spec.VolumeName)
	}
	if diff := cmp.Diff(volume.Spec.Capacity["storage"], claim.Spec.Resources.Requests["storage"]); diff != "" {
		t.Error(diff)
	}
	wantLabels := map[string]string{"app": "db", "lab.picket.dev/lun": "1"}
	if diff := cmp.Diff(wantLabels, set.Spec.Template.Labels); diff != "" || service.Spec.Selector["app"] != "db" {
		t.Errorf("the service selects %v: %s", service.Spec.Selector, diff)
	}
	writer := set.Spec.Template.Spec.Containers[0]
	if writer.ImagePullPolicy != corev1.PullNever || writer.Image != o.Image {
		t.Errorf("image %s is pulled %s", writer.Image, writer.ImagePullPolicy)
	}
	want := []string{"-file=/data/records", "-every=500ms", "-collector=http://10.9.0.1:8000", "-stain=0", "-listen=:8080"}
	if diff := cmp.Diff(want, writer.Args); diff != "" {
		t.Error(diff)
	}
}

// A raw block volume of a CSI driver, whose pod stays on a fenced node.
func TestManifestsOfABlockVolume(t *testing.T) {
	o := DefaultOptions()
	o.Image, o.Collector = "picket.dev/writer:lab", "http://10.9.0.1:8000"
	o.Driver, o.Attributes = "x.dev", map[string]string{"lun": "7", "portals": "10.9.1.1:3260,10.9.1.2:3260"}
	o.LUN, o.Block, o.Retain, o.Stain, o.Port = 7, true, true, 4096, 8081
	text, err := Manifests(o)
	if err != nil {
		t.Fatal(err)
	}
	documents := bytes.Split(text, []byte("---\n"))
	var volume corev1.PersistentVolume
	var set appsv1.StatefulSet
	if err := errors.Join(yaml.UnmarshalStrict(documents[0], &volume), yaml.UnmarshalStrict(documents[2], &set)); err != nil {
		t.Fatal(err)
	}
	disk := &corev1.CSIPersistentVolumeSource{Driver: "x.dev", VolumeHandle: "db", VolumeAttributes: o.Attributes}
	if diff := cmp.Diff(disk, volume.Spec.CSI); diff != "" {
		t.Error(diff)
	}
	pod := set.Spec.Template
	if len(pod.Spec.Containers[0].VolumeDevices) != 1 || pod.Spec.Containers[0].VolumeMounts != nil || *volume.Spec.VolumeMode != corev1.PersistentVolumeBlock {
		t.Errorf("the volume is no raw device: %+v", pod.Spec.Containers[0])
	}
	if pod.Labels["lab.picket.dev/lun"] != "7" || pod.Annotations["picket.dev/on-fence"] != "retain" {
		t.Errorf("labels %v, annotations %v", pod.Labels, pod.Annotations)
	}
}

func TestOptionsAreComplete(t *testing.T) {
	if _, err := Manifests(DefaultOptions()); err == nil {
		t.Error("manifests without an image")
	}
}

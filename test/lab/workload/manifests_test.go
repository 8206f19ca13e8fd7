package workload

import (
	"bytes"
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
	if diff := cmp.Diff(service.Spec.Selector, set.Spec.Template.Labels); diff != "" {
		t.Error(diff)
	}
	writer := set.Spec.Template.Spec.Containers[0]
	if writer.ImagePullPolicy != corev1.PullNever || writer.Image != o.Image {
		t.Errorf("image %s is pulled %s", writer.Image, writer.ImagePullPolicy)
	}
	want := []string{"-file=/data/records", "-every=500ms", "-collector=http://10.9.0.1:8000"}
	if diff := cmp.Diff(want, writer.Args); diff != "" {
		t.Error(diff)
	}
}

func TestOptionsAreComplete(t *testing.T) {
	if _, err := Manifests(DefaultOptions()); err == nil {
		t.Error("manifests without an image")
	}
}

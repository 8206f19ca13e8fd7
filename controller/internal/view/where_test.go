package view

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// What agents say of volumes counts under every name that they may have for one,
// and what they cannot say is said.
func TestWhereInTheAgentsWords(t *testing.T) {
	pv := &corev1.PersistentVolume{Spec: corev1.PersistentVolumeSpec{PersistentVolumeSource: corev1.PersistentVolumeSource{
		CSI: &corev1.CSIPersistentVolumeSource{Driver: "d.example", VolumeHandle: "h"},
	}}}
	attached := storagev1.VolumeAttachment{}
	name := "v"
	attached.Spec.NodeName, attached.Spec.Source.PersistentVolumeName, attached.Status.Attached = "a", &name, true
	const hashed = "d.example aaa9402664f1a41f40ebbc52c9993eb66aeb366602958fdfaa283b71e64db123"
	for _, tt := range []struct {
		name    string
		storage v1alpha1.Storage
		places  []Place
		says    []string
	}{
		{"by its handle, on two devices", v1alpha1.Storage{State: v1alpha1.StorageInUse, Devices: []v1alpha1.Device{{Path: "/dev/sda", Volume: "h"}, {Path: "/dev/sdb", Volume: hashed}, {Path: "/dev/sdc", Volume: "w"}}},
			[]Place{{"v", "a", "/dev/sda", true, "Armed", ""}, {"v", "a", "/dev/sdb", true, "Armed", ""}}, nil},
		{"left behind", v1alpha1.Storage{State: v1alpha1.StorageDirty, Devices: []v1alpha1.Device{{Path: "/dev/sda", Volume: "v", Standing: "Stuck"}}},
			[]Place{{"v", "a", "/dev/sda", true, "Armed", "Stuck"}}, []string{"a has /dev/sda left of v, which has moved (Stuck)"}},
		{"blind", v1alpha1.Storage{State: v1alpha1.StorageUnknown, Message: "mounts could not be read"},
			[]Place{{"v", "a", "", true, "Armed", ""}}, []string{"a does not know all that it has: mounts could not be read"}},
		{"too many", v1alpha1.Storage{State: v1alpha1.StorageInUse, Omitted: 7},
			[]Place{{"v", "a", "", true, "Armed", ""}}, []string{"a has 7 devices more than it lists"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := armed()
			s.Guards[0].Status.Storage = tt.storage
			v := s.Where(Question{Volume: "v", PV: pv, Attachments: []storagev1.VolumeAttachment{attached}})
			if d := cmp.Diff(tt.places, v.Places); d != "" {
				t.Error(d)
			}
			if len(v.Warnings) != len(tt.says) {
				t.Fatalf("warnings %q", v.Warnings)
			}
			for i, says := range tt.says {
				if !strings.HasPrefix(v.Warnings[i], says) {
					t.Errorf("warning %q, want %q", v.Warnings[i], says)
				}
			}
		})
	}
	s := armed()
	s.Guards[1].Status.Storage = v1alpha1.Storage{State: v1alpha1.StorageUnknown}
	if v := s.Where(Question{Node: "a"}); len(v.Warnings) != 0 {
		t.Errorf("of another node: %q", v.Warnings)
	}
}

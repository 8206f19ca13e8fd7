package stage

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/test/cluster/attacher"
)

// StatefulSet makes one of a single replica, whose pod NAME-0 writes to a
// ReadWriteOnce volume. The change, unless nil, edits it first: tolerations,
// annotations, a finalizer, a node selector.
func (s *Stage) StatefulSet(ctx context.Context, name string, change func(*appsv1.StatefulSet)) error {
	replicas, class := int32(1), attacher.StorageClass
	labels := map[string]string{"app": name}
	set := &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.StatefulSetSpec{
			Replicas:    &replicas,
			ServiceName: name,
			Selector:    &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					Containers: []corev1.Container{{
						Name: "writer", Image: "stub",
						VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
					}},
				},
			},
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{
				ObjectMeta: metav1.ObjectMeta{Name: "data"},
				Spec: corev1.PersistentVolumeClaimSpec{
					AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
					StorageClassName: &class,
					Resources: corev1.VolumeResourceRequirements{
						Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
					},
				},
			}},
		},
	}
	if change != nil {
		change(set)
	}
	_, err := s.Plane.Client().AppsV1().StatefulSets(metav1.NamespaceDefault).Create(ctx, set, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("create StatefulSet %s: %w", name, err)
	}
	return nil
}

// VolumeOf returns the volume that a pod's claim is bound to.
func (s *Stage) VolumeOf(ctx context.Context, pod *corev1.Pod) (string, error) {
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim == nil {
			continue
		}
		claim, err := s.Plane.Client().CoreV1().PersistentVolumeClaims(pod.Namespace).Get(ctx, v.PersistentVolumeClaim.ClaimName, metav1.GetOptions{})
		if err != nil {
			return "", fmt.Errorf("find the volume of %s: %w", pod.Name, err)
		}
		return claim.Spec.VolumeName, nil
	}
	return "", fmt.Errorf("pod %s has no volume", pod.Name)
}

package kube

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// volumes names PersistentVolumes, and the names under which a node reports
// them attached where they are known.
type volumes map[string]string

func (v volumes) hasPV(pv string) bool {
	_, ok := v[pv]
	return pv != "" && ok
}

func (v volumes) hasHandle(attached string) bool {
	for _, h := range v {
		if h != "" && h == attached {
			return true
		}
	}
	return false
}

// addVolumes adds the persistent volumes of a pod. A claim or volume that is
// gone, or was never bound, has nothing attached.
func (a *API) addVolumes(ctx context.Context, p *corev1.Pod, to volumes) error {
	core := a.cfg.Kube.CoreV1()
	for _, v := range p.Spec.Volumes {
		claim := claimOf(p, v)
		if claim == "" {
			continue
		}
		pvc, err := core.PersistentVolumeClaims(p.Namespace).Get(ctx, claim, metav1.GetOptions{})
		switch {
		case gone(err):
			continue
		case err != nil:
			return fmt.Errorf("read claim %s/%s of a pod that stays: %w", p.Namespace, claim, err)
		case pvc.Spec.VolumeName == "":
			continue
		}
		pv, err := core.PersistentVolumes().Get(ctx, pvc.Spec.VolumeName, metav1.GetOptions{})
		switch {
		case gone(err):
			to[pvc.Spec.VolumeName] = ""
		case err != nil:
			return fmt.Errorf("read volume %s of a pod that stays: %w", pvc.Spec.VolumeName, err)
		default:
			to[pv.Name] = attachedName(pv)
		}
	}
	return nil
}

// claimOf returns the name of the claim behind a volume of the pod, or nothing.
func claimOf(p *corev1.Pod, v corev1.Volume) string {
	switch {
	case v.PersistentVolumeClaim != nil:
		return v.PersistentVolumeClaim.ClaimName
	case v.Ephemeral != nil:
		return p.Name + "-" + v.Name
	}
	return ""
}

// attachedName returns the name under which Node.status.volumesAttached lists a
// CSI volume. Others are never left out: that only keeps a fence waiting.
func attachedName(pv *corev1.PersistentVolume) string {
	if pv.Spec.CSI == nil {
		return ""
	}
	return "kubernetes.io/csi/" + pv.Spec.CSI.Driver + "^" + pv.Spec.CSI.VolumeHandle
}

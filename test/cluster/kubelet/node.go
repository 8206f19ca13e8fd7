package kubelet

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// register makes the Node and its CSINode, or brings those of an earlier boot
// up to date. A kubelet does this once: a Node that is deleted later stays
// deleted.
func (s *session) register(ctx context.Context) error {
	meta := metav1.ObjectMeta{
		Name: s.opts.Node,
		Labels: map[string]string{
			corev1.LabelHostname:   s.opts.Node,
			corev1.LabelOSStable:   runtime.GOOS,
			corev1.LabelArchStable: runtime.GOARCH,
		},
		// Without it the attach-detach controller leaves the node alone.
		Annotations: map[string]string{"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
	}
	maps.Copy(meta.Labels, s.opts.Labels)
	node, err := s.client.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: meta}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		node, err = s.patchMeta(ctx, meta)
	}
	if err != nil {
		return fmt.Errorf("register node: %w", err)
	}
	if s.opts.Driver == "" {
		return nil
	}
	_, err = s.client.StorageV1().CSINodes().Create(ctx, &storagev1.CSINode{
		ObjectMeta: metav1.ObjectMeta{Name: s.opts.Node, OwnerReferences: ownedBy(node)},
		Spec:       storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{{Name: s.opts.Driver, NodeID: s.opts.Node}}},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("register CSI driver: %w", err)
	}
	return nil
}

// patchMeta adds labels and annotations to the Node.
func (s *session) patchMeta(ctx context.Context, meta metav1.ObjectMeta) (*corev1.Node, error) {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": meta.Labels, "annotations": meta.Annotations}})
	if err != nil {
		return nil, err
	}
	return s.client.CoreV1().Nodes().Patch(ctx, meta.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
}

func ownedBy(node *corev1.Node) []metav1.OwnerReference {
	return []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID}}
}

// renewLease renews the node's Lease until the boot ends.
func (s *session) renewLease(ctx context.Context) {
	for s.retry(ctx, "renew lease", s.renewOnce) && sleep(ctx, s.opts.LeaseEvery) {
	}
}

func (s *session) renewOnce(ctx context.Context) error {
	leases := s.client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	lease, err := leases.Get(ctx, s.opts.Node, metav1.GetOptions{})
	missing := apierrors.IsNotFound(err)
	if missing {
		node, err := s.client.CoreV1().Nodes().Get(ctx, s.opts.Node, metav1.GetOptions{})
		if err != nil {
			return err
		}
		lease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: s.opts.Node, OwnerReferences: ownedBy(node)}}
	} else if err != nil {
		return err
	}
	seconds := int32(4 * s.opts.LeaseEvery / time.Second)
	now := metav1.NowMicro()
	lease.Spec.HolderIdentity = &s.opts.Node
	lease.Spec.LeaseDurationSeconds = &seconds
	lease.Spec.RenewTime = &now
	if missing {
		_, err = leases.Create(ctx, lease, metav1.CreateOptions{})
	} else {
		_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	}
	return err
}

// syncStatus posts the Node's status when it is due or when the volumes in use
// have changed.
func (s *session) syncStatus(ctx context.Context, node *corev1.Node) {
	if node == nil {
		return
	}
	inUse := s.volumesInUse()
	if time.Since(s.posted) < s.opts.StatusEvery && slices.Equal(inUse, s.inUse) {
		return
	}
	err := s.call(ctx, func(ctx context.Context) error { return s.postStatus(ctx, node, inUse) })
	if err != nil {
		s.log.Warn("call failed, will be repeated", "call", "post status", "error", err)
		return
	}
	s.posted, s.inUse = time.Now(), inUse
	reported := false
	for _, run := range s.local {
		if run.resolved && !run.reported {
			run.reported, reported = true, true
		}
	}
	if reported {
		s.changed()
	}
}

// volumesInUse are those of all pods from the moment a pod's volumes are known
// until they are unmounted, sorted.
func (s *session) volumesInUse() []corev1.UniqueVolumeName {
	names := make(map[corev1.UniqueVolumeName]bool)
	for _, run := range s.local {
		for _, v := range run.volumes {
			names[v.attachID()] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// postStatus patches the status by strategic merge, as a kubelet does; so it
// cannot undo what others write.
func (s *session) postStatus(ctx context.Context, node *corev1.Node, inUse []corev1.UniqueVolumeName) error {
	if inUse == nil {
		inUse = []corev1.UniqueVolumeName{} // null would leave the old list
	}
	capacity := corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("8"),
		corev1.ResourceMemory:           resource.MustParse("32Gi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("100Gi"),
		corev1.ResourcePods:             resource.MustParse("110"),
	}
	patch, err := json.Marshal(map[string]any{"status": map[string]any{
		"addresses": []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: s.opts.Addr.String()},
			{Type: corev1.NodeHostName, Address: s.opts.Node},
		},
		"capacity":     capacity,
		"allocatable":  capacity,
		"conditions":   conditions(node, time.Now()),
		"nodeInfo":     s.nodeInfo(),
		"volumesInUse": inUse,
	}})
	if err != nil {
		return err
	}
	_, err = s.client.CoreV1().Nodes().Patch(ctx, s.opts.Node, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

func (s *session) nodeInfo() corev1.NodeSystemInfo {
	id := s.boot.Machine
	return corev1.NodeSystemInfo{
		BootID:                  s.boot.ID,
		MachineID:               id.MachineID,
		SystemUUID:              id.SystemUUID,
		KernelVersion:           "6.1.0-stub",
		OSImage:                 "Stub Linux",
		ContainerRuntimeVersion: "stub://1",
		KubeletVersion:          "v1.36.3",
		OperatingSystem:         runtime.GOOS,
		Architecture:            runtime.GOARCH,
	}
}

// conditions are a healthy node's; a condition that did not change keeps its
// transition time.
func conditions(node *corev1.Node, now time.Time) []corev1.NodeCondition {
	healthy := []corev1.NodeCondition{
		{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientMemory"},
		{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasNoDiskPressure"},
		{Type: corev1.NodePIDPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientPID"},
		{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady"},
	}
	for i := range healthy {
		c := &healthy[i]
		c.LastHeartbeatTime, c.LastTransitionTime = metav1.NewTime(now), metav1.NewTime(now)
		for _, old := range node.Status.Conditions {
			if old.Type == c.Type && old.Status == c.Status {
				c.LastTransitionTime = old.LastTransitionTime
			}
		}
	}
	return healthy
}

package kubelet

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/picket-dev/picket/test/cluster/disk"
	"github.com/picket-dev/picket/test/cluster/machine"
)

// podRun is a pod that was admitted in this boot.
type podRun struct {
	name     string
	started  metav1.Time
	volumes  []volume // known once resolved
	resolved bool
	reported bool // the volumes are in the Node's volumesInUse
	running  bool
	cancel   context.CancelFunc
	writers  sync.WaitGroup
}

// volume is a claim's persistent volume.
type volume struct{ name, driver, handle string }

// attachID is the name under which the attach-detach controller reports it.
func (v volume) attachID() corev1.UniqueVolumeName {
	return corev1.UniqueVolumeName("kubernetes.io/csi/" + v.driver + "^" + v.handle)
}

// syncPod makes one pod's run follow its object by one step.
func (s *session) syncPod(ctx context.Context, node *corev1.Node, pod *corev1.Pod) {
	run := s.local[pod.UID]
	terminal := pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
	var err error
	switch {
	case s.removed[pod.UID]:
	case pod.DeletionTimestamp != nil: // also if it never ran: nobody else lets it go
		err = s.remove(ctx, node, pod, run)
	case s.finished[pod.UID], run == nil && terminal:
	case run == nil:
		err = s.admit(ctx, node, pod)
	case terminal: // somebody else failed it, as pod garbage collection does
		run.stop()
		delete(s.local, pod.UID)
		s.finished[pod.UID] = true
	case !run.resolved:
		err = s.resolve(ctx, pod, run)
	case !run.running:
		err = s.begin(ctx, node, pod, run)
	case !ready(pod):
		err = s.postRunning(ctx, pod, run)
	}
	if err != nil {
		s.log.Warn("pod not synced, will be repeated", "pod", pod.Name, "error", err)
	}
}

// admit decides whether a pod may run here, by the kubelet's own admission: a
// NoExecute taint on the Node rejects it.
func (s *session) admit(ctx context.Context, node *corev1.Node, pod *corev1.Pod) error {
	if taint := untolerated(node.Spec.Taints, pod.Spec.Tolerations); taint != nil {
		s.log.Info("pod rejected", "pod", pod.Name, "taint", taint.ToString())
		err := s.patchPod(ctx, pod, map[string]any{
			"phase": corev1.PodFailed, "reason": "TaintToleration",
			"message": "Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate",
		})
		s.finished[pod.UID] = err == nil
		return err
	}
	s.log.Info("pod admitted", "pod", pod.Name)
	s.local[pod.UID] = &podRun{name: pod.Namespace + "/" + pod.Name, started: metav1.Now()}
	s.changed()
	return nil
}

// untolerated returns the first NoExecute taint that nothing tolerates.
func untolerated(taints []corev1.Taint, tolerations []corev1.Toleration) *corev1.Taint {
	for i := range taints {
		taint := &taints[i]
		tolerates := func(t corev1.Toleration) bool {
			effect := t.Effect == "" || t.Effect == taint.Effect
			key := t.Key == taint.Key || t.Key == "" && t.Operator == corev1.TolerationOpExists
			value := t.Operator == corev1.TolerationOpExists || t.Value == taint.Value
			return effect && key && value
		}
		if taint.Effect == corev1.TaintEffectNoExecute && !slices.ContainsFunc(tolerations, tolerates) {
			return taint
		}
	}
	return nil
}

// resolve finds the volumes behind the pod's claims.
func (s *session) resolve(ctx context.Context, pod *corev1.Pod, run *podRun) error {
	var found []volume
	err := s.call(ctx, func(ctx context.Context) error {
		for _, v := range pod.Spec.Volumes {
			if v.PersistentVolumeClaim == nil {
				continue
			}
			claim, err := s.client.CoreV1().PersistentVolumeClaims(pod.Namespace).Get(ctx, v.PersistentVolumeClaim.ClaimName, metav1.GetOptions{})
			if err != nil {
				return err
			}
			pv, err := s.client.CoreV1().PersistentVolumes().Get(ctx, claim.Spec.VolumeName, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if pv.Spec.CSI == nil {
				return fmt.Errorf("volume %s is not CSI, which is all that this kubelet can mount", pv.Name)
			}
			found = append(found, volume{pv.Name, pv.Spec.CSI.Driver, pv.Spec.CSI.VolumeHandle})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("resolve volumes: %w", err)
	}
	run.volumes, run.resolved, run.reported = found, true, len(found) == 0
	s.changed()
	return nil
}

// begin mounts and starts the pod once all its volumes were reported in use
// and are attached.
func (s *session) begin(ctx context.Context, node *corev1.Node, pod *corev1.Pod, run *podRun) error {
	if !run.reported {
		return nil
	}
	for _, v := range run.volumes {
		attached := func(a corev1.AttachedVolume) bool { return a.Name == v.attachID() }
		if !slices.ContainsFunc(node.Status.VolumesAttached, attached) {
			return nil
		}
	}
	if len(run.volumes) > 0 && !sleep(ctx, s.opts.MountTime) {
		return ctx.Err()
	}
	s.log.Info("pod started", "pod", run.name)
	run.start(s.boot, string(pod.UID), s.opts)
	return s.postRunning(ctx, pod, run)
}

// remove stops a pod that is being deleted, unmounts its volumes, and lets its
// object go.
func (s *session) remove(ctx context.Context, node *corev1.Node, pod *corev1.Pod, run *podRun) error {
	if run != nil {
		s.log.Info("pod stopped", "pod", run.name)
		run.stop()
		delete(s.local, pod.UID)
		s.syncStatus(ctx, node)
	}
	phase := pod.Status.Phase
	if phase != corev1.PodFailed && phase != corev1.PodSucceeded {
		if err := s.patchPod(ctx, pod, map[string]any{"phase": corev1.PodSucceeded}); err != nil {
			return err
		}
	}
	err := s.call(ctx, func(ctx context.Context) error {
		options := metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pod.UID))}
		options.GracePeriodSeconds = new(int64)
		return s.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, options)
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete pod: %w", err)
	}
	s.removed[pod.UID] = true
	return nil
}

func ready(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// postRunning reports a pod that runs and is ready; it also puts right what
// somebody else wrote about it.
func (s *session) postRunning(ctx context.Context, pod *corev1.Pod, run *podRun) error {
	yes := true
	now := metav1.Now()
	var states []corev1.ContainerStatus
	for _, c := range pod.Spec.Containers {
		states = append(states, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, ImageID: c.Image, Ready: true, Started: &yes,
			ContainerID: "stub://" + string(pod.UID) + "/" + s.boot.ID + "/" + c.Name,
			State:       corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: run.started}},
		})
	}
	var conditions []corev1.PodCondition
	for _, kind := range []corev1.PodConditionType{corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		conditions = append(conditions, corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: now})
	}
	addr := s.opts.Addr.As4()
	ip := fmt.Sprintf("10.%d.%d.%d", addr[2], addr[3], 2+len(s.local)%250)
	return s.patchPod(ctx, pod, map[string]any{
		"phase": corev1.PodRunning, "startTime": run.started,
		"hostIP": s.opts.Addr.String(), "podIP": ip, "podIPs": []corev1.PodIP{{IP: ip}},
		"conditions": conditions, "containerStatuses": states,
	})
}

// patchPod patches the status of exactly this pod, not of a namesake.
func (s *session) patchPod(ctx context.Context, pod *corev1.Pod, status map[string]any) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID},
		"status":   status,
	})
	if err != nil {
		return err
	}
	err = s.call(ctx, func(ctx context.Context) error {
		_, err := s.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
		return err
	})
	if apierrors.IsNotFound(err) {
		return nil // the watch will tell
	}
	return err
}

// start lets the pod write to its volumes.
func (r *podRun) start(boot machine.Boot, uid string, o Options) {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.running = cancel, true
	writer := disk.Writer{Node: o.Node, Boot: boot.ID, Pod: uid}
	r.writers.Go(func() {
		tick := time.NewTicker(o.WriteEvery)
		defer tick.Stop()
		for {
			alive := boot.Power.Do(func() {
				if ctx.Err() == nil {
					for _, v := range r.volumes {
						o.Disks.Write(v.handle, writer)
					}
				}
			})
			if !alive {
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
}

// stop ends the writes and unmounts: after it has returned nothing is written.
func (r *podRun) stop() {
	if r.cancel != nil {
		r.cancel()
		r.writers.Wait()
	}
	r.volumes = nil
}

package stage

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/picket-dev/picket/test/cluster/disk"
	"github.com/picket-dev/picket/test/cluster/rawclock"
)

// poll asks until the answer is yes. Errors are answers that come later: the
// API server may be away.
func poll(ctx context.Context, what string, ask func(context.Context) (bool, error)) error {
	var last error
	err := wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		var yes bool
		yes, last = ask(ctx)
		return yes && last == nil, nil
	})
	if err != nil && last != nil {
		return fmt.Errorf("wait for %s: %w (last answer: %w)", what, err, last)
	}
	if err != nil {
		return fmt.Errorf("wait for %s: %w", what, err)
	}
	return nil
}

// WaitReady waits until a Node is Ready, in the boot that runs there, and has
// no taint that keeps pods away because it was not.
func (s *Stage) WaitReady(ctx context.Context, node string) error {
	return poll(ctx, node+" to be Ready", func(ctx context.Context) (bool, error) {
		object, err := s.Plane.Client().CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		boot, on := s.Node(node).Machine.Boot()
		return on && object.Status.NodeInfo.BootID == boot.ID && schedulable(object), nil
	})
}

func schedulable(node *corev1.Node) bool {
	for _, t := range node.Spec.Taints {
		if t.Key == corev1.TaintNodeNotReady || t.Key == corev1.TaintNodeUnreachable {
			return false
		}
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// WaitPod waits until a pod is Ready, and returns it. A UID to be different
// from may be given: that of the pod that it replaces.
func (s *Stage) WaitPod(ctx context.Context, name string, not ...*corev1.Pod) (*corev1.Pod, error) {
	var pod *corev1.Pod
	err := poll(ctx, "pod "+name, func(ctx context.Context) (bool, error) {
		var err error
		pod, err = s.Plane.Client().CoreV1().Pods(metav1.NamespaceDefault).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		for _, old := range not {
			if err == nil && pod.UID == old.UID {
				return false, nil
			}
		}
		return err == nil && isReady(pod), err
	})
	return pod, err
}

func isReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil
		}
	}
	return false
}

// WaitWriter waits until a volume is written to by a pod, after the call, and
// returns the run of its writes.
func (s *Stage) WaitWriter(ctx context.Context, volume string, pod *corev1.Pod) (disk.Run, error) {
	since := rawclock.Now()
	var run disk.Run
	err := poll(ctx, "pod "+pod.Name+" to write to "+volume, func(context.Context) (bool, error) {
		last, written := s.Disks.LastWriter(volume)
		run = last
		return written && run.Pod == string(pod.UID) && run.Last > since, nil
	})
	return run, err
}

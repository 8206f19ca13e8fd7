package stage

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/picket-dev/picket/test/cluster/disk"
	"github.com/picket-dev/picket/test/cluster/proxy"
	"github.com/picket-dev/picket/test/cluster/rawclock"
)

// TestKubelet pins what scenarios rely on: the stub behaves as a kubelet does.
func TestKubelet(t *testing.T) {
	s := newStage(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if err := s.StatefulSet(ctx, "db", nil); err != nil {
		t.Fatal(err)
	}
	pod, err := s.WaitPod(ctx, "db-0")
	if err != nil {
		t.Fatal(err)
	}
	volume, err := s.VolumeOf(ctx, pod)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("a pod writes on while its node is isolated", func(t *testing.T) { testIsolated(ctx, t, s, pod, volume) })
	t.Run("a pod comes back after a reboot, as itself", func(t *testing.T) { testReboot(ctx, t, s, pod, volume) })
	t.Run("a deleted pod moves in order", func(t *testing.T) { pod = testMove(ctx, t, s, pod, volume) })
	t.Run("a booting kubelet refuses what a NoExecute taint forbids", func(t *testing.T) { testRefusal(ctx, t, s, pod, volume) })
	for _, v := range s.Disks.Judge() {
		t.Error(v)
	}
}

func mustWrite(ctx context.Context, t *testing.T, s *Stage, volume string, pod *corev1.Pod) disk.Run {
	t.Helper()
	run, err := s.WaitWriter(ctx, volume, pod)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func testIsolated(ctx context.Context, t *testing.T, s *Stage, pod *corev1.Pod, volume string) {
	s.Isolate(pod.Spec.NodeName, proxy.Cut())
	mustWrite(ctx, t, s, volume, pod)
	s.Isolate(pod.Spec.NodeName, proxy.Pass())
}

func testReboot(ctx context.Context, t *testing.T, s *Stage, pod *corev1.Pod, volume string) {
	before := mustWrite(ctx, t, s, volume, pod)
	s.Node(pod.Spec.NodeName).Machine.Reset()
	err := poll(ctx, "the pod on a new boot", func(context.Context) (bool, error) {
		run, _ := s.Disks.LastWriter(volume)
		return run.Pod == string(pod.UID) && run.Boot != before.Boot, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.WaitReady(ctx, pod.Spec.NodeName); err != nil {
		t.Fatal(err)
	}
}

func testMove(ctx context.Context, t *testing.T, s *Stage, pod *corev1.Pod, volume string) *corev1.Pod {
	taint(ctx, t, s, pod.Spec.NodeName, "test/move", corev1.TaintEffectNoSchedule)
	err := s.Plane.Client().CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	next, err := s.WaitPod(ctx, pod.Name, pod)
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(ctx, t, s, volume, next)
	if next.Spec.NodeName == pod.Spec.NodeName {
		t.Errorf("still on %s", next.Spec.NodeName)
	}
	node, err := s.Plane.Client().CoreV1().Nodes().Get(ctx, pod.Spec.NodeName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if inUse := node.Status.VolumesInUse; len(inUse) != 0 {
		t.Errorf("%s still reports %v in use", node.Name, inUse)
	}
	return next
}

// testRefusal reboots a node that was quarantined while it was off: whether the
// eviction controller has marked the old pod for deletion by then or not, the
// new boot must not run it.
func testRefusal(ctx context.Context, t *testing.T, s *Stage, pod *corev1.Pod, volume string) {
	node := s.Node(pod.Spec.NodeName)
	node.Machine.PowerCut()
	off := rawclock.Now()
	taint(ctx, t, s, node.Name, "test/quarantine", corev1.TaintEffectNoExecute)
	if err := node.Machine.PowerOn(); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitReady(ctx, node.Name); err != nil {
		t.Fatal(err)
	}
	next, err := s.WaitPod(ctx, pod.Name, pod)
	if err != nil {
		t.Fatal(err)
	}
	if run := mustWrite(ctx, t, s, volume, next); run.Node == node.Name || run.First < off {
		t.Errorf("written to by %v", run)
	}
	for _, run := range s.Disks.Runs(volume) {
		if run.Node == node.Name && run.Last > off {
			t.Errorf("the quarantined node wrote: %v", run)
		}
	}
}

// taint adds a taint, as an administrator.
func taint(ctx context.Context, t *testing.T, s *Stage, node, key string, effect corev1.TaintEffect) {
	t.Helper()
	patch := []byte(`{"spec":{"taints":[{"key":"` + key + `","effect":"` + string(effect) + `"}]}}`)
	_, err := s.Plane.Client().CoreV1().Nodes().Patch(ctx, node, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

package stage

import (
	"context"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/picket-dev/picket/test/cluster/rawclock"
)

// newStage sets up a small cluster without Picket.
func newStage(t *testing.T) *Stage {
	t.Helper()
	if testing.Short() {
		t.Skip("runs a real control plane; -short is set")
	}
	o := Default()
	o.Dir, o.Nodes, o.Progress = t.TempDir(), 3, os.Stderr
	start := time.Now()
	s, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Logf("three nodes Ready after %.1f s", time.Since(start).Seconds())
	return s
}

// TestFenceByHand plays Picket's controller by hand: it shows that the stage
// moves a volume after an out-of-service taint, and not before.
func TestFenceByHand(t *testing.T) {
	s := newStage(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := s.StatefulSet(ctx, "db", nil); err != nil {
		t.Fatal(err)
	}
	old, err := s.WaitPod(ctx, "db-0")
	if err != nil {
		t.Fatal(err)
	}
	volume, err := s.VolumeOf(ctx, old)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.WaitWriter(ctx, volume, old); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s writes on %s", old.Name, old.Spec.NodeName)

	cut := rawclock.Now()
	s.Node(old.Spec.NodeName).Machine.PowerCut()
	fence(ctx, t, s, old)
	pod, err := s.WaitPod(ctx, "db-0", old)
	if err != nil {
		t.Fatal(err)
	}
	run, err := s.WaitWriter(ctx, volume, pod)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("writes on %s %.1f s after the cut", pod.Spec.NodeName, (run.First - cut).Seconds())
	if pod.Spec.NodeName == old.Spec.NodeName {
		t.Errorf("back on the dead node")
	}
	fences := s.Taints.Fences()
	if len(fences) != 1 || fences[0].Node != old.Spec.NodeName {
		t.Errorf("fences seen: %v", fences)
	}
	for _, v := range s.Disks.Judge(fences...) {
		t.Error(v)
	}
	for _, run := range s.Disks.Runs(volume) {
		t.Log(run)
	}
}

// fence taints a dead node and force-deletes its pod.
func fence(ctx context.Context, t *testing.T, s *Stage, pod *corev1.Pod) {
	t.Helper()
	client := s.Plane.Client().CoreV1()
	patch := []byte(`{"spec":{"taints":[{"key":"node.kubernetes.io/out-of-service","value":"nodeshutdown","effect":"NoExecute"}]}}`)
	if _, err := client.Nodes().Patch(ctx, pod.Spec.NodeName, types.StrategicMergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	err := client.Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: new(int64), Preconditions: metav1.NewUIDPreconditions(string(pod.UID)),
	})
	if err != nil {
		t.Fatal(err)
	}
}

package kube

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/controller/plan"
)

var tolerateAll = corev1.Toleration{Operator: corev1.TolerationOpExists}

// pod puts a pod with one claim, its volume and their attachment to the node
// into the stand-in; name is also that of the claim, the volume and so on.
func pod(s *standIn, node, name string, change func(*corev1.Pod)) {
	p := &corev1.Pod{Spec: corev1.PodSpec{NodeName: node, Volumes: []corev1.Volume{{
		Name: "data", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name},
		},
	}}}}
	if change != nil {
		change(p)
	}
	s.put("/api/v1/namespaces/ns/pods/"+name, p)
	volume(s, node, name, name)
}

func volume(s *standIn, node, claim, name string) {
	s.put("/api/v1/namespaces/ns/persistentvolumeclaims/"+claim, &corev1.PersistentVolumeClaim{
		Spec: corev1.PersistentVolumeClaimSpec{VolumeName: "pv-" + name},
	})
	pv := &corev1.PersistentVolume{}
	pv.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: "d", VolumeHandle: name}
	s.put("/api/v1/persistentvolumes/pv-"+name, pv)
	s.put("/apis/storage.k8s.io/v1/volumeattachments/va-"+name, &storagev1.VolumeAttachment{Spec: storagev1.VolumeAttachmentSpec{
		NodeName: node, Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: new("pv-" + name)},
	}})
}

func TestSurveyLeavesOutVolumesOfPodsThatStay(t *testing.T) {
	a, s, _ := newAPI(t)
	pod(s, "a", "db", func(p *corev1.Pod) { p.Finalizers = []string{"x"}; p.DeletionTimestamp = &metav1.Time{Time: wall} })
	pod(s, "a", "retained", func(p *corev1.Pod) { p.Annotations = map[string]string{AnnotationOnFence: "retain"} })
	pod(s, "a", "daemon", func(p *corev1.Pod) { p.Spec.Tolerations = []corev1.Toleration{tolerateAll} })
	pod(s, "b", "elsewhere", nil)
	s.put("/api/v1/namespaces/ns/pods/scratch", &corev1.Pod{Spec: corev1.PodSpec{
		NodeName: "a", Tolerations: []corev1.Toleration{tolerateAll},
		Volumes: []corev1.Volume{{Name: "tmp", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}}},
	}})
	volume(s, "a", "scratch-tmp", "scratch")
	s.put(nodePath, aNode(func(n *corev1.Node) {
		for _, h := range []string{"db", "retained", "daemon", "scratch"} {
			n.Status.VolumesAttached = append(n.Status.VolumesAttached,
				corev1.AttachedVolume{Name: corev1.UniqueVolumeName("kubernetes.io/csi/d^" + h)})
		}
		n.Status.VolumesAttached = append(n.Status.VolumesAttached, corev1.AttachedVolume{Name: "kubernetes.io/iscsi/x"})
	}))
	got := does(t, a, plan.Survey{Fence: "u.1", Node: "a"}).(plan.Surveyed)
	for i := range got.Pods {
		got.Pods[i].Version = ""
	}
	want := plan.Surveyed{
		Fence: "u.1", Sent: got.Sent,
		Pods: []plan.Pod{
			{Namespace: "ns", Name: "daemon", UID: "uid-daemon", Tolerates: true},
			{Namespace: "ns", Name: "db", UID: "uid-db", Deleting: true, Finalizers: []string{"x"}},
			{Namespace: "ns", Name: "retained", UID: "uid-retained", Retain: true},
			{Namespace: "ns", Name: "scratch", UID: "uid-scratch", Tolerates: true},
		},
		Attachments: []string{"va-db"},
		Volumes:     []string{"kubernetes.io/csi/d^db", "kubernetes.io/iscsi/x"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, r := range s.requests() {
		if int64(got.Sent.Raw) > r.readings {
			t.Errorf("%s was sent before Sent", r)
		}
	}
}

func TestSurveyOfANodeThatIsGone(t *testing.T) {
	a, s, _ := newAPI(t)
	volume(s, "a", "db", "db")
	got := does(t, a, plan.Survey{Node: "a"}).(plan.Surveyed)
	if diff := cmp.Diff([]string{"va-db"}, got.Attachments); diff != "" {
		t.Error(diff)
	}
}

// An incomplete survey must not look like an empty one.
func TestSurveyIsWholeOrNothing(t *testing.T) {
	for _, path := range []string{
		"/api/v1/pods", nodePath, "/apis/storage.k8s.io/v1/volumeattachments",
		"/api/v1/namespaces/ns/persistentvolumeclaims/daemon", "/api/v1/persistentvolumes/pv-daemon",
	} {
		a, s, _ := newAPI(t)
		pod(s, "a", "daemon", func(p *corev1.Pod) { p.Spec.Tolerations = []corev1.Toleration{tolerateAll} })
		s.fail = func(r request) int {
			if r.path == path {
				return 403
			}
			return 0
		}
		if answer, err := a.Do(t.Context(), plan.Survey{Node: "a"}); err == nil || answer != nil {
			t.Errorf("%s fails: got %+v, %v", path, answer, err)
		}
	}
}

func TestTolerates(t *testing.T) {
	minute := corev1.Toleration{Operator: "Exists", TolerationSeconds: new(int64(60))}
	for name, test := range map[string]struct {
		tolerations []corev1.Toleration
		want        bool
	}{
		"none":              {[]corev1.Toleration{{Key: "x", Operator: "Exists"}}, false},
		"everything":        {[]corev1.Toleration{tolerateAll}, true},
		"every NoExecute":   {[]corev1.Toleration{{Operator: "Exists", Effect: "NoExecute"}}, true},
		"only NoSchedule":   {[]corev1.Toleration{{Operator: "Exists", Effect: "NoSchedule"}}, false},
		"the key":           {[]corev1.Toleration{{Key: plan.OutOfServiceKey, Operator: "Exists"}}, true},
		"the value":         {[]corev1.Toleration{{Key: plan.OutOfServiceKey, Value: "nodeshutdown"}}, true},
		"another value":     {[]corev1.Toleration{{Key: plan.OutOfServiceKey, Value: "x"}}, false},
		"only for a minute": {[]corev1.Toleration{minute}, false},
		"first a minute":    {[]corev1.Toleration{minute, tolerateAll}, false}, // the first counts
		"then a minute":     {[]corev1.Toleration{{Key: "x", Operator: "Exists"}, tolerateAll, minute}, true},
	} {
		p := &corev1.Pod{Spec: corev1.PodSpec{Tolerations: test.tolerations}}
		if got := tolerates(p); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// However many ask, at most one list runs; and each gets one that began after it
// asked.
func TestAttachmentsAreListedOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lists, running := 0, 0
		release := make(chan error)
		a := newAttachments(nil)
		a.list = func(context.Context) (map[string][]attachment, error) {
			running++
			lists++
			if running > 1 {
				t.Error("two lists at once")
			}
			name := fmt.Sprint("list ", lists)
			err := <-release
			running--
			return map[string][]attachment{"a": {{name: name}}}, err
		}
		var mu sync.Mutex
		got := map[string]int{}
		ask := func() {
			at, err := a.of(t.Context(), "a")
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				got[err.Error()]++
				return
			}
			got[at[0].name]++
		}
		go ask()
		synctest.Wait()
		for range 100 {
			go ask()
		}
		synctest.Wait()
		release <- nil
		synctest.Wait()
		go ask()
		synctest.Wait()
		release <- nil
		synctest.Wait()
		release <- errors.New("broken")
		synctest.Wait()
		if diff := cmp.Diff(map[string]int{"list 1": 1, "list 2": 100, "broken": 1}, got); diff != "" {
			t.Error(diff)
		}
	})
}

// Whoever happens to run the list may give up; the others do not.
func TestAttachmentsSurviveWhoRunsTheList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := true
		a := newAttachments(nil)
		a.list = func(ctx context.Context) (map[string][]attachment, error) {
			if first {
				first = false
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return map[string][]attachment{}, nil
		}
		a.turn <- struct{}{} // a list runs
		impatient, giveUp := context.WithCancel(t.Context())
		errs := make([]error, 2)
		var all sync.WaitGroup
		all.Go(func() { _, errs[0] = a.of(impatient, "a") })
		synctest.Wait()
		all.Go(func() { _, errs[1] = a.of(t.Context(), "a") })
		synctest.Wait()
		<-a.turn
		synctest.Wait()
		giveUp()
		all.Wait()
		if !errors.Is(errs[0], context.Canceled) || errs[1] != nil {
			t.Errorf("got %v and %v", errs[0], errs[1])
		}
	})
}

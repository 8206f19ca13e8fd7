package uninstall

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// A site is a cluster whose nodes run pods of the agent and of the controller, with
// what Kubernetes does there: a deletion tells every pod to end, a kubelet ends
// those of a node that is Ready, and the owner goes with the last pod.
type site struct {
	kube   *fake.Clientset
	forced map[string]metav1.DeleteOptions // the pods that were deleted one by one
}

var (
	podKind = corev1.SchemeGroupVersion.WithResource("pods")
	owners  = map[string]string{"daemonsets": "picket-agent", "deployments": "picket-controller"}
)

// newSite makes the nodes, each Ready or not, and a pod of each owner for all names.
func newSite(t *testing.T, nodes map[string]bool, pods ...string) *site {
	t.Helper()
	ns := Default().Namespace
	objects := []runtime.Object{
		&appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: owners["daemonsets"], Namespace: ns}},
		&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: owners["deployments"], Namespace: ns}},
	}
	for name, ready := range nodes {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
		n.Status.NodeInfo.BootID = "b"
		status := corev1.ConditionUnknown
		if ready {
			status = corev1.ConditionTrue
		}
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status}}
		objects = append(objects, n)
	}
	for _, owner := range owners {
		for _, node := range pods {
			objects = append(objects, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
				Name: owner + "-" + node, Namespace: ns, UID: types.UID("uid-of-" + node),
				Labels: map[string]string{"app.kubernetes.io/name": owner},
			}, Spec: corev1.PodSpec{NodeName: node}})
		}
	}
	objects = append(objects, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "somebody-else", Namespace: ns, DeletionTimestamp: new(metav1.Now()), Finalizers: []string{"x/y"}},
		Spec:       corev1.PodSpec{NodeName: "dead"},
	})
	s := &site{kube: fake.NewClientset(objects...), forced: map[string]metav1.DeleteOptions{}}
	for resource, owner := range owners {
		s.kube.PrependReactor("delete", resource, func(clienttesting.Action) (bool, runtime.Object, error) {
			return s.collect(t, ns, owner, nodes), nil, nil
		})
	}
	s.kube.PrependReactor("delete", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
		d := a.(clienttesting.DeleteActionImpl)
		s.forced[d.Name] = d.DeleteOptions
		return false, nil, nil
	})
	return s
}

// collect does what follows the deletion of an owner, and reports whether it still
// has pods.
func (s *site) collect(t *testing.T, ns, owner string, nodes map[string]bool) (left bool) {
	all, err := s.kube.Tracker().List(podKind, corev1.SchemeGroupVersion.WithKind("Pod"), ns)
	if err != nil {
		t.Error(err)
		return true
	}
	for _, p := range all.(*corev1.PodList).Items {
		switch {
		case p.Labels["app.kubernetes.io/name"] != owner:
			continue
		case nodes[p.Spec.NodeName] && !strings.HasSuffix(p.Name, "stays"):
			err = s.kube.Tracker().Delete(podKind, ns, p.Name)
		default:
			left = true
			p.DeletionTimestamp = new(metav1.Now())
			err = s.kube.Tracker().Update(podKind, &p, ns)
		}
		if err != nil {
			t.Error(err)
		}
	}
	return left
}

// agents are guards of nodes.
func agents(guards map[string]v1alpha1.NodeGuardStatus) map[string]any {
	all := make(map[string]any)
	for name, status := range guards {
		g := &v1alpha1.NodeGuard{Status: status}
		g.Name = name
		all[guardPath+"/"+name] = g
	}
	f := &v1alpha1.NodeFence{Status: v1alpha1.NodeFenceStatus{Node: "dead", BootID: "b", Phase: v1alpha1.FenceDetached}}
	f.Name = "of-dead"
	all[fencePath+"/of-dead"] = f
	return all
}

// A node that was fenced to the end is off, and is let pass; but no kubelet ends
// the pods there, and they tolerate everything, for a year. So is one whose Node is
// gone.
func TestTheDeadDoNotStopTheUninstall(t *testing.T) {
	s := newSite(t, map[string]bool{"alive": true, "dead": false, "left": false}, "alive", "dead", "left", "gone")
	u, _ := newRun(t, s.kube, agents(map[string]v1alpha1.NodeGuardStatus{
		"alive": {BootID: "b", Reason: v1alpha1.ReasonUninstalled},
		"dead":  {BootID: "b", Promise: v1alpha1.Promise{Armed: true}},
		"left":  {BootID: "b", Reason: v1alpha1.ReasonUninstalled},
	}))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for what, stop := range map[string]func(context.Context) error{"agents": u.stopAgents, "controller": u.stopController} {
		if err := stop(ctx); err != nil {
			t.Errorf("stop the %s: %v", what, err)
		}
	}
	want := make(map[string]metav1.DeleteOptions)
	for _, owner := range owners {
		for _, node := range []string{"dead", "left", "gone"} {
			want[owner+"-"+node] = metav1.DeleteOptions{
				GracePeriodSeconds: new(int64), Preconditions: metav1.NewUIDPreconditions("uid-of-" + node),
			}
		}
	}
	if d := cmp.Diff(want, s.forced); d != "" {
		t.Errorf("deleted by force: %s", d)
	}
}

// A13: no pod of an agent is deleted by force that may hold its node up, nor one
// that a kubelet ends; each is named with its node.
func TestA13_NoArmedAgentEndsByForce(t *testing.T) {
	s := newSite(t, map[string]bool{"stays": true, "cut": false, "unclean": false}, "stays", "cut", "unclean", "gone")
	guards := agents(map[string]v1alpha1.NodeGuardStatus{
		"stays":   {BootID: "b", Reason: v1alpha1.ReasonUninstalled},
		"cut":     {BootID: "b", Promise: v1alpha1.Promise{Armed: true}},
		"unclean": {BootID: "b", Phase: "Unarmed", Reason: "Stopping"},
		"gone":    {BootID: "b", Promise: v1alpha1.Promise{Armed: true}},
	})
	u, api := newRun(t, s.kube, guards)
	ctx := api.forLooks(3)
	err := u.stopAgents(ctx)
	if err == nil {
		t.Fatal("it went on past an armed node")
	}
	for _, node := range []string{"stays", "cut", "unclean", "gone"} {
		if want := "picket-agent-" + node + " on " + node; !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
	if len(s.forced) > 0 {
		t.Errorf("deleted by force: %v", s.forced)
	}
}

// A DaemonSet that somebody deleted without its pods is not stopped yet.
func TestNothingIsStoppedWhilePodsAreLeft(t *testing.T) {
	s := newSite(t, map[string]bool{"alive": true, "dead": false}, "alive", "dead")
	s.kube.PrependReactor("delete", "daemonsets", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, notFound("picket-agent")
	})
	u, api := newRun(t, s.kube, agents(nil))
	ctx := api.forLooks(3)
	if err := u.stopAgents(ctx); err == nil || !strings.Contains(err.Error(), "picket-agent-alive on alive") {
		t.Errorf("%v, want it to wait for the pods", err)
	}
	if len(s.forced) > 0 {
		t.Errorf("deleted by force, though nobody told them to end: %v", s.forced)
	}
}

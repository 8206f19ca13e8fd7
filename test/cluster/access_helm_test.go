package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/test/cluster/controlplane"
	"github.com/picket-dev/picket/test/cluster/fleet"
)

// TestAccessEndsWithHelm installs the chart with Helm itself and takes it off
// again: an API server accepts all of it, CRDs of another version stop it, what an
// agent needs to become unarmed cannot be deleted while it may be armed, and one
// `helm uninstall` leaves nothing.
func TestAccessEndsWithHelm(t *testing.T) {
	a := &access{plane: bare(t)}
	a.admin = a.with(t, a.plane.Config())
	helm := newHelm(t, a.plane)

	helm(t, "", "install", "picket", chart, "--set", "policy.mode=Observe", "--set", "policy.profile=fast")
	policy, err := a.admin.picket.FencingPolicies.Get(t.Context(), v1alpha1.PolicyName)
	if err != nil || policy.Spec.Mode != v1alpha1.Observe || policy.Spec.Profile != "fast" {
		t.Errorf("policy %+v, %v", policy, err)
	}
	sets := a.admin.kube.AppsV1().DaemonSets(fleet.Namespace)
	if _, err := sets.Get(t.Context(), "picket-agent", getOptions); err != nil {
		t.Error(err)
	}

	// Whoever changed a CRD, or did not: Helm leaves it as it is.
	crd := "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/fencingpolicies.picket.dev"
	helm(t, "", "upgrade", "picket", chart, "--reuse-values")
	if err := a.admin.request(t.Context(), "PATCH", crd, `{"spec":{"versions":[{"name":"v1alpha1","served":true,"storage":true,`+
		`"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]}}`); err != nil {
		t.Fatal(err)
	}
	helm(t, "fencingpolicies.picket.dev", "upgrade", "picket", chart, "--reuse-values")
	text, err := os.ReadFile(filepath.Join(chart, "crds", "picket.dev_fencingpolicies.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	right, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.admin.request(t.Context(), "PATCH", crd, string(right)); err != nil {
		t.Fatal(err)
	}

	a.guard(t)
	a.keep(t)
	end := a.playJob(t)
	helm(t, "", "uninstall", "picket", "--timeout", "3m")
	end()
	a.nothing(t)
}

// guard makes the objects of a cluster that is guarded.
func (a *access) guard(t *testing.T) {
	g := &v1alpha1.NodeGuard{}
	g.Name = "node-1"
	if _, err := a.admin.picket.NodeGuards.Create(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	roll := &v1alpha1.Roll{Spec: v1alpha1.RollSpec{History: "h", Serial: 1}}
	roll.Name, roll.Finalizers = v1alpha1.RollName, []string{v1alpha1.RollFinalizer}
	a.controller = a.holding(t, a.token(t, "picket-controller", ""))
	a.until(t, "the controller's rights", func(ctx context.Context) error {
		_, err := a.controller.picket.Rolls.Create(ctx, roll)
		return err
	})
	a.agent = a.holding(t, a.token(t, "picket-agent", "node-1"))
}

// keep tries to delete what agents need, as an administrator and by force, until
// it is refused: that takes the API server a moment, too.
func (a *access) keep(t *testing.T) {
	const rbac, definitions = "/apis/rbac.authorization.k8s.io/v1/", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"
	paths := []string{
		"/api/v1/namespaces/picket",
		rbac + "namespaces/picket/roles/picket-controller", rbac + "namespaces/picket/rolebindings/picket-controller",
		definitions + "rolls.picket.dev", definitions + "nodeguards.picket.dev",
		definitions + "nodefences.picket.dev", definitions + "fencingpolicies.picket.dev",
	}
	for _, name := range []string{"picket-agent", "picket-controller"} {
		paths = append(paths, "/api/v1/namespaces/picket/serviceaccounts/"+name, rbac+"clusterroles/"+name, rbac+"clusterrolebindings/"+name)
	}
	for _, path := range paths {
		a.until(t, "refuse to delete "+path, func(ctx context.Context) error {
			err := a.admin.request(ctx, http.MethodDelete, path+"?dryRun=All", "")
			if !apierrors.IsForbidden(err) {
				return fmt.Errorf("not refused: %w", err)
			}
			return nil
		})
		err := a.admin.request(t.Context(), http.MethodDelete, path+"?gracePeriodSeconds=0", "")
		blocked := 0
		if apierrors.IsForbidden(err) && strings.Contains(err.Error(), "helm uninstall") {
			blocked = 1
		}
		fmt.Printf("RESULT delete=%s blocked=%d\n", path, blocked)
		if blocked == 0 {
			t.Errorf("%s: %v, want a refusal that says what to do", path, err)
		}
	}
	err := a.admin.request(t.Context(), http.MethodDelete, "/api/v1/namespaces/default/serviceaccounts/picket-agent", "")
	if !apierrors.IsNotFound(err) {
		t.Errorf("somebody else's account of that name: %v", err)
	}
}

// playJob plays the kubelet and the Job controller, which are not here: it runs the
// real program with the rights that the Job's pod has. The function that it returns
// waits until that has ended.
func (a *access) playJob(t *testing.T) (end func()) {
	program := filepath.Join(t.TempDir(), "picket-controller")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../controller").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	var playing sync.WaitGroup
	playing.Go(func() {
		jobs := a.admin.kube.BatchV1().Jobs(fleet.Namespace)
		for ctx.Err() == nil {
			a.reap(ctx)
			job, err := jobs.Get(ctx, "picket-uninstall", getOptions)
			if err == nil && job.Status.CompletionTime == nil {
				if err := a.runJob(ctx, t, program, job); err != nil {
					t.Errorf("the Job: %v", err)
					return
				}
			}
			select {
			case <-time.After(200 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	})
	return func() { cancel(); playing.Wait() }
}

// reap ends the pods that are to end, as their kubelets would.
func (a *access) reap(ctx context.Context) {
	pods := a.admin.kube.CoreV1().Pods(fleet.Namespace)
	list, err := pods.List(ctx, metav1.ListOptions{})
	if err != nil {
		return
	}
	for _, p := range list.Items {
		if p.DeletionTimestamp != nil {
			_ = pods.Delete(ctx, p.Name, force)
		}
	}
}

// runJob runs the command of the Job's pod, and says that it is complete.
func (a *access) runJob(ctx context.Context, t *testing.T, program string, job *batchv1.Job) error {
	token, err := a.plane.TokenFor(ctx, fleet.Namespace, job.Spec.Template.Spec.ServiceAccountName, "")
	if err != nil {
		return err
	}
	kubeconfig := filepath.Join(filepath.Dir(program), "kubeconfig")
	if err := a.plane.WriteKubeconfig(kubeconfig, a.plane.URL(), token); err != nil {
		return err
	}
	reaping, stop := context.WithCancel(ctx)
	var reaper sync.WaitGroup
	reaper.Go(func() {
		for reaping.Err() == nil {
			a.reap(reaping)
			select {
			case <-time.After(200 * time.Millisecond):
			case <-reaping.Done():
			}
		}
	})
	command := job.Spec.Template.Spec.Containers[0].Command
	out, err := exec.CommandContext(ctx, program, append(command[1:], "--kubeconfig", kubeconfig)...).CombinedOutput()
	stop()
	reaper.Wait()
	t.Logf("%s", out)
	if err != nil {
		return err
	}
	now := metav1.Now()
	job.Status.StartTime, job.Status.CompletionTime, job.Status.Succeeded = &now, &now, 1
	for _, kind := range []batchv1.JobConditionType{batchv1.JobSuccessCriteriaMet, batchv1.JobComplete} {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: now})
	}
	_, err = a.admin.kube.BatchV1().Jobs(fleet.Namespace).UpdateStatus(ctx, job, metav1.UpdateOptions{})
	return err
}

// nothing looks for what is left of Picket in the cluster: the CRDs, which Helm
// never deletes, and the policy, which is people's.
func (a *access) nothing(t *testing.T) {
	for _, path := range []string{
		"/apis/apps/v1/namespaces/picket/daemonsets/picket-agent", "/apis/apps/v1/namespaces/picket/deployments/picket-controller",
		"/apis/batch/v1/namespaces/picket/jobs/picket-uninstall",
		"/api/v1/namespaces/picket/serviceaccounts/picket-agent", "/api/v1/namespaces/picket/serviceaccounts/picket-uninstall",
		"/apis/rbac.authorization.k8s.io/v1/clusterroles/picket-agent", "/apis/rbac.authorization.k8s.io/v1/clusterroles/picket-uninstall",
		"/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/picket-keep",
		"/apis/picket.dev/v1alpha1/rolls/cluster", "/apis/picket.dev/v1alpha1/nodeguards/node-1",
		"/api/v1/namespaces/picket",
	} {
		a.until(t, path+" to be gone", func(ctx context.Context) error {
			if err := a.admin.request(ctx, http.MethodGet, path, ""); !apierrors.IsNotFound(err) {
				return fmt.Errorf("it is there: %w", err)
			}
			return nil
		})
	}
	policy, err := a.admin.picket.FencingPolicies.Get(t.Context(), v1alpha1.PolicyName)
	if err != nil || policy.Spec.Mode != v1alpha1.Observe || policy.Spec.Profile != "fast" {
		t.Errorf("the policy is not as it was before: %+v, %v", policy, err)
	}
}

// chart is the chart as it is in the tree.
const chart = "../../deploy/chart"

// bare starts a control plane with a Node and nothing of Picket's.
func bare(t *testing.T) *controlplane.Plane {
	t.Helper()
	if testing.Short() {
		t.Skip("runs a real control plane; -short is set")
	}
	binaries, err := controlplane.Binaries(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	o := controlplane.Default()
	o.Dir, o.Binaries, o.Nodes = t.TempDir(), binaries, []string{"node-1"}
	p, err := controlplane.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}}
	if _, err := p.Client().CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return p
}

// newHelm returns the pinned Helm, which must succeed, or fail with an answer
// that says what is wanted.
func newHelm(t *testing.T, plane *controlplane.Plane) func(t *testing.T, want string, args ...string) {
	t.Helper()
	build := exec.CommandContext(t.Context(), "../tools/build", "chart")
	build.Stderr = os.Stderr
	dir, err := build.Output()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	return func(t *testing.T, want string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), filepath.Join(strings.TrimSpace(string(dir)), "helm"), args...)
		cmd.Env = append(os.Environ(), "KUBECONFIG="+plane.Kubeconfig(), "HELM_NAMESPACE="+metav1.NamespaceDefault,
			"HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
		out, err := cmd.CombinedOutput()
		failed := errors.As(err, new(*exec.ExitError))
		switch {
		case err != nil && !failed:
			t.Fatal(err)
		case failed != (want != ""), !strings.Contains(string(out), want):
			t.Fatalf("helm %s: %v, want %q in the answer:\n%s", strings.Join(args, " "), err, want, out)
		}
	}
}

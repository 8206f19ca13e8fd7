package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/test/cluster/controlplane"
	"github.com/picket-dev/picket/test/cluster/fleet"
)

// TestAccessOutlivesHelm installs the chart with Helm itself and takes it off
// again: an API server accepts all of it, CRDs of another version stop it, and
// what an agent needs to become unarmed is there until after the agents.
func TestAccessOutlivesHelm(t *testing.T) {
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

	helm(t, "", "upgrade", "picket", chart, "--reuse-values", "--set", "uninstall=true", "--set", "policy.mode=Enforce")
	a.outlive(t, helm)
}

// outlive takes the chart off, and speaks as an agent that has not gone yet.
func (a *access) outlive(t *testing.T, helm func(*testing.T, string, ...string)) {
	policy, err := a.admin.picket.FencingPolicies.Get(t.Context(), v1alpha1.PolicyName)
	if err != nil || policy.Spec.Mode != v1alpha1.Observe {
		t.Errorf("the last day arms nodes: %+v, %v", policy, err)
	}
	g := &v1alpha1.NodeGuard{}
	g.Name = "node-1"
	if _, err := a.admin.picket.NodeGuards.Create(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	roll := &v1alpha1.Roll{Spec: v1alpha1.RollSpec{History: "h", Serial: 1}}
	roll.Name = v1alpha1.RollName
	a.controller = a.holding(t, a.token(t, "picket-controller", ""))
	a.until(t, "the controller's rights", func(ctx context.Context) error {
		_, err := a.controller.picket.Rolls.Create(ctx, roll)
		return err
	})
	a.agent = a.holding(t, a.token(t, "picket-agent", "node-1"))

	helm(t, "", "uninstall", "picket")

	_, err = a.admin.kube.AppsV1().DaemonSets(fleet.Namespace).Get(t.Context(), "picket-agent", getOptions)
	if !apierrors.IsNotFound(err) {
		t.Errorf("the agents are still there: %v", err)
	}
	for name, try := range map[string]try{
		"publishes that it is unarmed":     unarmed("node-1"),
		"calls the roll for the last time": read(rollPath),
	} {
		if err := try(t.Context(), a, a.agent); err != nil {
			t.Errorf("an agent that leaves %s: %v", name, err)
		}
	}
	if err := armed("node-2")(t.Context(), a, a.agent); err == nil {
		t.Error("an agent that leaves writes for another node")
	}
	if _, err := a.admin.picket.FencingPolicies.Get(t.Context(), v1alpha1.PolicyName); err != nil {
		t.Errorf("without the policy nodes arm in the middle of leaving: %v", err)
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

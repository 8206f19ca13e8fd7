package main

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	authzv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// people is who uses kubectl-picket, and the roles that they have.
var people = map[string][]string{
	"viewer":    {"picket-viewer"},
	"requester": {"picket-viewer", "picket-requester"},
	"prover":    {"picket-viewer", "picket-prover"},
	"operator":  {"picket-viewer", "picket-operator"},
}

// TestPeople lets people use kubectl-picket on a real API server with the roles
// that Picket's manifests offer: each for what it is meant for, and not for more.
func TestPeople(t *testing.T) {
	a := &access{plane: installed(t)}
	a.admin = a.with(t, a.plane.Config())
	plugin := buildPlugin(t)
	for who, roles := range people {
		for _, role := range roles {
			a.bind(t, who+"-"+role, role, rbacv1.Subject{Kind: "User", Name: who})
		}
	}
	boots(t, a, "node-1", "node-2")
	a.until(t, "the objects", func(ctx context.Context) error { // a new kind is not served at once
		if out, code := a.kubectlPicket(ctx, plugin, "viewer", "", "status"); code == 3 {
			return errors.New(out)
		}
		return nil
	})
	a.inForce(t, "requester", "create", "picket.dev", "nodefences")
	a.inForce(t, "prover", "prove", "picket.dev", "nodefences")
	a.inForce(t, "operator", "patch", "picket.dev", "fencingpolicies")
	for _, step := range []struct {
		who, line, typed string
		code             int
		says             string
	}{
		{"viewer", "status", "", 1, "2 nodes unarmed"},
		{"viewer", "status -o json", "", 1, `"unarmed": 2`},
		{"viewer", "matrix", "", 0, ""},
		{"viewer", "where node-1", "", 0, "node-1"},
		{"viewer", "explain-wait node-1", "", 3, "no NodeGuard"},
		{"viewer", "pause --for 10m --reason x", "", 3, "picket-operator"},
		{"viewer", "fence node-1 --yes", "", 3, "picket-requester"},
		{"operator", "pause --for 10m --reason storage", "", 0, "fencing is paused"},
		{"viewer", "status", "", 1, "storage"},
		{"operator", "fence node-1 --yes", "", 3, "picket-requester"},
		{"operator", "resume", "", 0, "fencing goes on"},
		{"requester", "fence node-1 --yes --reason maintenance", "", 0, "node-1"},
		{"viewer", "timeline node-1", "", 1, "requester asked for it"},
		{"requester", "confirm node-2", "node-2\n", 3, "picket-prover"},
		{"prover", "confirm node-2", "node-2\n", 0, "boot-node-2"},
		{"viewer", "timeline node-2", "", 1, "prover says that boot"},
		{"viewer", "report --html " + filepath.Join(t.TempDir(), "report.html"), "", 0, "report.html"},
	} {
		out, code := a.kubectlPicket(t.Context(), plugin, step.who, step.typed, strings.Fields(step.line)...)
		if code != step.code || !strings.Contains(out, step.says) {
			t.Errorf("%s: %s: exit code %d, want %d and %q\n%s", step.who, step.line, code, step.code, step.says, out)
		}
	}
	fences, err := a.admin.picket.NodeFences.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	by := make(map[string]string) // node → whose word
	for _, f := range fences.Items {
		by[f.Spec.Node] = f.Spec.Requester
		if f.Spec.Proof != nil {
			by[f.Spec.Node] = "proof of " + f.Spec.Proof.By
		}
	}
	if by["node-1"] != "requester" || by["node-2"] != "proof of prover" {
		t.Errorf("fences: %v", by)
	}
}

// buildPlugin builds kubectl-picket and returns its path.
func buildPlugin(t *testing.T) string {
	t.Helper()
	at := filepath.Join(t.TempDir(), "kubectl-picket")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", at, "../../controller/kubectl-picket")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return at
}

// boots gives Nodes a boot, as their kubelets would.
func boots(t *testing.T, a *access, names ...string) {
	t.Helper()
	for _, name := range names {
		n, err := a.admin.kube.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		n.Status.NodeInfo = corev1.NodeSystemInfo{BootID: "boot-" + name, MachineID: name, SystemUUID: name}
		n.Status.Conditions = []corev1.NodeCondition{{
			Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now(),
		}}
		if _, err := a.admin.kube.CoreV1().Nodes().UpdateStatus(t.Context(), n, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// inForce waits until somebody has a right that a role gives.
func (a *access) inForce(t *testing.T, who, verb, group, resource string) {
	t.Helper()
	a.until(t, who+"'s role", func(ctx context.Context) error {
		review, err := a.admin.kube.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authzv1.SubjectAccessReview{
			Spec: authzv1.SubjectAccessReviewSpec{
				User:               who,
				ResourceAttributes: &authzv1.ResourceAttributes{Verb: verb, Group: group, Resource: resource},
			},
		}, metav1.CreateOptions{})
		if err == nil && !review.Status.Allowed {
			err = errors.New(review.Status.Reason)
		}
		return err
	})
}

// kubectlPicket runs the plugin as somebody, and returns all that it prints.
func (a *access) kubectlPicket(ctx context.Context, plugin, who, typed string, args ...string) (out string, code int) {
	cmd := exec.CommandContext(ctx, plugin, append(args, "--kubeconfig", a.plane.Kubeconfig(), "--as", who)...)
	cmd.Stdin = strings.NewReader(typed)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return said.String(), exit.ExitCode()
	}
	if err != nil {
		return err.Error(), -1
	}
	return said.String(), 0
}

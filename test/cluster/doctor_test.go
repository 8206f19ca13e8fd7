package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestDoctor asks a real API server, which completes objects by its defaults, what
// is wrong with an installation.
func TestDoctor(t *testing.T) {
	a := &access{plane: installed(t)}
	a.admin = a.with(t, a.plane.Config())
	plugin := buildPlugin(t)
	for _, role := range []string{"picket-viewer", "picket-doctor"} {
		a.bind(t, role, role, rbacv1.Subject{Kind: "User", Name: "doctor"})
	}
	a.bind(t, "viewer-picket-viewer", "picket-viewer", rbacv1.Subject{Kind: "User", Name: "viewer"})
	boots(t, a, "node-1", "node-2")
	a.inForce(t, "doctor", "list", "", "pods")
	a.until(t, "the objects", func(ctx context.Context) error { // a new kind is not served at once
		found, err := a.findings(ctx, plugin, "doctor")
		if err == nil && slices.Contains(found, "NotInstalled") {
			err = errors.New("not served yet")
		}
		return err
	})
	look := func(who string) []string {
		found, err := a.findings(t.Context(), plugin, who)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	found := look("doctor")
	for _, none := range []string{"CannotLook", "ManifestMissing", "ManifestDiffers", "KubernetesTooOld", "StaleReads", "InvalidPolicy"} {
		if slices.Contains(found, none) {
			t.Errorf("%s in %v", none, found)
		}
	}
	for _, some := range []string{"TooFewNodes", "AgentMissing", "NoLeader", "ControllerManagerUnseen"} {
		if !slices.Contains(found, some) {
			t.Errorf("no %s in %v", some, found)
		}
	}
	if found := look("viewer"); !slices.Contains(found, "CannotLook") || !slices.Contains(found, "TooFewNodes") {
		t.Errorf("a viewer sees %v", found)
	}

	policies := a.admin.kube.AdmissionregistrationV1().ValidatingAdmissionPolicies()
	p, err := policies.Get(t.Context(), "picket-roll", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ignore := admissionv1.Ignore
	p.Spec.FailurePolicy = &ignore
	if _, err := policies.Update(t.Context(), p, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if found := look("doctor"); !slices.Contains(found, "ManifestDiffers") {
		t.Errorf("a policy that fails open: %v", found)
	}
	if err := policies.Delete(t.Context(), "picket-roll", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if found := look("doctor"); !slices.Contains(found, "ManifestMissing") {
		t.Errorf("a policy that is gone: %v", found)
	}
}

// findings returns the words of what the doctor finds with somebody's rights.
func (a *access) findings(ctx context.Context, plugin, who string) ([]string, error) {
	out, code := a.kubectlPicket(ctx, plugin, who, "", "doctor", "-o", "json")
	var r struct{ Findings []struct{ ID string } }
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		return nil, fmt.Errorf("exit code %d: %s", code, out)
	}
	words := make([]string, 0, len(r.Findings))
	for _, f := range r.Findings {
		words = append(words, f.ID)
	}
	return words, nil
}

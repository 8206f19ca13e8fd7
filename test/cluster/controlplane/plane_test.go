package controlplane

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func startPlane(t *testing.T) *Plane {
	t.Helper()
	if testing.Short() {
		t.Skip("runs a real control plane; -short is set")
	}
	binaries, err := Binaries(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	o := Default()
	o.Dir, o.Binaries, o.Nodes = t.TempDir(), binaries, []string{"node-1"}
	start := time.Now()
	p, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("control plane ready after %.1f s", time.Since(start).Seconds())
	t.Cleanup(p.Stop)
	return p
}

func TestPlane(t *testing.T) {
	p := startPlane(t)
	ctx := t.Context()
	nodes := p.Client().CoreV1().Nodes()
	if _, err := nodes.Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}

	t.Run("a bound token names its node", func(t *testing.T) { testToken(ctx, t, p) })
	t.Run("apply waits for definitions", func(t *testing.T) {
		if err := p.Apply(ctx, []byte(widgetManifests)); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("restore goes back in time", func(t *testing.T) { testRestore(ctx, t, p) })
}

func testToken(ctx context.Context, t *testing.T, p *Plane) {
	token, err := p.TokenFor(ctx, "default", "default", "node-1")
	if err != nil {
		t.Fatal(err)
	}
	review, err := p.Client().AuthenticationV1().TokenReviews().Create(ctx,
		&authv1.TokenReview{Spec: authv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	names := review.Status.User.Extra["authentication.kubernetes.io/node-name"]
	if len(names) != 1 || names[0] != "node-1" {
		t.Errorf("node name in the token's user: %v", names)
	}
}

func testRestore(ctx context.Context, t *testing.T, p *Plane) {
	nodes := p.Client().CoreV1().Nodes()
	snapshot := filepath.Join(t.TempDir(), "etcd")
	if err := p.Snapshot(snapshot); err != nil {
		t.Fatal(err)
	}
	if _, err := nodes.Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "later"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := p.Restore(ctx, snapshot); err != nil {
		t.Fatal(err)
	}
	if _, err := nodes.Get(ctx, "later", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("node made after the snapshot: %v, want not found", err)
	}
	if _, err := nodes.Get(ctx, "node-1", metav1.GetOptions{}); err != nil {
		t.Errorf("node made before the snapshot: %v", err)
	}

	p.StopAPI()
	if _, err := nodes.Get(ctx, "node-1", metav1.GetOptions{}); err == nil {
		t.Error("a stopped API server answered")
	}
	start := time.Now()
	if err := p.StartAPI(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("API server back after %.1f s", time.Since(start).Seconds())
	if _, err := nodes.Get(ctx, "node-1", metav1.GetOptions{}); err != nil {
		t.Errorf("after the restart: %v", err)
	}
}

const widgetManifests = `
apiVersion: test.picket.dev/v1
kind: Widget
metadata: {name: first}
spec: {size: 3}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.test.picket.dev}
spec:
  group: test.picket.dev
  scope: Cluster
  names: {kind: Widget, plural: widgets, singular: widget, listKind: WidgetList}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {size: {type: integer}}}
`

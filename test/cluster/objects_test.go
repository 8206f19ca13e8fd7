package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"

	"github.com/picket-dev/picket/proto/api/client"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/test/cluster/controlplane"
	"github.com/picket-dev/picket/test/cluster/fleet"
)

// installed starts a control plane with two Nodes and Picket's manifests.
func installed(t *testing.T) *controlplane.Plane {
	t.Helper()
	if testing.Short() {
		t.Skip("runs a real control plane; -short is set")
	}
	binaries, err := controlplane.Binaries(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	o := controlplane.Default()
	o.Dir, o.Binaries, o.Nodes = t.TempDir(), binaries, []string{"node-1", "node-2"}
	p, err := controlplane.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	for _, name := range o.Nodes {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := p.Client().CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := fleet.Install(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return p
}

// as returns a dynamic client with a ServiceAccount's token.
func as(t *testing.T, p *controlplane.Plane, account, node string) (dynamic.Interface, *client.Client) {
	t.Helper()
	if err := p.WaitServiceAccount(t.Context(), fleet.Namespace, account); err != nil {
		t.Fatal(err)
	}
	token, err := p.TokenFor(t.Context(), fleet.Namespace, account, node)
	if err != nil {
		t.Fatal(err)
	}
	cfg := p.ConfigFor(p.URL(), token)
	d, err := dynamic.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d, c
}

// TestObjects lets a real API server judge the objects in testdata of
// proto/api/v1alpha1, and what an agent may write.
func TestObjects(t *testing.T) {
	p := installed(t)
	controller, asController := as(t, p, "picket-controller", "")
	_, agent := as(t, p, "picket-agent", "node-1")
	waitForPolicies(t, agent)

	root := filepath.Join("..", "..", "proto", "api", "v1alpha1", "testdata")
	files, err := filepath.Glob(filepath.Join(root, "*", "*.yaml"))
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(filepath.Dir(file))+"/"+filepath.Base(file), func(t *testing.T) {
			judgeFile(t, p.Dynamic(), controller, file)
		})
	}
	t.Run("an agent writes its own status and nothing else", func(t *testing.T) { judgeAgent(t, agent, asController) })
}

// waitForPolicies waits until the admission policies are in force, which takes
// the API server a moment: until an agent may not write a Roll.
func waitForPolicies(t *testing.T, agent *client.Client) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		r := &v1alpha1.Roll{Spec: v1alpha1.RollSpec{History: "h", Serial: 1}}
		r.Name = v1alpha1.RollName
		_, err := agent.Rolls.Create(t.Context(), r)
		if apierrors.IsForbidden(err) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("an agent that creates a Roll is told: %v", err)
		}
	}
	<-time.After(3 * time.Second) // schemas and policies are compiled behind the scenes
}

// judgeFile creates the first document and judges the last.
func judgeFile(t *testing.T, admin, controller dynamic.Interface, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want, _, _ := strings.Cut(strings.TrimPrefix(string(text), "# want: "), "\n")
	if !strings.HasPrefix(string(text), "# want: ") {
		want = ""
	}
	var docs []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		u := &unstructured.Unstructured{}
		if err := decoder.Decode(&u.Object); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, u)
	}
	plural := strings.ToLower(docs[0].GetKind()) + "s"
	if docs[0].GetKind() == "FencingPolicy" {
		plural = "fencingpolicies"
	}
	who := admin
	if plural == "rolls" || plural == "nodeguards" {
		who = controller
	}
	api := who.Resource(schema.GroupVersionResource{Group: "picket.dev", Version: "v1alpha1", Resource: plural})
	t.Cleanup(func() { remove(admin, plural, docs[0].GetName()) })
	got, err := api.Create(t.Context(), docs[0], metav1.CreateOptions{})
	if len(docs) > 1 {
		if err != nil {
			t.Fatalf("the first document: %v", err)
		}
		docs[1].SetResourceVersion(got.GetResourceVersion())
		_, err = api.Update(t.Context(), docs[1], metav1.UpdateOptions{})
	}
	switch {
	case want == "" && err != nil:
		t.Errorf("refused: %v", err)
	case want != "" && (err == nil || !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), want)):
		t.Errorf("answer %v, want one that says %q", err, want)
	}
}

// remove deletes an object, whatever holds it.
func remove(admin dynamic.Interface, plural, name string) {
	api := admin.Resource(schema.GroupVersionResource{Group: "picket.dev", Version: "v1alpha1", Resource: plural})
	ctx := context.Background()
	if u, err := api.Get(ctx, name, metav1.GetOptions{}); err == nil && len(u.GetFinalizers()) > 0 {
		u.SetFinalizers(nil)
		_, _ = api.Update(ctx, u, metav1.UpdateOptions{}) // the next create tells
	}
	_ = api.Delete(ctx, name, metav1.DeleteOptions{}) // may not exist
}

func judgeAgent(t *testing.T, agent, controller *client.Client) {
	for _, name := range []string{"node-1", "node-2"} {
		g := &v1alpha1.NodeGuard{}
		g.Name = name
		if _, err := controller.NodeGuards.Create(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
	own, err := agent.NodeGuards.Get(t.Context(), "node-1")
	if err != nil {
		t.Fatal(err)
	}
	own.Status.Phase = "Unarmed"
	if own, err = agent.NodeGuards.UpdateStatus(t.Context(), own); err != nil {
		t.Errorf("an agent's own status is refused: %v", err)
	}
	own.Spec.Unarmed = "Mine"
	if _, err := agent.NodeGuards.Update(t.Context(), own); !apierrors.IsForbidden(err) {
		t.Errorf("an agent that writes its own spec is told: %v", err)
	}
	other, err := controller.NodeGuards.Get(t.Context(), "node-2")
	if err != nil {
		t.Fatal(err)
	}
	other.Status.Phase = "Unarmed"
	if _, err := agent.NodeGuards.UpdateStatus(t.Context(), other); !apierrors.IsForbidden(err) {
		t.Errorf("an agent that writes another node's status is told: %v", err)
	}
}

package kube

import (
	"net/http"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestCordoned(t *testing.T) {
	f := newFakeAPI(t)
	a := open(t, config(f))
	for _, want := range []bool{true, false} {
		f.act(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/api/v1/nodes/n1" {
				t.Errorf("asked for %s", r.URL)
			}
			answer(w, http.StatusOK, map[string]any{"kind": "Node", "metadata": map[string]any{"name": "n1"},
				"spec": map[string]any{"unschedulable": want}})
		})
		if got, err := a.Cordoned(t.Context()); got != want || err != nil {
			t.Errorf("%t, %v, want %t", got, err, want)
		}
	}
	f.act(func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, apierrors.NewForbidden(schema.GroupResource{Resource: "nodes"}, "n1", nil))
	})
	if got, err := a.Cordoned(t.Context()); got || KindOf(err) != Contact {
		t.Errorf("without the right to: %t, %v", got, err)
	}
}

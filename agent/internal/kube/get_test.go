package kube

import (
	"net/http"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestGet(t *testing.T) {
	f := newFakeAPI(t)
	a := open(t, config(f))
	type list struct {
		Items []struct{ Metadata struct{ Name string } }
	}
	var got list
	f.act(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/pods" || r.URL.Query().Get("fieldSelector") != "spec.nodeName=n1" || r.URL.Query().Has("resourceVersion") {
			t.Errorf("asked for %s", r.URL)
		}
		answer(w, http.StatusOK, map[string]any{"kind": "PodList", "items": []any{map[string]any{"metadata": map[string]any{"name": "p"}}}})
	})
	err := a.Get(t.Context(), "/api/v1/pods", map[string]string{"fieldSelector": "spec.nodeName=n1"}, &got)
	if err != nil || len(got.Items) != 1 || got.Items[0].Metadata.Name != "p" {
		t.Errorf("%+v, %v", got, err)
	}
	for name, tt := range map[string]struct {
		act  http.HandlerFunc
		want Kind
	}{
		"none": {func(w http.ResponseWriter, _ *http.Request) {
			refuse(w, apierrors.NewNotFound(schema.GroupResource{Resource: "persistentvolumes"}, "x"))
		}, NotFound},
		"forbidden": {func(w http.ResponseWriter, _ *http.Request) {
			refuse(w, apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", nil))
		}, Contact},
		"garbage": {func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, []int{1}) }, Contact},
	} {
		f.act(tt.act)
		if err := a.Get(t.Context(), "/api/v1/persistentvolumes/x", nil, &got); KindOf(err) != tt.want || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	f.Close()
	if err := a.Get(t.Context(), "/api/v1/pods", nil, &got); KindOf(err) != NoContact {
		t.Errorf("without an API server: %v", err)
	}
	if err := a.Get(t.Context(), "secrets", nil, &got); err == nil {
		t.Error("a path that is none was asked for")
	}
}

package uninstall

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

func notFound(name string) error { return apierrors.NewNotFound(schema.GroupResource{}, name) }

// policy is one of a mode, with or without the mark.
func policy(mode v1alpha1.Mode, marked bool) *v1alpha1.FencingPolicy {
	p := &v1alpha1.FencingPolicy{Spec: v1alpha1.FencingPolicySpec{Mode: mode}}
	p.Name, p.ResourceVersion = v1alpha1.PolicyName, "7"
	if marked {
		metav1.SetMetaDataAnnotation(&p.ObjectMeta, annotationBefore, "Enforce")
	}
	return p
}

// What cannot be undone is only done under the mark.
func TestTheMarkIsTakenBack(t *testing.T) {
	for name, tt := range map[string]struct {
		policy any
		want   error
	}{
		"marked":        {policy(v1alpha1.Uninstall, true), nil},
		"set back":      {policy(v1alpha1.Enforce, true), errTakenBack},
		"another's":     {policy(v1alpha1.Uninstall, false), errTakenBack},
		"never marked":  {policy(v1alpha1.Observe, false), errTakenBack},
		"deleted, gone": {nil, errTakenBack},
	} {
		t.Run(name, func(t *testing.T) {
			objects := map[string]any{}
			if tt.policy != nil {
				objects[policyPath] = tt.policy
			}
			u, _ := newRun(t, newSite(t, nil).kube, objects)
			if err := u.marked(t.Context()); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

// People who set the mode back while it runs are heard: nothing that runs is
// stopped then, and nothing is deleted.
func TestNothingIsDeletedAgainstThePolicy(t *testing.T) {
	s := newSite(t, nil)
	u, api := newRun(t, s.kube, map[string]any{policyPath: policy(v1alpha1.Enforce, false)})
	looks := 0
	api.saw = func(method, path string) {
		if path == fencePath {
			looks++
		}
		if looks == 2 { // the hosts were looked at, and now the fences are
			api.objects[policyPath] = policy(v1alpha1.Enforce, true)
		}
		if method == http.MethodDelete {
			t.Errorf("%s %s", method, path)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := Run(ctx, u.Config)
	if !errors.Is(err, errTakenBack) || !strings.Contains(err.Error(), "stop the agents") {
		t.Errorf("%v, want that it was taken back before the agents stop", err)
	}
	for _, a := range s.kube.Actions() {
		if a.GetVerb() == "delete" {
			t.Errorf("%s %s", a.GetVerb(), a.GetResource().Resource)
		}
	}
}

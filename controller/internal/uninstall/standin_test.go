package uninstall

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/picket-dev/picket/proto/api/client"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// A standIn is an API server for Picket's own kinds: it keeps objects by path, and
// lists them.
type standIn struct {
	t       *testing.T
	mu      sync.Mutex
	objects map[string]any
	saw     func(method, path string) // before an answer, with mu held
}

// kinds are the paths of what there is a list of.
const (
	group      = "/apis/picket.dev/v1alpha1/"
	guardPath  = group + "nodeguards"
	fencePath  = group + "nodefences"
	policyPath = group + "fencingpolicies/" + v1alpha1.PolicyName
)

// newRun returns an attempt on Picket's objects and on those of kube, which looks
// often. What it says is told to the test.
func newRun(t *testing.T, kube kubernetes.Interface, objects map[string]any) (*run, *standIn) {
	t.Helper()
	s := &standIn{t: t, objects: objects, saw: func(string, string) {}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	picket, err := client.New(&rest.Config{Host: server.URL}, server.Client())
	if err != nil {
		t.Fatal(err)
	}
	c := Default()
	c.Kube, c.Picket, c.Out, c.Pace, c.Still, c.Settle = kube, picket, t.Output(), 5*time.Millisecond, time.Millisecond, 0
	return &run{Config: c, since: time.Now()}, s
}

// forLooks returns a context that ends with that many looks at all nodes.
func (s *standIn) forLooks(n int) context.Context {
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	s.t.Cleanup(cancel)
	s.saw = func(_, path string) {
		if path != fencePath {
			return
		}
		if n--; n == 0 {
			cancel()
		}
	}
	return ctx
}

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saw(r.Method, r.URL.Path)
	var answer any
	switch r.Method {
	case http.MethodPut, http.MethodPost:
		var o map[string]any
		if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
			s.t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
		answer = o
		s.objects[r.URL.Path] = o
	case http.MethodGet:
		if answer = s.objects[r.URL.Path]; slices.Contains([]string{guardPath, fencePath}, r.URL.Path) {
			answer = map[string]any{"items": s.under(r.URL.Path)}
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if answer == nil {
		w.WriteHeader(http.StatusNotFound)
		answer = map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": http.StatusNotFound}
	}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		s.t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
}

// under returns the objects of a collection.
func (s *standIn) under(path string) []any {
	all := []any{}
	for p, o := range s.objects {
		if strings.HasPrefix(p, path+"/") {
			all = append(all, o)
		}
	}
	return all
}

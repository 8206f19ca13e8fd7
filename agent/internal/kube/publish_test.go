package kube

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/timing"
)

func uidOf(s string) types.UID { return types.UID(s) }

// aStatus has every field that an agent writes.
func aStatus() v1alpha1.NodeGuardStatus {
	return v1alpha1.NodeGuardStatus{
		Protocol: 1, Writes: 3, BootID: "b1", MachineID: "m", SystemUUID: "s",
		Addresses: []string{"10.0.0.1:9735"}, Fingerprint: "00", Phase: "Armed",
		Promise: v1alpha1.PromiseOf(timing.Promise{
			Armed: true, RollLife: 5 * time.Second, PetDelay: time.Second,
			Timeout: 10 * time.Second, Kappa: 1020, Ungated: 1,
		}),
		Acked: v1alpha1.Acked{History: "h", Serial: 7, Fences: []string{"f"}, Streak: 4},
		Lost:  []string{"n2"},
		Conditions: []metav1.Condition{{
			Type: v1alpha1.ConditionPeersLost, Status: metav1.ConditionTrue, Reason: "R",
			// A finer time than the API keeps is no difference.
			LastTransitionTime: metav1.NewTime(time.Unix(1, 5)),
		}},
	}
}

func TestPublish(t *testing.T) {
	server := newFakeAPI(t)
	server.put("u1", say("spec"))
	a := open(t, config(server))
	got, err := a.Publish(t.Context(), aStatus())
	if err != nil {
		t.Fatal(err)
	}
	if got.Status.Acked.Streak != 4 || got.Spec.Unarmed != "spec" {
		t.Errorf("got %+v", got)
	}
	if n := server.hits.Load(); n != 2 {
		t.Errorf("%d requests, want a read and a write", n)
	}
	if _, err := a.Publish(t.Context(), aStatus()); err != nil {
		t.Fatal(err)
	}
	if n := server.hits.Load(); n != 3 {
		t.Errorf("%d requests, want one more: the version was known", n)
	}
	server.put("u1", say("changed by the controller"))
	if _, err := a.Publish(t.Context(), aStatus()); err != nil {
		t.Fatal(err)
	}
	if n := server.hits.Load(); n != 6 {
		t.Errorf("%d requests, want a conflict, a read and a write more", n)
	}
	server.remove()
	server.put("u2", nil)
	if got, err := a.Publish(t.Context(), aStatus()); err != nil || got.UID != "u2" {
		t.Errorf("after a new object: %v, %v", got, err)
	}
}

// The write is the caller's latest word, whatever became of the one before.
func TestPublishFailures(t *testing.T) {
	conflict := func(f *fakeAPI) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut {
				refuse(w, apierrors.NewConflict(nodeguards, "n1", errors.New("again")))
				return
			}
			f.serve(w, r)
		}
	}
	status := func(code int) func(*fakeAPI) http.HandlerFunc {
		return func(*fakeAPI) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
		}
	}
	for _, test := range []struct {
		name   string
		behave func(*fakeAPI) http.HandlerFunc
		kind   Kind
		status int
		hits   int64
	}{
		{"conflict after conflict", conflict, Contact, 409, 2},
		{"no NodeGuard", func(f *fakeAPI) http.HandlerFunc { f.remove(); return f.serve }, NotFound, 404, 1},
		{"403", status(403), Contact, 403, 1},
		{"429", status(429), Contact, 429, 1},
		{"500", status(500), Contact, 500, 1},
		{"422", status(422), Contact, 422, 1},
		{"never answers", func(*fakeAPI) http.HandlerFunc { return stall }, NoContact, 0, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := newFakeAPI(t)
			server.put("u1", nil)
			server.act(test.behave(server))
			got, err := open(t, config(server)).Publish(t.Context(), aStatus())
			var f *Failure
			if got != nil || !errors.As(err, &f) {
				t.Fatalf("got %v, %v", got, err)
			}
			if f.Kind != test.kind || f.Status != test.status {
				t.Errorf("kind %v, status %d: %v", f.Kind, f.Status, f)
			}
			if n := server.hits.Load(); n != test.hits {
				t.Errorf("%d requests, want %d", n, test.hits)
			}
		})
	}
}

// A3 must not wait for an endpoint that is gone: each is tried.
func TestPublishTriesEachEndpoint(t *testing.T) {
	first, second, third := newFakeAPI(t), newFakeAPI(t), newFakeAPI(t)
	first.act(stall)
	second.act(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	third.put("u1", nil)
	a := open(t, config(first, second, third))
	if _, err := a.Publish(t.Context(), aStatus()); err != nil {
		t.Fatal(err)
	}
	if a.Endpoint() != third.URL {
		t.Errorf("prefers %s", a.Endpoint())
	}
}

// An old CRD drops what it does not know: the agent must learn of it.
func TestPublishTellsPrunedFields(t *testing.T) {
	for _, test := range []struct {
		field string
		prune func(*v1alpha1.NodeGuardStatus)
	}{
		{"status.acked.streak", func(s *v1alpha1.NodeGuardStatus) { s.Acked.Streak = 0 }},
		{"status.promise.ungated", func(s *v1alpha1.NodeGuardStatus) { s.Promise.Ungated = 0 }},
		{"status.promise.rollLife", func(s *v1alpha1.NodeGuardStatus) { s.Promise.RollLife.Duration /= 2 }},
		{"status.acked.fences", func(s *v1alpha1.NodeGuardStatus) { s.Acked.Fences = nil }},
		{"status.lost[0]", func(s *v1alpha1.NodeGuardStatus) { s.Lost = []string{"n3"} }},
		{"status.conditions[0].reason", func(s *v1alpha1.NodeGuardStatus) { s.Conditions[0].Reason = "" }},
		{"status.bootID", func(s *v1alpha1.NodeGuardStatus) { *s = v1alpha1.NodeGuardStatus{} }},
		{"", func(s *v1alpha1.NodeGuardStatus) { s.Refutes = "a default" }},
	} {
		t.Run(test.field, func(t *testing.T) {
			server := newFakeAPI(t)
			server.put("u1", nil)
			server.prune = func(g *v1alpha1.NodeGuard) { test.prune(&g.Status) }
			got, err := open(t, config(server)).Publish(t.Context(), aStatus())
			if got == nil {
				t.Fatal(err)
			}
			field := ""
			if p, ok := errors.AsType[*Pruned](err); ok {
				field = p.Field
			}
			if test.field == "status.bootID" {
				// The first of all: paths are compared in alphabetical order.
				if !strings.HasPrefix(field, "status.a") {
					t.Errorf("field %q", field)
				}
				return
			}
			if diff := cmp.Diff(test.field, field); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Statuses are written one at a time, and each caller's context counts while it
// waits.
func TestPublishOneAtATime(t *testing.T) {
	server := newFakeAPI(t)
	server.put("u1", nil)
	entered := make(chan struct{})
	release := make(chan struct{})
	var once sync.Once
	server.act(func(w http.ResponseWriter, r *http.Request) {
		once.Do(func() {
			close(entered)
			<-release
		})
		server.serve(w, r)
	})
	cfg := config(server)
	cfg.Deadline = 10 * time.Second
	a := open(t, cfg)
	first := make(chan error, 1)
	go func() {
		_, err := a.Publish(t.Context(), aStatus())
		first <- err
	}()
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Publish(ctx, aStatus()); !errors.Is(err, context.Canceled) || KindOf(err) != Unknown {
		t.Errorf("got %v", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Error(err)
	}
}

package client

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

var (
	_ cache.ListerWatcher            = (*ListWatch)(nil)
	_ cache.ListerWatcherWithContext = (*ListWatch)(nil)
)

// A call is what the server saw of a request.
type call struct {
	Method, URI string
	Body        map[string]any
}

// serve starts a server that answers everything with status and body, and
// returns a client of it and the calls that it saw.
func serve(t *testing.T, status int, header http.Header, body string) (*Client, func() []call) {
	t.Helper()
	calls := make(chan call, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := call{Method: r.Method, URI: r.URL.RequestURI()}
		if raw, _ := io.ReadAll(r.Body); len(raw) > 0 {
			if err := json.Unmarshal(raw, &c.Body); err != nil {
				t.Errorf("%s %s: body %q: %v", r.Method, r.URL, raw, err)
			}
		}
		calls <- c
		w.Header().Set("Content-Type", "application/json")
		maps.Copy(w.Header(), header)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	c, err := New(&rest.Config{Host: server.URL}, server.Client())
	if err != nil {
		t.Fatal(err)
	}
	return c, func() []call {
		var all []call
		for {
			select {
			case c := <-calls:
				all = append(all, c)
			default:
				return all
			}
		}
	}
}

const aFence = `{"apiVersion":"picket.dev/v1alpha1","kind":"NodeFence","metadata":{"name":"a","uid":"u","resourceVersion":"7"},"spec":{"node":"a"}}`

func fence() *v1alpha1.NodeFence {
	return &v1alpha1.NodeFence{
		ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "u", ResourceVersion: "7"},
		Spec:       v1alpha1.NodeFenceSpec{Node: "a"},
	}
}

func TestRequests(t *testing.T) {
	const path = "/apis/picket.dev/v1alpha1/nodefences"
	for _, test := range []struct {
		name   string
		status int
		do     func(*testing.T, *Client) error
		want   call // its Body is a part of the real one
	}{
		{"get asks a quorum", 200, func(t *testing.T, c *Client) error {
			got, err := c.NodeFences.Get(t.Context(), "a")
			if err == nil && got.Spec.Node != "a" {
				t.Errorf("got %+v", got)
			}
			return err
		}, call{"GET", path + "/a", nil}},
		{"list", 200, func(t *testing.T, c *Client) error {
			_, err := c.NodeFences.List(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=a"})
			return err
		}, call{"GET", path + "?fieldSelector=metadata.name%3Da", nil}},
		{"create", 201, func(t *testing.T, c *Client) error {
			_, err := c.NodeFences.Create(t.Context(), fence())
			return err
		}, call{"POST", path, map[string]any{"kind": "NodeFence", "apiVersion": "picket.dev/v1alpha1"}}},
		{"update", 200, func(t *testing.T, c *Client) error {
			_, err := c.NodeFences.Update(t.Context(), fence())
			return err
		}, call{"PUT", path + "/a", map[string]any{"spec": map[string]any{"node": "a"}}}},
		{"update status", 200, func(t *testing.T, c *Client) error {
			_, err := c.NodeFences.UpdateStatus(t.Context(), fence())
			return err
		}, call{"PUT", path + "/a/status", map[string]any{"kind": "NodeFence"}}},
		{"delete names UID and version", 200, func(t *testing.T, c *Client) error {
			return c.NodeFences.Delete(t.Context(), fence())
		}, call{"DELETE", path + "/a", map[string]any{
			"preconditions": map[string]any{"uid": "u", "resourceVersion": "7"},
		}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer := aFence
			if test.name == "list" {
				answer = `{"kind":"NodeFenceList","apiVersion":"picket.dev/v1alpha1","metadata":{},"items":[` + aFence + `]}`
			}
			c, calls := serve(t, test.status, nil, answer)
			if err := test.do(t, c); err != nil {
				t.Fatal(err)
			}
			all := calls()
			if len(all) != 1 {
				t.Fatalf("%d requests, want 1", len(all))
			}
			got := all[0]
			for k := range got.Body {
				if _, ok := test.want.Body[k]; !ok {
					delete(got.Body, k)
				}
			}
			if len(got.Body) == 0 {
				got.Body = nil
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWritesNeedPreconditions(t *testing.T) {
	c, calls := serve(t, 200, nil, aFence)
	unread := fence()
	unread.ResourceVersion = ""
	if _, err := c.NodeFences.Update(t.Context(), unread); err == nil {
		t.Error("Update took an object without resourceVersion")
	}
	if _, err := c.NodeFences.UpdateStatus(t.Context(), unread); err == nil {
		t.Error("UpdateStatus took an object without resourceVersion")
	}
	if err := c.NodeFences.Delete(t.Context(), unread); err == nil {
		t.Error("Delete took an object without resourceVersion")
	}
	anonymous := fence()
	anonymous.UID = ""
	if err := c.NodeFences.Delete(t.Context(), anonymous); err == nil {
		t.Error("Delete took an object without UID")
	}
	if _, err := c.NodeFences.Get(t.Context(), ""); err == nil {
		t.Error("Get took an empty name")
	}
	if got := calls(); len(got) != 0 {
		t.Errorf("requests were sent: %v", got)
	}
}

func TestFailures(t *testing.T) {
	status := func(code int, reason metav1.StatusReason) string {
		raw, err := json.Marshal(metav1.Status{
			TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
			Status:   metav1.StatusFailure, Code: int32(code), Reason: reason,
		})
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	for _, test := range []struct {
		name   string
		status int
		header http.Header
		body   string
		is     func(error) bool
	}{
		{"429 is not retried", 429, http.Header{"Retry-After": {"1"}}, status(429, metav1.StatusReasonTooManyRequests), apierrors.IsTooManyRequests},
		{"500 with Retry-After is not retried", 500, http.Header{"Retry-After": {"1"}}, "oops", apierrors.IsInternalError},
		{"404", 404, nil, status(404, metav1.StatusReasonNotFound), apierrors.IsNotFound},
		{"403", 403, nil, status(403, metav1.StatusReasonForbidden), apierrors.IsForbidden},
		{"409", 409, nil, status(409, metav1.StatusReasonConflict), apierrors.IsConflict},
		{"garbage", 200, nil, "<html>", func(err error) bool { return err != nil }},
		{"empty", 200, nil, "", func(err error) bool { return err != nil }},
		{"another kind", 200, nil, `{"apiVersion":"picket.dev/v1alpha1","kind":"Roll","metadata":{"name":"a"}}`,
			func(err error) bool { return strings.Contains(err.Error(), "is about") }},
		{"another object", 200, nil, strings.Replace(aFence, `"name":"a"`, `"name":"b"`, 1),
			func(err error) bool { return strings.Contains(err.Error(), "is about") }},
		{"part of the content", 206, nil, aFence, func(err error) bool { return strings.Contains(err.Error(), "status 206") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, calls := serve(t, test.status, test.header, test.body)
			began := time.Now()
			got, err := c.NodeFences.Get(t.Context(), "a")
			if err == nil || !test.is(err) {
				t.Errorf("got %+v, %v", got, err)
			}
			if n := len(calls()); n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
			if d := time.Since(began); d > 900*time.Millisecond {
				t.Errorf("took %v: it waited to retry", d)
			}
		})
	}
}

func TestWatch(t *testing.T) {
	c, calls := serve(t, 200, nil, `{"type":"MODIFIED","object":`+aFence+`}`)
	seconds := int64(30)
	w, err := c.NodeFences.ListWatch("metadata.name=a").WatchWithContext(t.Context(),
		metav1.ListOptions{ResourceVersion: "6", TimeoutSeconds: &seconds})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	event := <-w.ResultChan()
	if got, ok := event.Object.(*v1alpha1.NodeFence); !ok || got.UID != types.UID("u") {
		t.Errorf("got %+v", event)
	}
	want := "/apis/picket.dev/v1alpha1/nodefences?fieldSelector=metadata.name%3Da&resourceVersion=6&timeout=30s&timeoutSeconds=30&watch=true"
	if got := calls()[0].URI; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

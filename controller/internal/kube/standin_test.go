package kube

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"

	"github.com/picket-dev/picket/proto/timing"
)

// A standIn is an API server in a few lines: it keeps objects as JSON, gives
// them versions, and holds preconditions, finalizers and the status subresource
// as the real one does.
type standIn struct {
	t       *testing.T
	mu      sync.Mutex
	version int
	objects map[string]map[string]any // by path
	log     []request
	watches map[chan watchEvent]string // by the collection that it is about
	fail    func(r request) int        // an HTTP status to answer with, negative for plain text; or 0
	prune   []string                   // fields of spec that it does not know
	clock   *tally
}

// A request is what the stand-in saw, and when: the number of clock readings
// so far.
type request struct {
	method, path, query string
	body                map[string]any
	readings            int64
}

func (r request) String() string { return r.method + " " + r.path }

type watchEvent struct {
	Type   string         `json:"type"`
	Object map[string]any `json:"object"`
}

// A tally is a clock that counts its readings.
type tally struct {
	mu sync.Mutex
	n  int64
}

func (c *tally) now() timing.Instant {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return timing.At(time.Duration(c.n))
}

func (c *tally) readings() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// wall is the wall clock of all tests.
var wall = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// newAPI returns an API over a new stand-in, and its events.
func newAPI(t *testing.T) (*API, *standIn, *record.FakeRecorder) {
	t.Helper()
	s := &standIn{
		t: t, version: 100, objects: map[string]map[string]any{},
		watches: map[chan watchEvent]string{}, clock: &tally{},
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	kube, picket, err := Connect(&rest.Config{
		Host: server.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"},
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	events := record.NewFakeRecorder(100)
	return New(Config{
		Kube: kube, Picket: picket, Recorder: events, Log: slog.New(slog.DiscardHandler),
		DomainLabel: DefaultDomainLabel, RackLabel: DefaultRackLabel, Now: s.clock.now, Wall: func() time.Time { return wall },
	}), s, events
}

// put stores an object without any rule, and returns its version.
func (s *standIn) put(path string, object any) string {
	s.t.Helper()
	raw, err := json.Marshal(object)
	if err != nil {
		s.t.Fatal(err)
	}
	o := map[string]any{}
	if err := json.Unmarshal(raw, &o); err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store(path, o)
}

// get decodes the object at path, and reports whether there is one.
func (s *standIn) get(path string, into any) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[path]
	if ok {
		raw, err := json.Marshal(o)
		if err == nil {
			err = json.Unmarshal(raw, into)
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	return ok
}

// requests returns what was seen since the last call, but for watches.
func (s *standIn) requests() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := slices.DeleteFunc(s.log, func(r request) bool { return strings.Contains(r.query, "watch=") })
	s.log = nil
	return log
}

func (s *standIn) store(path string, o map[string]any) string {
	kind, old := "MODIFIED", s.objects[path]
	if old == nil {
		kind = "ADDED"
	}
	s.version++
	meta := metaOf(o)
	meta["resourceVersion"] = strconv.Itoa(s.version)
	meta["name"] = path[strings.LastIndexByte(path, '/')+1:]
	o["apiVersion"], o["kind"] = typeOf(path)
	if _, after, ok := strings.Cut(path, "/namespaces/"); ok {
		meta["namespace"], _, _ = strings.Cut(after, "/")
	}
	if meta["uid"] == nil {
		meta["uid"] = "uid-" + meta["name"].(string)
	}
	s.objects[path] = o
	if meta["deletionTimestamp"] != nil && len(list(meta["finalizers"])) == 0 {
		kind = "DELETED"
		delete(s.objects, path)
	}
	for c, collection := range s.watches {
		if collectionOf(path) == collection {
			c <- watchEvent{kind, o}
		}
	}
	return strconv.Itoa(s.version)
}

// typeOf returns the apiVersion and kind of the object at path.
func typeOf(path string) (apiVersion, kind string) {
	parts := strings.Split(path, "/")
	resource := parts[len(parts)-2]
	apiVersion = "v1"
	if parts[1] == "apis" {
		apiVersion = parts[2] + "/" + parts[3]
	}
	return apiVersion, map[string]string{
		"nodes": "Node", "pods": "Pod", "persistentvolumeclaims": "PersistentVolumeClaim",
		"persistentvolumes": "PersistentVolume", "volumeattachments": "VolumeAttachment", "leases": "Lease",
		"rolls": "Roll", "nodeguards": "NodeGuard", "nodefences": "NodeFence", "fencingpolicies": "FencingPolicy",
	}[resource]
}

func metaOf(o map[string]any) map[string]any {
	m, _ := o["metadata"].(map[string]any)
	if m == nil {
		m = map[string]any{}
		o["metadata"] = m
	}
	return m
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

// collectionOf returns the path under which the object at path is listed for
// all namespaces.
func collectionOf(path string) string {
	path = path[:strings.LastIndexByte(path, '/')]
	if before, after, ok := strings.Cut(path, "/namespaces/"); ok {
		_, resource, _ := strings.Cut(after, "/")
		return before + "/" + resource
	}
	return path
}

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := request{method: r.Method, path: r.URL.Path, query: r.URL.RawQuery, readings: s.clock.readings()}
	if raw, _ := io.ReadAll(r.Body); len(raw) > 0 {
		if err := json.Unmarshal(raw, &q.body); err != nil {
			s.t.Errorf("%s: body %q: %v", q, raw, err)
		}
	}
	if r.URL.Query().Get("watch") == "true" && r.URL.Query().Get("sendInitialEvents") == "" {
		s.watch(w, r)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, q)
	code, answer := s.answer(q, r)
	if s.fail != nil {
		status := s.fail(q)
		if status < 0 { // not in the words of an API
			http.Error(w, "page not found", -status)
			return
		}
		if status != 0 {
			code, answer = status, failure(status, "made to fail")
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(answer)
}

func (s *standIn) answer(q request, r *http.Request) (int, map[string]any) {
	path, status := strings.CutSuffix(q.path, "/status")
	old := s.objects[path]
	switch {
	case r.URL.Query().Get("watch") == "true":
		return http.StatusBadRequest, failure(http.StatusBadRequest, "no streaming lists here")
	case q.method == http.MethodPost:
		path += "/" + metaOf(q.body)["name"].(string)
		if s.objects[path] != nil {
			return http.StatusConflict, failure(http.StatusConflict, "it exists")
		}
		s.store(path, q.body)
		return http.StatusCreated, q.body
	case old == nil && q.method == http.MethodGet && s.isList(path):
		return http.StatusOK, s.listed(path, r.URL.Query().Get("fieldSelector"))
	case old == nil:
		return http.StatusNotFound, failure(http.StatusNotFound, "no such object")
	case q.method == http.MethodGet:
		return http.StatusOK, old
	case q.method == http.MethodDelete:
		return s.remove(path, old, q.body)
	}
	return s.change(path, old, q, status)
}

// isList reports whether the path is that of a collection.
func (s *standIn) isList(path string) bool {
	return slices.Contains([]string{
		"nodes", "pods", "volumeattachments", "nodeguards", "nodefences", "fencingpolicies",
	}, path[strings.LastIndexByte(path, '/')+1:])
}

func (s *standIn) listed(collection, selector string) map[string]any {
	items := []any{}
	for _, path := range slices.Sorted(maps.Keys(s.objects)) {
		o := s.objects[path]
		spec, _ := o["spec"].(map[string]any)
		node, wanted := strings.CutPrefix(selector, "spec.nodeName=")
		if collectionOf(path) == collection && (!wanted || spec["nodeName"] == node) {
			items = append(items, o)
		}
	}
	return map[string]any{
		"metadata": map[string]any{"resourceVersion": strconv.Itoa(s.version)}, "items": items,
	}
}

// change applies a PUT or a merge patch to the part of the object that the
// request may change.
func (s *standIn) change(path string, old map[string]any, q request, status bool) (int, map[string]any) {
	want := q.body
	if q.method == http.MethodPatch {
		want = merged(old, q.body)
	}
	if v := metaOf(want)["resourceVersion"]; v != nil && v != metaOf(old)["resourceVersion"] {
		return http.StatusConflict, failure(http.StatusConflict, "another version")
	}
	next := maps.Clone(want)
	if status {
		next = maps.Clone(old)
		next["status"] = want["status"]
	} else if old["status"] != nil {
		next["status"] = old["status"]
	}
	meta := maps.Clone(metaOf(next))
	meta["uid"] = metaOf(old)["uid"]
	if d := metaOf(old)["deletionTimestamp"]; d != nil {
		meta["deletionTimestamp"] = d
	}
	next["metadata"] = meta
	if spec, ok := next["spec"].(map[string]any); ok {
		for _, field := range s.prune {
			delete(spec, field)
		}
	}
	s.store(path, next)
	return http.StatusOK, next
}

// merged applies a JSON merge patch (RFC 7386).
func merged(to, patch map[string]any) map[string]any {
	result := maps.Clone(to)
	if result == nil {
		result = map[string]any{}
	}
	for k, v := range patch {
		switch v := v.(type) {
		case nil:
			delete(result, k)
		case map[string]any:
			inner, _ := result[k].(map[string]any)
			result[k] = merged(inner, v)
		default:
			result[k] = v
		}
	}
	return result
}

func (s *standIn) remove(path string, old, options map[string]any) (int, map[string]any) {
	if p, ok := options["preconditions"].(map[string]any); ok {
		for _, key := range []string{"uid", "resourceVersion"} {
			if p[key] != nil && p[key] != metaOf(old)[key] {
				return http.StatusConflict, failure(http.StatusConflict, "another "+key)
			}
		}
	}
	next := maps.Clone(old)
	meta := maps.Clone(metaOf(old))
	meta["deletionTimestamp"] = wall.Format(time.RFC3339)
	next["metadata"] = meta
	s.store(path, next)
	return http.StatusOK, next
}

// watch streams what changes from now on. Between a list and its watch the
// tests change nothing.
func (s *standIn) watch(w http.ResponseWriter, r *http.Request) {
	c := make(chan watchEvent, 100)
	s.mu.Lock()
	s.watches[c] = r.URL.Path
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watches, c)
	}()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	for {
		select {
		case <-r.Context().Done():
			return
		case e := <-c:
			_ = json.NewEncoder(w).Encode(e)
			_ = http.NewResponseController(w).Flush()
		}
	}
}

// watching returns when so many watches are open.
func (s *standIn) watching(t *testing.T, n int) {
	t.Helper()
	eventually(t, fmt.Sprint(n, " watches"), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.watches) == n
	})
}

func failure(code int, message string) map[string]any {
	reasons := map[int]string{404: "NotFound", 409: "Conflict", 400: "BadRequest", 403: "Forbidden"}
	return map[string]any{
		"kind": "Status", "apiVersion": "v1", "status": "Failure",
		"code": code, "reason": reasons[code], "message": message,
	}
}

// eventually fails the test unless ok becomes true within a few seconds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}

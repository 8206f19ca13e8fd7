package kube

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fakeAPI is an API server with one Roll and at most one NodeGuard, over real
// TLS and HTTP/2. Its behaviour can be replaced at any time.
type fakeAPI struct {
	*httptest.Server
	behave atomic.Pointer[http.HandlerFunc]
	hits   atomic.Int64
	conns  atomic.Int64

	mu      sync.Mutex
	guard   *v1alpha1.NodeGuard
	version int
	changed chan struct{} // closed at each change
	prune   func(*v1alpha1.NodeGuard)
	events  []watchEvent
}

type watchEvent struct {
	version int
	Type    string              `json:"type"`
	Object  *v1alpha1.NodeGuard `json:"object"`
}

func newFakeAPI(t *testing.T) *fakeAPI {
	t.Helper()
	f := &fakeAPI{version: 100, changed: make(chan struct{})}
	f.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.hits.Add(1)
		if r.ProtoMajor != 2 {
			t.Errorf("%s came over %s, not over HTTP/2", r.URL, r.Proto)
		}
		if behave := f.behave.Load(); behave != nil {
			(*behave)(w, r)
			return
		}
		f.serve(w, r)
	}))
	f.EnableHTTP2 = true
	f.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			f.conns.Add(1)
		}
	}
	f.StartTLS()
	t.Cleanup(func() {
		f.CloseClientConnections()
		f.Close()
	})
	return f
}

// act replaces the behaviour; nil restores the normal one.
func (f *fakeAPI) act(h http.HandlerFunc) {
	if h == nil {
		f.behave.Store(nil)
		return
	}
	f.behave.Store(&h)
}

const (
	rollPath  = "/apis/picket.dev/v1alpha1/rolls/cluster"
	guardPath = "/apis/picket.dev/v1alpha1/nodeguards"
)

func (f *fakeAPI) serve(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == rollPath && r.Method == http.MethodGet && r.URL.RawQuery == "":
		answer(w, http.StatusOK, rollObject())
	case r.URL.Path == guardPath && r.URL.Query().Get("fieldSelector") == "metadata.name=n1":
		if r.URL.Query().Get("watch") != "" {
			f.watch(w, r)
			return
		}
		f.mu.Lock()
		list := v1alpha1.NodeGuardList{ListMeta: metav1.ListMeta{ResourceVersion: strconv.Itoa(f.version)}}
		if f.guard != nil {
			list.Items = append(list.Items, *f.guard)
		}
		f.mu.Unlock()
		answer(w, http.StatusOK, list)
	case r.URL.Path == guardPath+"/n1" && r.Method == http.MethodGet:
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.guard == nil {
			refuse(w, apierrors.NewNotFound(nodeguards, "n1"))
			return
		}
		answer(w, http.StatusOK, f.guard)
	case r.URL.Path == guardPath+"/n1/status" && r.Method == http.MethodPut:
		f.putStatus(w, r)
	default:
		refuse(w, apierrors.NewBadRequest(r.Method+" "+r.URL.String()))
	}
}

func (f *fakeAPI) putStatus(w http.ResponseWriter, r *http.Request) {
	var sent v1alpha1.NodeGuard
	raw, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(raw, &sent) != nil {
		refuse(w, apierrors.NewBadRequest("no object"))
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.guard == nil:
		refuse(w, apierrors.NewNotFound(nodeguards, "n1"))
	case sent.UID != f.guard.UID || sent.ResourceVersion != f.guard.ResourceVersion:
		refuse(w, apierrors.NewConflict(nodeguards, "n1", nil))
	default:
		next := f.guard.DeepCopy()
		next.Status = sent.Status
		if f.prune != nil {
			f.prune(next)
		}
		f.set("MODIFIED", next)
		answer(w, http.StatusOK, f.guard)
	}
}

// put makes or changes the guard as the controller would.
func (f *fakeAPI) put(uid string, change func(*v1alpha1.NodeGuard)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	kind := "MODIFIED"
	var next v1alpha1.NodeGuard
	if f.guard == nil || string(f.guard.UID) != uid {
		kind = "ADDED"
		next.Name, next.UID = "n1", types.UID(uid)
	} else {
		next = *f.guard.DeepCopy()
	}
	if change != nil {
		change(&next)
	}
	f.set(kind, &next)
}

// remove deletes the guard.
func (f *fakeAPI) remove() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.set("DELETED", f.guard.DeepCopy())
	f.guard = nil
}

// set stores the guard; the lock is held.
func (f *fakeAPI) set(kind string, next *v1alpha1.NodeGuard) {
	f.version++
	next.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "NodeGuard"}
	next.ResourceVersion = strconv.Itoa(f.version)
	f.guard = next
	f.events = append(f.events, watchEvent{f.version, kind, next})
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fakeAPI) watch(w http.ResponseWriter, r *http.Request) {
	since, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	for {
		f.mu.Lock()
		events, changed := f.events, f.changed
		f.mu.Unlock()
		for _, e := range events {
			if e.version > since {
				since = e.version
				_ = json.NewEncoder(w).Encode(e)
			}
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

func answer(w http.ResponseWriter, status int, obj any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(obj)
}

func refuse(w http.ResponseWriter, err *apierrors.StatusError) {
	status := err.Status()
	status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	answer(w, int(status.Code), status)
}

// stall never answers.
func stall(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func aRoll() roll.Roll {
	return roll.Roll{
		History: "h", Serial: 7, PollEvery: time.Second,
		Epochs:  []roll.Epoch{{Number: 1, Witnesses: []string{"n1", "n2", "n3"}}},
		Entries: []roll.Entry{{Node: "n2", UID: "u2", Boot: "b2", Fence: "f", State: roll.Withheld}},
	}
}

func rollObject() *v1alpha1.Roll {
	return &v1alpha1.Roll{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "Roll"},
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.RollName, ResourceVersion: "7"},
		Spec:       v1alpha1.RollSpecOf(aRoll()),
	}
}

// config returns a quick Config for the servers, which all have httptest's one
// certificate.
func config(servers ...*fakeAPI) Config {
	cfg := Default()
	cfg.Node = "n1"
	cfg.Service, cfg.CAFile, cfg.TokenFile = "", "", ""
	cfg.Deadline = time.Second
	cfg.RetryMin, cfg.RetryMax = time.Millisecond, 5*time.Millisecond
	for _, s := range servers {
		cfg.Endpoints = append(cfg.Endpoints, s.URL)
		cfg.CAData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	}
	return cfg
}

// open returns the API of cfg with a clock that advances by 1 ns per reading.
func open(t *testing.T, cfg Config) *API {
	t.Helper()
	var clock atomic.Int64
	a, err := New(cfg, func() timing.Instant { return timing.At(time.Duration(clock.Add(1))) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

var nodeguards = schema.GroupResource{Group: "picket.dev", Resource: "nodeguards"}

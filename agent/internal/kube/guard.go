package kube

import (
	"context"
	"math"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// WatchGuard hands the node's own NodeGuard to got, now and after each change,
// and nil when there is none. It survives outages of any length, and returns
// when ctx ends. The object is shared: got must not change it.
func (a *API) WatchGuard(ctx context.Context, got func(*v1alpha1.NodeGuard)) {
	reflector := cache.NewReflectorWithOptions(guardSource{a}, &v1alpha1.NodeGuard{}, &guardSink{api: a, got: got},
		cache.ReflectorOptions{
			Name: "nodeguard",
			Backoff: &wait.Backoff{
				Duration: a.cfg.RetryMin,
				Cap:      a.cfg.RetryMax,
				Steps:    int(math.Ceil(float64(a.cfg.RetryMax) / float64(a.cfg.RetryMin))),
				Factor:   2,
				Jitter:   1,
			},
		})
	reflector.RunWithContext(ctx)
}

// A guardSource lists and watches one NodeGuard for client-go's reflector, each
// time at the endpoint that answered last.
type guardSource struct{ api *API }

// ListWithContext reads the NodeGuard as a list of one or none.
func (s guardSource) ListWithContext(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	opts.FieldSelector = s.api.onlyOwn()
	e, i := s.api.next()
	list, err := call(ctx, e, s.api.cfg.Deadline, "list nodeguard", func(ctx context.Context) (*v1alpha1.NodeGuardList, error) {
		return e.api.NodeGuards.List(ctx, opts)
	})
	if err != nil {
		s.api.settle(i, false)
		return nil, unwrapped(err)
	}
	return list, nil
}

// WatchWithContext watches the NodeGuard. The transport bounds the time until
// the answer begins, and pings bound the silence after it.
func (s guardSource) WatchWithContext(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	opts.FieldSelector = s.api.onlyOwn()
	e, i := s.api.next()
	w, err := e.api.NodeGuards.Watch(ctx, opts)
	if err != nil {
		if isTimeout(ctx, err) {
			e.drop()
		}
		s.api.settle(i, false)
		return nil, err
	}
	return w, nil
}

// List is ListWithContext for callers that have none.
func (s guardSource) List(opts metav1.ListOptions) (runtime.Object, error) {
	return s.ListWithContext(context.Background(), opts)
}

// Watch is WatchWithContext for callers that have none.
func (s guardSource) Watch(opts metav1.ListOptions) (watch.Interface, error) {
	return s.WatchWithContext(context.Background(), opts)
}

// IsWatchListSemanticsUnSupported tells client-go to list and then to watch: for
// one object a streamed list saves nothing.
func (guardSource) IsWatchListSemanticsUnSupported() bool { return true }

// onlyOwn selects the node's own NodeGuard.
func (a *API) onlyOwn() string {
	return fields.OneTermEqualSelector(metav1.ObjectNameField, a.cfg.Node).String()
}

// unwrapped returns the cause of a Failure: client-go looks at the type of an
// error, not at what it wraps.
func unwrapped(err error) error {
	if f, ok := err.(*Failure); ok { //nolint:errorlint // call returns no other type
		return f.Err
	}
	return err
}

// A guardSink is what the reflector fills. It keeps no object, only the version
// of the last one.
type guardSink struct {
	api  *API
	got  func(*v1alpha1.NodeGuard)
	told bool // something was handed on
	last string
	uid  types.UID // of the last object; empty: there has been none
}

// Add takes an object that is new.
func (s *guardSink) Add(obj any) error {
	if guard, ok := obj.(*v1alpha1.NodeGuard); ok && guard.Name == s.api.cfg.Node {
		s.take(guard)
	}
	return nil
}

// Update takes an object that has changed.
func (s *guardSink) Update(obj any) error { return s.Add(obj) }

// Delete notes that there is no object any more.
func (s *guardSink) Delete(any) error {
	s.take(nil)
	return nil
}

// Replace takes the result of a list.
func (s *guardSink) Replace(list []any, _ string) error {
	if len(list) == 0 {
		s.take(nil)
		return nil
	}
	return s.Add(list[0])
}

// Resync does nothing: there is nothing to compare with.
func (s *guardSink) Resync() error { return nil }

// take hands the guard on if it differs from the last one.
func (s *guardSink) take(guard *v1alpha1.NodeGuard) {
	version := ""
	if guard != nil {
		version = string(guard.UID) + "/" + guard.ResourceVersion
		s.api.guard.watched(guard)
	}
	if s.told && version == s.last {
		return
	}
	s.told, s.last = true, version
	if s.uid != "" && (guard == nil || guard.UID != s.uid) && s.api.cfg.Revoked != nil {
		s.api.cfg.Revoked()
	}
	s.uid = ""
	if guard != nil {
		s.uid = guard.UID
	}
	s.got(guard)
}

// lastSeen is the identity of the newest NodeGuard that this agent knows of: the
// precondition of its next write. It is safe for concurrent use.
type lastSeen struct {
	mu      sync.Mutex
	uid     types.UID
	version string
}

// get returns what was seen; an empty version means nothing.
func (l *lastSeen) get() (types.UID, string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.uid, l.version
}

// read remembers a guard that the API returned to a question of ours.
func (l *lastSeen) read(g *v1alpha1.NodeGuard) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.uid, l.version = g.UID, g.ResourceVersion
}

// watched remembers a guard from the watch, which may be older than what is
// known already.
func (l *lastSeen) watched(g *v1alpha1.NodeGuard) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if order, err := resourceversion.CompareResourceVersion(g.ResourceVersion, l.version); err == nil && order < 0 && g.UID == l.uid {
		return
	}
	l.uid, l.version = g.UID, g.ResourceVersion
}

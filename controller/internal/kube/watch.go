package kube

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// Watch keeps the world up to date until ctx ends.
func (a *API) Watch(ctx context.Context) {
	nodes := a.cfg.Kube.CoreV1().Nodes()
	var all errgroup.Group
	for _, r := range []*cache.Reflector{
		reflector(&cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				return nodes.List(ctx, o)
			},
			WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
				return nodes.Watch(ctx, o)
			},
		}, &corev1.Node{}, a.nodes),
		reflector(a.cfg.Picket.NodeGuards.ListWatch(""), &v1alpha1.NodeGuard{}, a.guards),
		reflector(a.cfg.Picket.NodeFences.ListWatch(""), &v1alpha1.NodeFence{}, a.fences),
		reflector(a.cfg.Picket.FencingPolicies.ListWatch(""), &v1alpha1.FencingPolicy{}, a.policies),
	} {
		all.Go(func() error {
			r.RunWithContext(ctx)
			return nil
		})
	}
	_ = all.Wait() // reflectors return no error
}

// reflector returns a reflector that is back soon after an outage of the API:
// client-go's own pauses grow to 30 s, a whole failover.
func reflector(lw cache.ListerWatcher, of runtime.Object, store cache.ReflectorStore) *cache.Reflector {
	return cache.NewReflectorWithOptions(lw, of, store, cache.ReflectorOptions{
		Name:    "picket-controller",
		Backoff: &wait.Backoff{Duration: 200 * time.Millisecond, Factor: 1.5, Jitter: 0.5, Steps: 10, Cap: 2 * time.Second},
	})
}

// Synced reports whether each kind of object was listed once.
func (a *API) Synced() bool {
	for _, c := range []<-chan struct{}{a.nodes.synced, a.guards.synced, a.fences.synced, a.policies.synced} {
		select {
		case <-c:
		default:
			return false
		}
	}
	return true
}

// WaitForSync returns when each kind of object was listed once, or ctx's error.
func (a *API) WaitForSync(ctx context.Context) error {
	for _, c := range []<-chan struct{}{a.nodes.synced, a.guards.synced, a.fences.synced, a.policies.synced} {
		select {
		case <-c:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// The strips below change what they are given, which nobody else holds.

func stripGuard(g *v1alpha1.NodeGuard) *v1alpha1.NodeGuard {
	g.ManagedFields = nil
	g.Status.Storage.Devices = nil
	g.Status.Message = ""
	return g
}

func stripFence(f *v1alpha1.NodeFence) *v1alpha1.NodeFence {
	f.ManagedFields = nil
	return f
}

func stripPolicy(p *v1alpha1.FencingPolicy) *v1alpha1.FencingPolicy {
	p.ManagedFields = nil
	return p
}

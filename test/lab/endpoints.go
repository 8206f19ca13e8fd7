package main

import (
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"

	"github.com/picket-dev/picket/test/cluster/rawclock"
)

// endpoints record when service traffic leaves nodes: since when a node has no
// ready endpoint in any EndpointSlice.
type endpoints struct {
	*follower

	mu     sync.Mutex
	slices map[string]map[string]int // ready endpoints by slice and node
	left   map[string]time.Duration  // raw time at which a node's last one went
}

func watchEndpoints(client kubernetes.Interface) *endpoints {
	e := &endpoints{slices: make(map[string]map[string]int), left: make(map[string]time.Duration)}
	e.follower = follow(client.DiscoveryV1().EndpointSlices(metav1.NamespaceAll),
		func(l *discoveryv1.EndpointSliceList) []runtime.Object { return pointers(l.Items) },
		func(object runtime.Object, gone bool) {
			if slice, ok := object.(*discoveryv1.EndpointSlice); ok {
				e.saw(slice, gone)
			}
		})
	return e
}

// saw counts a slice's ready endpoints anew.
func (e *endpoints) saw(slice *discoveryv1.EndpointSlice, gone bool) {
	now := rawclock.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	before, is := e.count(), make(map[string]int)
	for _, one := range slice.Endpoints {
		if !gone && one.NodeName != nil && (one.Conditions.Ready == nil || *one.Conditions.Ready) {
			is[*one.NodeName]++
		}
	}
	e.slices[slice.Namespace+"/"+slice.Name] = is
	after := e.count()
	for node := range before {
		if after[node] == 0 {
			e.left[node] = now
		}
	}
}

// count adds the slices up by node, without those that have none; mu is held.
func (e *endpoints) count() map[string]int {
	sum := make(map[string]int)
	for _, slice := range e.slices {
		for node, n := range slice {
			sum[node] += n
		}
	}
	return sum
}

// has reports whether a node has a ready endpoint.
func (e *endpoints) has(node string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.count()[node] > 0
}

// leftAt is the raw time at which a node lost its last ready endpoint, unless it
// has some again; 0 if it never did.
func (e *endpoints) leftAt(node string) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.count()[node] > 0 {
		return 0
	}
	return e.left[node]
}

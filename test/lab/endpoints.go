package main

import (
	"context"
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"github.com/picket-dev/picket/test/cluster/rawclock"
)

// endpoints record when service traffic leaves nodes: since when a node has no
// ready endpoint in any EndpointSlice.
type endpoints struct {
	client kubernetes.Interface
	cancel context.CancelFunc
	ended  chan struct{}

	mu     sync.Mutex
	slices map[string]map[string]int // ready endpoints by slice and node
	left   map[string]time.Duration  // raw time at which a node's last one went
}

func watchEndpoints(client kubernetes.Interface) *endpoints {
	ctx, cancel := context.WithCancel(context.Background())
	e := &endpoints{
		client: client, cancel: cancel, ended: make(chan struct{}),
		slices: make(map[string]map[string]int), left: make(map[string]time.Duration),
	}
	go func() {
		defer close(e.ended)
		for ctx.Err() == nil {
			e.follow(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return e
}

func (e *endpoints) stop() {
	e.cancel()
	<-e.ended
}

// follow lists and watches until the watch ends.
func (e *endpoints) follow(ctx context.Context) {
	all := e.client.DiscoveryV1().EndpointSlices(metav1.NamespaceAll)
	list, err := all.List(ctx, metav1.ListOptions{})
	if err != nil {
		return
	}
	for i := range list.Items {
		e.saw(&list.Items[i], false)
	}
	stream, err := all.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		return
	}
	defer stream.Stop()
	for event := range stream.ResultChan() {
		slice, ok := event.Object.(*discoveryv1.EndpointSlice)
		if !ok {
			return
		}
		e.saw(slice, event.Type == watch.Deleted)
	}
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

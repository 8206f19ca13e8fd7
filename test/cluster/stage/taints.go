package stage

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"github.com/picket-dev/picket/test/cluster/disk"
	"github.com/picket-dev/picket/test/cluster/rawclock"
)

// TaintEvent is a taint that came or went, as the API showed it.
type TaintEvent struct {
	At    time.Duration // raw monotonic time at which it was seen
	Node  string
	Boot  string // boot ID in the Node's status at that time
	Taint corev1.Taint
	Added bool
}

// Taints records all changes of all Nodes' taints.
type Taints struct {
	client kubernetes.Interface
	cancel context.CancelFunc
	ended  chan struct{}

	mu      sync.Mutex
	current map[string]map[string]corev1.Taint // node, then key and effect
	events  []TaintEvent
	changed chan struct{} // closed and replaced by each event
}

// WatchTaints records until Stop. It asks the API server directly, past all
// proxies.
func WatchTaints(client kubernetes.Interface) *Taints {
	ctx, cancel := context.WithCancel(context.Background())
	t := &Taints{
		client:  client,
		cancel:  cancel,
		ended:   make(chan struct{}),
		current: make(map[string]map[string]corev1.Taint),
		changed: make(chan struct{}),
	}
	go func() {
		defer close(t.ended)
		for ctx.Err() == nil {
			t.follow(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return t
}

// Stop ends the record; what it holds stays readable.
func (t *Taints) Stop() {
	t.cancel()
	<-t.ended
}

// follow lists and watches until the watch ends, as it does when the API
// server stops.
func (t *Taints) follow(ctx context.Context) {
	nodes := t.client.CoreV1().Nodes()
	list, err := nodes.List(ctx, metav1.ListOptions{})
	if err != nil {
		return
	}
	for i := range list.Items {
		t.saw(&list.Items[i], false)
	}
	stream, err := nodes.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		return
	}
	defer stream.Stop()
	for event := range stream.ResultChan() {
		node, ok := event.Object.(*corev1.Node)
		if !ok {
			return
		}
		t.saw(node, event.Type == watch.Deleted)
	}
}

// saw compares a Node's taints with those known.
func (t *Taints) saw(node *corev1.Node, gone bool) {
	now := rawclock.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	old, is := t.current[node.Name], make(map[string]corev1.Taint)
	if !gone {
		for _, taint := range node.Spec.Taints {
			is[taint.ToString()] = taint
		}
	}
	note := func(taint corev1.Taint, added bool) {
		t.events = append(t.events, TaintEvent{At: now, Node: node.Name, Boot: node.Status.NodeInfo.BootID, Taint: taint, Added: added})
	}
	before := len(t.events)
	for key, taint := range is {
		if _, known := old[key]; !known {
			note(taint, true)
		}
	}
	for key, taint := range old {
		if _, still := is[key]; !still {
			note(taint, false)
		}
	}
	t.current[node.Name] = is
	if len(t.events) > before {
		close(t.changed)
		t.changed = make(chan struct{})
	}
}

// Events returns all changes so far, in order.
func (t *Taints) Events() []TaintEvent {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]TaintEvent(nil), t.events...)
}

// Wait returns the first event that matches, past ones included.
func (t *Taints) Wait(ctx context.Context, match func(TaintEvent) bool) (TaintEvent, error) {
	for next := 0; ; {
		t.mu.Lock()
		events, changed := t.events, t.changed
		t.mu.Unlock()
		for ; next < len(events); next++ {
			if match(events[next]) {
				return events[next], nil
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return TaintEvent{}, fmt.Errorf("wait for a taint to change: %w", ctx.Err())
		}
	}
}

// Fences are the out-of-service taints seen so far, for the disks' judge.
func (t *Taints) Fences() []disk.Fence {
	var fences []disk.Fence
	for _, e := range t.Events() {
		if e.Added && e.Taint.Key == corev1.TaintNodeOutOfService {
			fences = append(fences, disk.Fence{Node: e.Node, Boot: e.Boot, Tainted: e.At})
		}
	}
	return fences
}

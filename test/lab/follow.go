package main

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

// A source is a kind of objects at the API server.
type source[L runtime.Object] interface {
	List(context.Context, metav1.ListOptions) (L, error)
	Watch(context.Context, metav1.ListOptions) (watch.Interface, error)
}

// follower shows all objects of a kind, and every change, to one function.
type follower struct {
	cancel context.CancelFunc
	ended  chan struct{}
}

// follow calls saw, never twice at a time, until stop. An object that went away
// while the API server did is not seen to go.
func follow[L runtime.Object](from source[L], items func(L) []runtime.Object, saw func(object runtime.Object, gone bool)) *follower {
	ctx, cancel := context.WithCancel(context.Background())
	f := &follower{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(f.ended)
		for ctx.Err() == nil {
			followOnce(ctx, from, items, saw)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return f
}

func (f *follower) stop() {
	f.cancel()
	<-f.ended
}

// followOnce lists and watches until the watch ends.
func followOnce[L runtime.Object](ctx context.Context, from source[L], items func(L) []runtime.Object, saw func(runtime.Object, bool)) {
	list, err := from.List(ctx, metav1.ListOptions{})
	if err != nil {
		return
	}
	for _, object := range items(list) {
		saw(object, false)
	}
	version := ""
	if l, ok := any(list).(metav1.ListInterface); ok {
		version = l.GetResourceVersion()
	}
	stream, err := from.Watch(ctx, metav1.ListOptions{ResourceVersion: version})
	if err != nil {
		return
	}
	defer stream.Stop()
	for event := range stream.ResultChan() {
		if event.Type == watch.Error {
			return
		}
		saw(event.Object, event.Type == watch.Deleted)
	}
}

// pointers makes objects of a list's items.
func pointers[T any, P interface {
	*T
	runtime.Object
}](items []T) []runtime.Object {
	var all []runtime.Object
	for i := range items {
		all = append(all, P(&items[i]))
	}
	return all
}

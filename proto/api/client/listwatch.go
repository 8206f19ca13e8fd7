package client

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

// A ListWatch feeds an informer or reflector of client-go's tools/cache, both
// of whose ListerWatcher interfaces it implements.
type ListWatch struct {
	list  func(context.Context, metav1.ListOptions) (runtime.Object, error)
	watch func(context.Context, metav1.ListOptions) (watch.Interface, error)
}

// ListWatch returns the source of an informer for the objects that the field
// selector selects; an empty one selects all.
func (o *Objects[T, L, PT, PL]) ListWatch(fieldSelector string) *ListWatch {
	return &ListWatch{
		list: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			opts.FieldSelector = fieldSelector
			l, err := o.List(ctx, opts)
			return PL(l), err
		},
		watch: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			opts.FieldSelector = fieldSelector
			return o.Watch(ctx, opts)
		},
	}
}

// ListWithContext lists the objects.
func (l *ListWatch) ListWithContext(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	return l.list(ctx, opts)
}

// WatchWithContext watches the objects.
func (l *ListWatch) WatchWithContext(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	return l.watch(ctx, opts)
}

// List is ListWithContext for callers that have none.
func (l *ListWatch) List(opts metav1.ListOptions) (runtime.Object, error) {
	return l.list(context.Background(), opts)
}

// Watch is WatchWithContext for callers that have none.
func (l *ListWatch) Watch(opts metav1.ListOptions) (watch.Interface, error) {
	return l.watch(context.Background(), opts)
}

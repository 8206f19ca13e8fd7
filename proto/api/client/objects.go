package client

import (
	"context"
	"fmt"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

// Objects reads and writes the objects of one kind. T is the object's type, L
// the list's. All errors but those for missing preconditions come from
// client-go and keep its types, so that k8s.io/apimachinery's errors.IsConflict
// and its like work on them.
type Objects[T, L any, PT object[T], PL list[L]] struct {
	api    rest.Interface
	params runtime.ParameterCodec
	plural string
}

type object[T any] interface {
	*T
	runtime.Object
	metav1.Object
}

type list[L any] interface {
	*L
	runtime.Object
	metav1.ListInterface
}

// Get reads one object. The read is linearizable: it goes to a quorum of etcd
// and never to a cache. Only a complete answer with status 200 that holds the
// object of that name is a success.
func (o *Objects[T, L, PT, PL]) Get(ctx context.Context, name string) (*T, error) {
	if name == "" {
		return nil, fmt.Errorf("get %s: no name", o.plural)
	}
	return o.one(ctx, o.api.Get().Name(name), name, http.StatusOK)
}

// List reads the objects that opts selects. It is consistent if and only if
// opts names no resourceVersion.
func (o *Objects[T, L, PT, PL]) List(ctx context.Context, opts metav1.ListOptions) (*L, error) {
	into := PL(new(L))
	if err := o.send(ctx, o.api.Get().VersionedParams(&opts, o.params)).Into(into); err != nil {
		return nil, err
	}
	return into, nil
}

// Watch reports changes of the objects that opts selects, until ctx ends, the
// caller stops it, or the server ends it.
func (o *Objects[T, L, PT, PL]) Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	opts.Watch = true
	r := o.api.Get().Resource(o.plural).MaxRetries(0).VersionedParams(&opts, o.params)
	if opts.TimeoutSeconds != nil {
		r.Timeout(time.Duration(*opts.TimeoutSeconds) * time.Second)
	}
	return r.Watch(ctx)
}

// Create makes an object and returns it as the server keeps it.
func (o *Objects[T, L, PT, PL]) Create(ctx context.Context, obj *T) (*T, error) {
	return o.one(ctx, o.api.Post().Body(PT(obj)), PT(obj).GetName(), http.StatusCreated)
}

// Update replaces an object but for its status, if it has its own, and returns
// it as the server keeps it. The object must hold the resourceVersion that was
// read; another one in the API is a conflict.
func (o *Objects[T, L, PT, PL]) Update(ctx context.Context, obj *T) (*T, error) {
	return o.replace(ctx, obj, "")
}

// UpdateStatus replaces an object's status alone, under the same condition as
// Update.
func (o *Objects[T, L, PT, PL]) UpdateStatus(ctx context.Context, obj *T) (*T, error) {
	return o.replace(ctx, obj, "status")
}

func (o *Objects[T, L, PT, PL]) replace(ctx context.Context, obj *T, subresource string) (*T, error) {
	meta := PT(obj)
	if meta.GetName() == "" || meta.GetResourceVersion() == "" {
		return nil, fmt.Errorf("update %s %q: the object has no resourceVersion: read it first", o.plural, meta.GetName())
	}
	r := o.api.Put().Name(meta.GetName()).Body(meta)
	if subresource != "" {
		r.SubResource(subresource)
	}
	return o.one(ctx, r, meta.GetName(), http.StatusOK)
}

// Delete deletes exactly the object that was read: another UID or
// resourceVersion in the API is a conflict.
func (o *Objects[T, L, PT, PL]) Delete(ctx context.Context, obj *T) error {
	meta := PT(obj)
	uid, version := meta.GetUID(), meta.GetResourceVersion()
	if meta.GetName() == "" || uid == "" || version == "" {
		return fmt.Errorf("delete %s %q: the object has no UID or no resourceVersion: read it first", o.plural, meta.GetName())
	}
	return o.send(ctx, o.api.Delete().Name(meta.GetName()).Body(&metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version},
	})).Error()
}

// one sends r and decodes the answer, which must have that status and hold the
// object of that name, if it is given: client-go would accept any kind.
func (o *Objects[T, L, PT, PL]) one(ctx context.Context, r *rest.Request, name string, status int) (*T, error) {
	into, got := PT(new(T)), 0
	if err := o.send(ctx, r).StatusCode(&got).Into(into); err != nil {
		return nil, err
	}
	if got != status || into.GetName() == "" || name != "" && into.GetName() != name {
		return nil, fmt.Errorf("the answer about %s %q has status %d and is about %q", o.plural, name, got, into.GetName())
	}
	return into, nil
}

// send sends r once.
func (o *Objects[T, L, PT, PL]) send(ctx context.Context, r *rest.Request) rest.Result {
	return r.Resource(o.plural).MaxRetries(0).Do(ctx)
}

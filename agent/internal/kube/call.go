package kube

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// call runs f for at most d and returns its result, or the error of the
// deadline: also if f itself overruns it, in which case f is abandoned to end
// on its own. After a deadline the endpoint's connections are dropped. Every
// error is a *Failure.
func call[T any](ctx context.Context, e *endpoint, d time.Duration, do string, f func(context.Context) (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var zero T
	select {
	case e.calls <- struct{}{}:
	default:
		return zero, &Failure{Endpoint: e.name, Do: do, Kind: NoContact, Err: errWedged}
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	ctx, answered := observe(ctx)
	done := make(chan result, 1)
	go func() {
		defer func() { <-e.calls }()
		value, err := f(ctx)
		done <- result{value, err}
	}()
	var r result
	select {
	case r = <-done:
	case <-ctx.Done():
		r.err = ctx.Err()
	}
	if r.err == nil {
		return r.value, nil
	}
	if isTimeout(ctx, r.err) {
		e.drop()
	}
	return zero, failure(ctx, e.name, do, answered.Load(), r.err)
}

// isTimeout reports whether err comes from a deadline, ctx's or the
// transport's.
func isTimeout(ctx context.Context, err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(ctx.Err(), context.DeadlineExceeded) ||
		errors.As(err, &timeout) && timeout.Timeout()
}

// failure returns the Failure that err means.
func failure(ctx context.Context, endpoint, do string, answered bool, err error) *Failure {
	f := &Failure{Endpoint: endpoint, Do: do, Kind: NoContact, Err: err}
	var status apierrors.APIStatus
	switch {
	case errors.As(err, &status) && status.Status().Code == http.StatusNotFound:
		f.Kind, f.Status = NotFound, http.StatusNotFound
	case errors.As(err, &status) && status.Status().Code > 0:
		f.Kind, f.Status = Contact, int(status.Status().Code)
	case answered:
		f.Kind = Contact
	case errors.Is(ctx.Err(), context.Canceled):
		f.Kind = Unknown
	}
	return f
}

// An observer notes in a request's context that an answer began, and bounds its
// length.
type observer struct{ base http.RoundTripper }

type observerKey struct{}

// observe returns a context whose requests tell whether they were answered.
func observe(ctx context.Context) (context.Context, *atomic.Bool) {
	answered := new(atomic.Bool)
	return context.WithValue(ctx, observerKey{}, answered), answered
}

// RoundTrip sends the request.
func (o *observer) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := o.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if answered, ok := r.Context().Value(observerKey{}).(*atomic.Bool); ok {
		answered.Store(true)
		resp.Body = bounded{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, nil
}

type bounded struct {
	io.Reader
	io.Closer
}

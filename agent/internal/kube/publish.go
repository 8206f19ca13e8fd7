package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// Publish writes the status of the node's own NodeGuard and returns the object
// as the API server stored it. It asks each endpoint once, until one has
// decided.
//
// Every write names the resourceVersion that was last seen: an older status
// that is still on its way somewhere can never replace a newer one. A conflict
// is read again and tried once more. Statuses are written one at a time.
//
// The error is a *Failure, of Kind NotFound if there is no NodeGuard; or a
// *Pruned, which comes with the object: the server stored something else.
func (a *API) Publish(ctx context.Context, status v1alpha1.NodeGuardStatus) (*v1alpha1.NodeGuard, error) {
	select {
	case a.publish <- struct{}{}:
		defer func() { <-a.publish }()
	case <-ctx.Done():
		return nil, &Failure{Endpoint: a.Endpoint(), Do: "publish status", Kind: Unknown, Err: ctx.Err()}
	}
	// A write that is abandoned must not share memory with the caller.
	status = *status.DeepCopy()
	var guard *v1alpha1.NodeGuard
	var err error
	for range a.endpoints {
		e, i := a.next()
		guard, err = a.publishAt(ctx, e, status)
		if err == nil || !elsewhere(err) {
			break
		}
		a.settle(i, false)
	}
	if err != nil {
		return nil, err
	}
	if field := differs("status", tree(status), tree(guard.Status)); field != "" {
		return guard, &Pruned{Field: field}
	}
	return guard, nil
}

// elsewhere reports whether another endpoint may do better.
func elsewhere(err error) bool {
	f, ok := errors.AsType[*Failure](err)
	if !ok {
		return false
	}
	switch f.Kind {
	case NoContact:
		return true
	case Contact:
		return f.Status < 400 || f.Status >= 500 || slices.Contains([]int{
			http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusTooManyRequests,
		}, f.Status)
	case Unknown, NotFound:
	}
	return false
}

// publishAt writes the status at one endpoint, a second time after a conflict.
func (a *API) publishAt(ctx context.Context, e *endpoint, status v1alpha1.NodeGuardStatus) (*v1alpha1.NodeGuard, error) {
	if _, version := a.guard.get(); version != "" {
		guard, err := a.write(ctx, e, status)
		if !apierrors.IsConflict(err) {
			return guard, err
		}
	}
	guard, err := call(ctx, e, a.cfg.Deadline, "read nodeguard", func(ctx context.Context) (*v1alpha1.NodeGuard, error) {
		return e.api.NodeGuards.Get(ctx, a.cfg.Node)
	})
	if err != nil {
		return nil, err
	}
	a.guard.read(guard)
	return a.write(ctx, e, status)
}

// write sends the status under the precondition of what was last seen.
func (a *API) write(ctx context.Context, e *endpoint, status v1alpha1.NodeGuardStatus) (*v1alpha1.NodeGuard, error) {
	uid, version := a.guard.get()
	guard, err := call(ctx, e, a.cfg.Deadline, "publish status", func(ctx context.Context) (*v1alpha1.NodeGuard, error) {
		return e.api.NodeGuards.UpdateStatus(ctx, &v1alpha1.NodeGuard{
			ObjectMeta: metav1.ObjectMeta{Name: a.cfg.Node, UID: uid, ResourceVersion: version},
			Status:     status,
		})
	})
	if err == nil {
		a.guard.read(guard)
	}
	return guard, err
}

// tree returns v as JSON has it: what both sides would have sent.
func tree(v any) any {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	var t any
	if json.Unmarshal(raw, &t) != nil {
		return nil
	}
	return t
}

// differs returns the path of the first field of sent that is missing in got or
// has another value there, or "". Fields that only got has are defaults.
func differs(path string, sent, got any) string {
	switch s := sent.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return path
		}
		for _, key := range slices.Sorted(maps.Keys(s)) {
			if at := differs(path+"."+key, s[key], g[key]); at != "" {
				return at
			}
		}
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(s) {
			return path
		}
		for i := range s {
			if at := differs(fmt.Sprintf("%s[%d]", path, i), s[i], g[i]); at != "" {
				return at
			}
		}
	default:
		if !reflect.DeepEqual(sent, got) {
			return path
		}
	}
	return ""
}

package kube

import "context"

// Cordoned reports whether the agent's own Node takes no new pods, as the
// endpoint that answered last says in a consistent read. An error is a
// *Failure, and says nothing.
func (a *API) Cordoned(ctx context.Context) (bool, error) {
	e, i := a.next()
	cordoned, err := call(ctx, e, a.cfg.Deadline, "read node", func(ctx context.Context) (bool, error) {
		return e.api.Cordoned(ctx, a.cfg.Node)
	})
	if KindOf(err) != Unknown || err == nil {
		a.settle(i, err == nil)
	}
	return cordoned, err
}

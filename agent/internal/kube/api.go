package kube

import (
	"fmt"
	"sync/atomic"

	"github.com/picket-dev/picket/proto/timing"
)

// API is an agent's access to all API endpoints. It is safe for concurrent use.
type API struct {
	cfg       Config
	now       func() timing.Instant
	endpoints []*endpoint
	preferred atomic.Int64 // index of the endpoint to ask
	guard     lastSeen
	publish   chan struct{} // holds one while a status is written
}

// New returns the API of cfg. It does not connect. The clock stamps questions;
// it must be the one on which the holder's deadlines run.
func New(cfg Config, now func() timing.Instant) (*API, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("access to the API: %w", err)
	}
	clients, err := cfg.clients()
	if err != nil {
		return nil, fmt.Errorf("access to the API: %w", err)
	}
	a := &API{cfg: cfg, now: now, publish: make(chan struct{}, 1)}
	for _, rc := range clients {
		e, err := newEndpoint(rc, cfg)
		if err != nil {
			return nil, fmt.Errorf("access to the API: %w", err)
		}
		a.endpoints = append(a.endpoints, e)
	}
	return a, nil
}

// Endpoint returns the URL of the endpoint that is asked next: the one that
// answered last, or the one after those that did not.
func (a *API) Endpoint() string { return a.endpoints[a.preferred.Load()].name }

// Close closes all connections. Requests under way fail.
func (a *API) Close() {
	for _, e := range a.endpoints {
		e.drop()
	}
}

// next returns the endpoint to ask and its index.
func (a *API) next() (*endpoint, int64) {
	i := a.preferred.Load()
	return a.endpoints[i], i
}

// settle remembers that endpoint i answered, or that it did not: then the one
// after it is asked next, unless another one was found meanwhile.
func (a *API) settle(i int64, answered bool) {
	if answered {
		a.preferred.Store(i)
		return
	}
	a.preferred.CompareAndSwap(i, (i+1)%int64(len(a.endpoints)))
}

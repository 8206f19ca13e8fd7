package kube

import (
	"context"
	"encoding/json"
	"fmt"
)

// Get reads an object or a list that is not Picket's own, consistently, and
// decodes it. It asks each endpoint once, until one has decided. The error is a
// *Failure, of Kind NotFound if there is no such object.
func (a *API) Get(ctx context.Context, path string, query map[string]string, into any) error {
	var text []byte
	var err error
	for range a.endpoints {
		e, i := a.next()
		text, err = call(ctx, e, a.cfg.Deadline, "read "+path, func(ctx context.Context) ([]byte, error) {
			return e.api.Get(ctx, path, query)
		})
		if err == nil || !elsewhere(err) {
			break
		}
		a.settle(i, false)
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return &Failure{Endpoint: a.Endpoint(), Do: "read " + path, Kind: Contact, Err: fmt.Errorf("parse the answer: %w", err)}
	}
	return nil
}

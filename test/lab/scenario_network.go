package main

import (
	"context"
	"errors"

	"github.com/picket-dev/picket/test/lab/network"
)

func isolatedCluster(ctx context.Context, r *run) error {
	return r.isolated(ctx, network.Both, network.Cluster)
}

func isolatedEverything(ctx context.Context, r *run) error {
	return r.isolated(ctx, network.Both, network.Cluster, network.Storage)
}

func oneWay(ctx context.Context, r *run) error {
	return r.isolated(ctx, network.Outgoing, network.Cluster)
}

// isolated cuts networks of a node, which must reset itself before it is
// tainted; then it heals them.
func (r *run) isolated(ctx context.Context, d network.Direction, sides ...network.Side) error {
	v, err := r.first(ctx)
	if err != nil {
		return err
	}
	r.cutNow(v)
	for _, side := range sides {
		if err := network.Cut(ctx, side, v.number, d); err != nil {
			return err
		}
	}
	if err := errors.Join(r.tainted(ctx, v), r.resetBeforeTaint(ctx, v)); err != nil {
		return err
	}
	for _, side := range sides {
		if err := network.Heal(ctx, side, v.number); err != nil {
			return err
		}
	}
	return r.recovered(ctx, v)
}

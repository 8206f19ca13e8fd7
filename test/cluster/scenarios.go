package main

import (
	"context"

	"github.com/picket-dev/picket/test/cluster/rawclock"
)

// scenarios lists all of them, in the order in which `make test` plays them.
func scenarios() []scenario {
	return []scenario{
		{name: "power-cut", about: "a node loses its power: its volume moves, and comes back nowhere twice", run: powerCut},
	}
}

func powerCut(ctx context.Context, r *run) error {
	w, err := r.armedWriter(ctx)
	if err != nil {
		return err
	}
	promise, err := r.promise(ctx, w.node.Name)
	if err != nil {
		return err
	}
	w.node.Machine.SetStayOff(true)
	r.start = rawclock.Now()
	cut := rawclock.Now()
	w.node.Machine.PowerCut()
	if err := r.tainted(ctx, w.node.Name, cut, promise); err != nil {
		return err
	}
	_, err = r.moved(ctx, w)
	return err
}

// armedWriter waits until all is armed, and starts a workload.
func (r *run) armedWriter(ctx context.Context) (*workload, error) {
	if err := r.allArmed(ctx); err != nil {
		return nil, err
	}
	return r.deploy(ctx, "db")
}

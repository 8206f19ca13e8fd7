package block

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/picket-dev/picket/agent/teardown"
)

var (
	errHung    = errors.New("a look at it hangs in the kernel")
	errTooMany = errors.New("earlier looks at it hang in the kernel")
)

// mostHung is how many looks may hang at a time: each holds a thread of the agent.
const mostHung = 2

// patience is how long a look may take: all of its probes one after the other, each
// with its bound, and no more.
func (h Host) patience() time.Duration { return 8 * h.Bound }

// Read takes an inventory. It comes back within some seconds whatever hangs, and
// what it could not find out is among the Unknown: the end of ctx, too.
//
// What of procfs and sysfs it reads itself waits for no storage and for no lock that
// is held across storage. Where the kernel knows better, the look is abandoned.
func (r *Reader) Read(ctx context.Context) teardown.Inventory {
	if r.hung.Load() >= mostHung {
		return r.blind(errTooMany)
	}
	done := make(chan teardown.Inventory, 1)
	go func() { done <- r.read(ctx) }()
	limit := time.NewTimer(r.host.patience())
	defer limit.Stop()
	select {
	case inv := <-done:
		return inv
	case <-ctx.Done(): // its probes end now, and so should it
		limit.Reset(r.host.Bound)
	case <-limit.C:
		return r.abandon(done)
	}
	select {
	case inv := <-done:
		return inv
	case <-limit.C:
		return r.abandon(done)
	}
}

// abandon leaves a look alone, and counts it until it ends.
func (r *Reader) abandon(done <-chan teardown.Inventory) teardown.Inventory {
	r.hung.Add(1)
	go func() {
		<-done
		r.hung.Add(-1)
	}()
	return r.blind(errHung)
}

// blind is the inventory of a host of which nothing is known.
func (r *Reader) blind(why error) teardown.Inventory {
	return teardown.Inventory{
		Roots:   slices.Clone(r.host.Kubelet),
		Unknown: []teardown.Unknown{{What: "the host", Why: why.Error()}},
	}
}

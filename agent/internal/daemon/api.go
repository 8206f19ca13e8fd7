package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/agent/internal/clock"
	"github.com/picket-dev/picket/agent/internal/kube"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

const (
	// publishAgain is how long a status waits for its next try after a failure.
	publishAgain = 250 * time.Millisecond
	// publishAnyway is how often a status is written though nothing changed.
	publishAnyway = 5 * time.Minute
)

// readRoll asks the API for the Roll: one endpoint, or all of them at once. The
// core hears of the first roll as soon as it comes, and of the end.
func (d *Daemon) readRoll(ctx context.Context, urgent bool) {
	var last error
	read := false
	take := func(r kube.Reading) {
		d.seen.reading(r, clock.Now())
		if last = r.Err; r.Err == nil {
			read = true
			d.tell(ctx, decide.RollRead{Roll: r.Roll, Sent: r.Sent})
		}
	}
	if urgent {
		d.api.AskAll(ctx, take)
	} else {
		take(d.api.ReadRoll(ctx))
	}
	if !read {
		contact := kube.KindOf(last) == kube.Contact || kube.KindOf(last) == kube.NotFound
		d.tell(ctx, decide.RollMissed{Contact: contact, Err: last.Error()})
	}
}

// watchGuard brings the controller's words to the core, and stores them for the
// next run of the agent, which may start in an outage.
func (d *Daemon) watchGuard(ctx context.Context) {
	if g, ok, err := d.guidance.Load(); ok {
		d.guided(ctx, g.NodeGuardSpec)
	} else if err != nil {
		d.log.Warn("the last words of the controller are lost: waiting for new ones", "err", err)
	}
	d.api.WatchGuard(ctx, func(g *v1alpha1.NodeGuard) {
		if g == nil {
			d.log.Warn("the NodeGuard is gone: going on with what it said")
			d.publishAnew()
			return
		}
		if err := d.guidance.Store(guidance{g.Spec}); err != nil {
			d.log.Error("store the NodeGuard's spec", "err", err)
		}
		if g.Status.BootID != d.machine.BootID {
			d.publishAnew()
		}
		d.guided(ctx, g.Spec)
	})
}

// publishAnew has the newest status written, whatever the API server acknowledged.
// It waits for nobody, and anybody may call it.
func (d *Daemon) publishAnew() {
	select {
	case d.republish <- struct{}{}:
	default: // it is to be published already
	}
}

// publish writes the newest status whenever it is not the one that was
// acknowledged last. After a failure nobody knows what the API server holds, so
// the status is written again, whatever it says.
func (d *Daemon) publish(ctx context.Context) {
	var want, said decide.Status
	var wanted, acked bool
	again := time.NewTimer(publishAnyway)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case want = <-d.statuses:
			wanted = true
		case <-d.republish:
			acked = false
		case <-again.C:
			acked = false
		}
		if !wanted || acked && said.Equal(want) {
			continue
		}
		sent := clock.Now()
		_, err := d.api.Publish(ctx, d.statusOf(want))
		var pruned *kube.Pruned
		switch {
		case errors.As(err, &pruned):
			d.tell(ctx, decide.Pruned{Field: pruned.Field})
		case err != nil:
			acked = false
			if ctx.Err() == nil {
				d.log.Debug("publish status", "err", err)
			}
			again.Reset(publishAgain)
			continue
		}
		said, acked = want, true
		again.Reset(publishAnyway)
		if err == nil {
			d.tell(ctx, decide.Published{Status: want, Sent: sent})
		}
	}
}

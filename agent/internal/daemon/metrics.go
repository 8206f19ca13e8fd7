package daemon

import (
	"context"

	"github.com/picket-dev/picket/agent/internal/metrics"
	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
)

// serveMetrics serves scrapes and probes until ctx ends, where the configuration
// says so. The agent works without it.
func (d *Daemon) serveMetrics(ctx context.Context) {
	if d.config.Metrics == "" {
		return
	}
	a := &admin{d: d}
	metrics.Serve(ctx, d.config.Metrics, func() *peerv1.StatusReply { return a.status(0) }, d.log)
}

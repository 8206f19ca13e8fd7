package peer

import (
	"context"
	"hash/fnv"
	"io"
	"slices"
	"sync"
	"time"
)

// inFlight is how many pings to one neighbour may be unanswered at a time: one
// more than go out within Config.Timeout at the usual pace.
const inFlight = 5

// A Beat is what came of one ping. Its Reply has the send time even when the
// ping failed.
type Beat struct {
	Node  string
	Reply Reply
	Err   error
}

// A Heartbeater pings each neighbour at each interval, without waiting for the
// answers to earlier pings.
type Heartbeater struct {
	client *Client
	report func(Beat)

	mu      sync.Mutex
	plan    plan
	changed chan struct{}
}

type plan struct {
	every time.Duration
	nodes []string
}

// NewHeartbeater returns a heartbeater without neighbours. It reports each
// ping's outcome as soon as it is known, from several goroutines.
func NewHeartbeater(c *Client, report func(Beat)) *Heartbeater {
	return &Heartbeater{client: c, report: report, changed: make(chan struct{}, 1)}
}

// Set says whom to ping how often, from now on. Neighbours that stay keep
// their rhythm unless the interval changes. An interval of 0 stops all pings.
func (h *Heartbeater) Set(every time.Duration, nodes []string) {
	h.mu.Lock()
	h.plan = plan{every: every, nodes: slices.Clone(nodes)}
	h.mu.Unlock()
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

// Run pings until ctx ends, and returns when no ping is open any more.
func (h *Heartbeater) Run(ctx context.Context) {
	var open sync.WaitGroup
	defer open.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := make(map[string]context.CancelFunc)
	var every time.Duration
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.changed:
		}
		h.mu.Lock()
		next := h.plan
		h.mu.Unlock()
		for node, end := range stop {
			if next.every != every || !slices.Contains(next.nodes, node) {
				end()
				delete(stop, node)
			}
		}
		every = next.every
		for _, node := range next.nodes {
			if every <= 0 || stop[node] != nil {
				continue
			}
			loop, end := context.WithCancel(ctx)
			stop[node] = end
			open.Go(func() { h.beat(loop, node, every) })
		}
	}
}

// beat pings one neighbour until ctx ends.
func (h *Heartbeater) beat(ctx context.Context, node string, every time.Duration) {
	var open sync.WaitGroup
	defer open.Wait()
	slots := make(chan struct{}, inFlight)
	next := time.NewTimer(phase(h.client.config.Node, node, every))
	defer next.Stop()
	var ticks *time.Ticker
	tick := next.C
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
		}
		if ticks == nil {
			ticks = time.NewTicker(every)
			defer ticks.Stop()
			tick = ticks.C
		}
		select {
		case slots <- struct{}{}:
			open.Go(func() {
				reply, err := h.client.Heartbeat(ctx, node)
				if ctx.Err() == nil || err == nil {
					h.report(Beat{Node: node, Reply: reply, Err: err})
				}
				<-slots
			})
		default:
		}
	}
}

// phase spreads the pings of a node's neighbours, and those of the whole fleet
// after a power-up, over the interval.
func phase(from, to string, every time.Duration) time.Duration {
	h := fnv.New64a()
	_, _ = io.WriteString(h, from+"\x00"+to) // a hash takes everything
	return time.Duration(h.Sum64() % uint64(every))
}

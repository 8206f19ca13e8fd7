package peer

import (
	"context"
	"hash/fnv"
	"io"
	"slices"
	"sync"
	"time"
)

// turns is how often within an interval a node sends pings: half of them each
// time. A wake-up costs more than a ping, so few of them are sent alone. One
// turn would be cheaper still, but rolls would spread more slowly: with 5000
// nodes the oldest would be 1.1 s old and not 0.8 s, as with pings at random.
const turns = 2

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
	pulses  []*pulse // changed by Run alone
	changed chan struct{}

	every time.Duration // owned by Run
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
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	tick.Stop()
	for turn := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-h.changed:
			if h.follow(ctx, &open) {
				turn = 0
				tick.Stop()
				if h.every > 0 {
					tick.Reset(phase(h.client.config.Node, h.pause()))
				}
			}
		case <-tick.C:
			if turn == 0 {
				tick.Reset(h.pause())
			}
			for _, p := range h.pulses {
				if p.turn == turn%turns {
					p.beat()
				}
			}
			turn++
		}
	}
}

// follow makes the pulses those of the plan, and reports whether the interval
// changed: then all of them are new.
func (h *Heartbeater) follow(ctx context.Context, open *sync.WaitGroup) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := h.plan
	anew := next.every != h.every
	h.every = next.every
	h.pulses = slices.DeleteFunc(h.pulses, func(p *pulse) bool {
		gone := anew || !slices.Contains(next.nodes, p.node)
		if gone {
			p.stop()
		}
		return gone
	})
	for _, node := range next.nodes {
		if h.every > 0 && !slices.ContainsFunc(h.pulses, func(p *pulse) bool { return p.node == node }) {
			h.pulses = append(h.pulses, h.pulse(ctx, open, node))
		}
	}
	return anew
}

// pause is the time between two turns.
func (h *Heartbeater) pause() time.Duration { return max(h.every/turns, 1) }

// pulse returns a new pulse in the turn that has the fewest.
func (h *Heartbeater) pulse(ctx context.Context, open *sync.WaitGroup, node string) *pulse {
	var busy [turns]int
	for _, p := range h.pulses {
		busy[p.turn]++
	}
	p := &pulse{
		client: h.client, report: h.report, node: node, open: open,
		turn:     slices.Index(busy[:], slices.Min(busy[:])),
		patience: max(h.client.config.HedgeAfter-h.every/2, 0),
		calls:    make(chan struct{}, inFlight),
	}
	p.ctx, p.stop = context.WithCancel(ctx)
	return p
}

// phase spreads the pings of the whole fleet after a power-up over the pause
// between two turns. It is longer than 0.
func phase(node string, pause time.Duration) time.Duration {
	h := fnv.New64a()
	_, _ = io.WriteString(h, node) // a hash takes everything
	return 1 + time.Duration(h.Sum64()%uint64(pause))
}

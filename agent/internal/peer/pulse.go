package peer

import (
	"context"
	"sync"
	"time"
)

// inFlight is how many pings to one neighbour may be unanswered at a time: one
// more than go out within Config.Timeout at the usual pace.
const inFlight = 5

// headStart is the part of Config.HedgeAfter that a path gets which has left a
// stream's question unanswered for about all of it. It is not nothing: with two
// paths that are both slow, the one in use should win.
const headStart = 5

// A pulse is the pings to one neighbour: through a stream while that answers,
// else as calls, which find another path.
type pulse struct {
	client *Client
	report func(Beat)
	node   string
	turn   int // of the interval's turns, the one in which it pings

	ctx  context.Context //nolint:containedctx // the pulse's own life
	stop context.CancelFunc
	open *sync.WaitGroup

	// patience is how long a stream may be silent when a ping is due: a call
	// would have hedged by then, or would nearly have.
	patience time.Duration
	calls    chan struct{} // one for each call under way

	mu      sync.Mutex
	stream  *stream
	opening bool
}

// beat sends one ping. It does not wait for anything.
func (p *pulse) beat() {
	p.mu.Lock()
	s := p.stream
	p.mu.Unlock()
	switch {
	case s == nil:
		p.call(p.client.config.HedgeAfter)
	case !s.ping(p.patience):
		p.call(p.client.config.HedgeAfter / headStart)
	}
}

// probe lets the next ping ask for a statement as well. It is false where there
// is no stream.
func (p *pulse) probe() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stream != nil {
		p.stream.probe.Store(true)
	}
	return p.stream != nil
}

// call pings by a call, and by a stream from then on. If as many as may be are
// under way it does nothing.
func (p *pulse) call(hedge time.Duration) {
	select {
	case p.calls <- struct{}{}:
	default:
		return
	}
	p.open.Go(func() {
		reply, err := p.client.heartbeat(p.ctx, p.node, hedge)
		if p.ctx.Err() == nil || err == nil {
			p.report(Beat{Node: p.node, Reply: reply, Err: err})
		}
		<-p.calls
		if err == nil {
			p.openStream()
		}
	})
}

// openStream opens a stream if there is none. An error costs nothing: calls go
// on, and the next answer brings the next try.
func (p *pulse) openStream() {
	p.mu.Lock()
	needed := p.stream == nil && !p.opening
	p.opening = p.opening || needed
	p.mu.Unlock()
	if !needed {
		return
	}
	s, err := p.client.openStream(p.ctx, p.node)
	p.mu.Lock()
	p.opening = false
	if err == nil {
		p.stream = s
	}
	p.mu.Unlock()
	if err == nil {
		p.open.Go(func() { p.follow(s) })
	}
}

// follow reports what comes of the pings through the stream. If it ends and
// leaves one unanswered, a call takes its place at once.
func (p *pulse) follow(s *stream) {
	unanswered, err := s.run(p.report)
	p.mu.Lock()
	p.stream = nil
	p.mu.Unlock()
	if p.ctx.Err() != nil {
		return
	}
	for _, q := range unanswered {
		p.report(Beat{Node: p.node, Reply: Reply{Sent: q.sent, Node: p.node}, Err: err})
	}
	if len(unanswered) > 0 {
		p.call(p.client.config.HedgeAfter)
	}
}

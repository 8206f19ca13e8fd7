package iscsi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/picket-dev/picket/test/cluster/rawclock"
)

// ProxyConfig says what a Proxy stands between.
type ProxyConfig struct {
	// Listener accepts the initiators; the proxy closes it. In the lab it lies
	// in the lab's network namespace, on the port that RedirectRules names.
	Listener net.Listener
	// Dial connects to the target.
	Dial func(ctx context.Context) (net.Conn, error)
	// Log takes the record. It is not closed.
	Log *Log
	// Logger says which connections came, went and were refused.
	Logger *slog.Logger
}

// Proxy forwards iSCSI connections and records their writes.
type Proxy struct {
	cfg    ProxyConfig
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	conns   uint64
	refused []error
}

// StartProxy begins to accept initiators, until Close.
func StartProxy(c ProxyConfig) *Proxy {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Proxy{cfg: c, cancel: cancel}
	p.work.Go(func() { p.accept(ctx) })
	return p
}

// Close ends all connections and waits until nothing more is recorded.
func (p *Proxy) Close() error {
	p.cancel()
	err := p.cfg.Listener.Close()
	p.work.Wait()
	return err
}

// maxRefusals bounds what Refused keeps: the first ones tell the story.
const maxRefusals = 100

// Refused returns why connections were closed rather than forwarded. A
// scenario that ends with any did not see what it should judge: its storage
// failed under it.
func (p *Proxy) Refused() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(p.refused...)
}

func (p *Proxy) accept(ctx context.Context) {
	for {
		from, err := p.cfg.Listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				from.Close()
			}
			return
		}
		if err != nil { // too many open files, say
			p.cfg.Logger.Error("accept an initiator, again in a second", "error", err)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
			continue
		}
		p.mu.Lock()
		p.conns++
		c := &conn{number: p.conns, opened: rawclock.Now(), log: p.cfg.Log}
		p.mu.Unlock()
		p.work.Go(func() { p.serve(ctx, c, from) })
	}
}

// serve forwards one connection until either side ends it.
func (p *Proxy) serve(ctx context.Context, c *conn, from net.Conn) {
	defer from.Close()
	log := p.cfg.Logger.With("conn", c.number, "from", from.RemoteAddr().String())
	to, err := p.cfg.Dial(ctx)
	if err != nil {
		log.Error("no target, connection closed", "error", err)
		return
	}
	defer to.Close()
	log.Info("connection opened")

	// The first direction to end, for whatever reason, ends the other: iSCSI
	// knows no half-closed connections.
	group, ctx := errgroup.WithContext(ctx)
	ended := errors.New("ended")
	direction := func(forward func() error) func() error {
		return func() error {
			err := forward()
			if errors.Is(err, errNotUnderstood) || errors.Is(err, errNotRecorded) {
				log.Error("connection refused", "initiator", c.session.name(), "error", err)
				p.refuse(fmt.Errorf("connection %d of %q: %w", c.number, c.session.name(), err))
			}
			return cmp.Or(err, ended)
		}
	}
	group.Go(direction(func() error { return c.forwardUp(to, from) }))
	group.Go(direction(func() error { return c.forwardDown(from, to) }))
	stop := context.AfterFunc(ctx, func() { from.Close(); to.Close() })
	defer stop()
	err = group.Wait()
	log.Info("connection closed", "initiator", c.session.name(), "cause", err)
}

func (p *Proxy) refuse(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.refused) < maxRefusals {
		p.refused = append(p.refused, err)
	}
}

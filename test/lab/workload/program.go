package workload

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Config says how the writer's program runs.
type Config struct {
	// Path is the file of records, on the volume; or a raw device.
	Path string
	// Stain is how many bytes beside the records are kept dirty; 0: none.
	Stain int64
	// Every is the time between two records; longer where the disk is slower.
	Every time.Duration
	// Collector is the URL that acknowledgements go to.
	Collector string
	// Listener serves /healthz.
	Listener net.Listener
	// Out takes one line per second.
	Out io.Writer
	// Writer says who writes.
	Writer Writer
}

// Validate reports what keeps the program from running.
func (c Config) Validate() error {
	switch {
	case c.Path == "" || c.Collector == "" || c.Listener == nil || c.Out == nil:
		return errors.New("path, collector, listener and out must be set")
	case c.Every <= 0:
		return fmt.Errorf("a record every %v", c.Every)
	case c.Writer.Node == "" || c.Writer.Boot == "":
		return errors.New("the writer has no node or no boot ID")
	}
	return nil
}

const (
	// freshness is how old the last durable record may be while the pod is
	// ready: a disk that is slow on an emulated machine is not an outage.
	freshness = 10 * time.Second
	// patience is how long one call of the collector may take, and the pause
	// after one that failed.
	patience = time.Second
)

// program is the writer at work.
type program struct {
	cfg     Config
	journal *journal
	found   Contents
	damage  error

	durable  atomic.Uint64 // number of the newest durable record
	wrote    atomic.Int64  // unix nanoseconds of when it became durable
	acked    atomic.Uint64
	progress chan struct{} // holds one token while durable is news
}

// Run checks the file, then appends to it until ctx ends or the disk fails.
// With a damaged file it writes nothing and is never ready, but stays, so that
// somebody can look.
func Run(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	p := &program{cfg: c, progress: make(chan struct{}, 1)}
	var err error
	p.journal, p.found, err = openMedium(c.Path)
	switch {
	case errors.Is(err, errDamaged):
		p.damage = err
	case err != nil:
		return err
	default:
		defer p.journal.close()
		p.durable.Store(p.journal.last)
		p.acked.Store(p.journal.last)
	}
	p.say("found %d records, cut off %d bytes, damage: %v", len(p.found.Records), p.found.Torn, p.damage)

	parts := []func(context.Context) error{p.report, p.narrate, p.write}
	if c.Stain > 0 && p.damage == nil {
		s, err := openStain(p.journal, c.Path, c.Stain, c.Writer)
		if err == nil {
			err = s.claim()
		}
		if err != nil {
			return err
		}
		parts = append(parts, s.keep)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	server := &http.Server{Handler: http.HandlerFunc(p.health), ReadHeaderTimeout: patience}
	serve := func(context.Context) error { return server.Serve(c.Listener) }
	var work sync.WaitGroup
	for _, part := range append(parts, serve) {
		work.Go(func() { cancel(part(ctx)) })
	}
	<-ctx.Done() // the first part to end ends the others
	server.Close()
	work.Wait()
	err = context.Cause(ctx)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// write appends records at the pace of the configuration.
func (p *program) write(ctx context.Context) error {
	if p.damage != nil {
		<-ctx.Done()
		return ctx.Err()
	}
	tick := time.NewTicker(p.cfg.Every)
	defer tick.Stop()
	for {
		r := Record{Node: p.cfg.Writer.Node, Boot: p.cfg.Writer.Boot, Time: time.Now()}
		if err := p.journal.append(r); err != nil {
			return err
		}
		p.wrote.Store(time.Now().UnixNano())
		p.durable.Store(p.journal.last)
		select {
		case p.progress <- struct{}{}:
		default:
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// report tells the collector of the start and then of each durable record, or
// of many at once where it was away. It never holds up the disk.
func (p *program) report(ctx context.Context) error {
	s := start{Writer: p.cfg.Writer, Found: uint64(len(p.found.Records)), Torn: p.found.Torn}
	if p.damage != nil {
		s.Damage = p.damage.Error()
	}
	if err := p.insist(ctx, startPath, func() any { return s }); err != nil {
		return err
	}
	for {
		select {
		case <-p.progress:
		case <-ctx.Done():
			return ctx.Err()
		}
		a := ack{Writer: p.cfg.Writer, From: s.Found + 1}
		err := p.insist(ctx, ackPath, func() any { a.To = p.durable.Load(); return a })
		if err != nil {
			return err
		}
		p.acked.Store(a.To)
	}
}

// insist posts until the collector has taken it. What it posts is made anew
// for each attempt.
func (p *program) insist(ctx context.Context, path string, body func() any) error {
	for {
		if p.post(ctx, path, body()) == nil {
			return nil
		}
		select {
		case <-time.After(patience):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *program) post(ctx context.Context, path string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.cfg.Collector+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusNoContent {
		return fmt.Errorf("%s: %s", path, reply.Status)
	}
	return nil
}

// health answers the readiness probe.
func (p *program) health(w http.ResponseWriter, r *http.Request) {
	stale := time.Since(time.Unix(0, p.wrote.Load())) > freshness
	switch {
	case r.URL.Path != "/healthz":
		http.NotFound(w, r)
	case p.damage != nil:
		http.Error(w, p.damage.Error(), http.StatusServiceUnavailable)
	case stale:
		http.Error(w, fmt.Sprintf("nothing became durable within %v", freshness), http.StatusServiceUnavailable)
	default:
		fmt.Fprintln(w, "ok")
	}
}

// narrate prints a line per second.
func (p *program) narrate(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			durable, acked := p.durable.Load(), p.acked.Load()
			p.say("durable %d, acknowledged %d", durable, acked)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *program) say(format string, args ...any) {
	fmt.Fprintf(p.cfg.Out, "%s %s %s\n", time.Now().UTC().Format("15:04:05.000"), p.cfg.Writer.Node, fmt.Sprintf(format, args...))
}

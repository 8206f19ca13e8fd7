package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/client-go/util/flowcontrol"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
)

const (
	// perSecond and atOnce bound the questions that are answered: a few
	// Prometheus servers, the kubelet and a person ask less than one per second,
	// and each scrape costs a good part of a millisecond of a processor that
	// nobody else gets meanwhile.
	perSecond = 10
	atOnce    = 20
	// maxConns bounds the open connections.
	maxConns = 64
	// idleFor keeps a connection over the usual scrape intervals.
	idleFor = 2 * time.Minute
	// listenAgain is the pause before the next try where the address is taken.
	listenAgain = 10 * time.Second
)

// Serve serves /metrics, /healthz and /readyz at the address until ctx ends.
// Where it cannot listen it says so and tries again: the agent works without it.
func Serve(ctx context.Context, address string, source Source, log *slog.Logger) {
	persist(ctx, listenAgain, address, source, log)
}

// persist is Serve with a pause of its own between two tries.
func persist(ctx context.Context, pause time.Duration, address string, source Source, log *slog.Logger) {
	for said := false; ctx.Err() == nil; {
		err := serve(ctx, address, source)
		if err == nil {
			return
		}
		if !said {
			log.Warn("nobody can scrape or probe this agent: it tries again", "err", err)
			said = true
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

func serve(ctx context.Context, address string, source Source) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("listen for metrics and health: %w", err)
	}
	var open atomic.Int64
	server := &http.Server{
		Handler:     limited(handler(source)),
		ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: idleFor, MaxHeaderBytes: 8 << 10,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), // strangers must not fill the log
		ConnState: func(c net.Conn, s http.ConnState) {
			switch s {
			case http.StateNew:
				if open.Add(1) > maxConns {
					_ = c.Close() // its reader finds out
				}
			case http.StateClosed, http.StateHijacked:
				open.Add(-1)
			case http.StateActive, http.StateIdle:
			}
		},
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics and health: %w", err)
	}
	return nil
}

// handler answers scrapes and probes.
func handler(source Source) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(NewRegistry(source), promhttp.HandlerOpts{
		// A processor costs more than a few kilobytes.
		DisableCompression: true,
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "the agent serves") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		ready, why := Ready(source())
		if !ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprintln(w, why)
	})
	return mux
}

// limited refuses questions beyond what an agent answers.
func limited(h http.Handler) http.Handler {
	bucket := flowcontrol.NewTokenBucketRateLimiter(perSecond, atOnce)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !bucket.TryAccept() {
			http.Error(w, fmt.Sprintf("this agent answers %d questions per second", perSecond), http.StatusTooManyRequests)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// Ready reports whether the agent has done what it can: its node is armed, or
// the API server has acknowledged why it is not. It says so in words.
func Ready(r *peerv1.StatusReply) (ready bool, why string) {
	standing := r.GetPhase()
	if r.GetReason() != "" {
		standing += " " + r.GetReason()
	}
	switch {
	case r.GetPhase() == "":
		return false, "nothing is decided yet: picket-holder has not spoken"
	case r.GetPhase() == "Latched":
		return false, "the node is resetting: " + r.GetReason()
	case r.GetPhase() == "Armed":
		return true, standing
	case r.GetReason() == "":
		return false, "the node is " + standing
	case !r.GetPublished():
		return false, "the node is " + standing + ", and the API server does not know it yet"
	}
	return true, standing
}

package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Hook looks at a request before it is forwarded; its body may be read. A
// channel that is not nil holds the request until the channel is closed.
type Hook func(*http.Request) (hold <-chan struct{})

// API is a reverse proxy in front of the API server, with faults. Clients speak
// HTTP/1.1 or HTTP/2 over TLS to it; bearer tokens and watches pass through.
type API struct {
	backend *url.URL
	server  *http.Server
	proxy   *httputil.ReverseProxy
	served  chan struct{} // closed when the server has ended
	address net.Addr
	counter counter
	met     counter // those that a fault answered or stalled
	hook    atomic.Pointer[Hook]

	link *state[link]

	mu      sync.Mutex
	closing bool
	conns   map[*heldConn]struct{}
}

// link is the state of the way between one client and its proxy.
type link struct {
	fault   Fault
	powered bool // the client's machine
}

func (l link) passes() bool  { return l.powered && l.fault.kind != kindCut }
func (l link) answers() bool { return l.fault.kind != kindStall }
func (l link) accepts() bool { return l.fault.kind != kindRefuse }

// NewAPI starts a proxy on listen (host:port, port 0 for any) that shows cert
// and forwards to backend, whose certificate must be signed by ca. The caller
// must call Close.
func NewAPI(listen string, cert tls.Certificate, ca *x509.CertPool, backend string) (*API, error) {
	target, err := url.Parse(backend)
	if err != nil {
		return nil, fmt.Errorf("proxy the API: %w", err)
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("proxy the API: %w", err)
	}
	a := &API{
		backend: target,
		address: listener.Addr(),
		served:  make(chan struct{}),
		link:    newState(link{powered: true}),
		conns:   make(map[*heldConn]struct{}),
	}
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: ca, MinVersion: tls.VersionTLS13},
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 100,
	}
	// A cut or a reset is no error here; it is the test.
	quiet := slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	a.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = target.Host
		},
		Transport:      transport,
		FlushInterval:  -1, // watches
		ModifyResponse: a.holdBody,
		ErrorHandler:   a.lost,
		ErrorLog:       quiet,
	}
	a.server = &http.Server{
		Handler:     http.HandlerFunc(a.serve),
		TLSConfig:   &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		ErrorLog:    quiet,
	}
	go func() {
		defer close(a.served)
		defer transport.CloseIdleConnections()
		_ = a.server.ServeTLS(holdingListener{listener, a}, "", "")
	}()
	return a, nil
}

// connKey finds a request's client connection in its context.
type connKey struct{}

// URL is the proxy's address for clients.
func (a *API) URL() string { return "https://" + a.address.String() }

// Set changes the fault. It acts at once, also on requests that run.
func (a *API) Set(f Fault) {
	a.link.update(func(l *link) { l.fault = f })
	if f.kind == kindRefuse {
		a.ResetConnections()
	}
}

// Fault is the fault in force.
func (a *API) Fault() Fault { return a.link.get().fault }

// SetPower tells whether the client's machine has power. While it has none
// the proxy holds all bytes, whatever the fault; when it gets power again its
// old connections are reset, since the new kernel knows none of them.
func (a *API) SetPower(on bool) {
	if on {
		a.ResetConnections()
	}
	a.link.update(func(l *link) { l.powered = on })
}

// ResetConnections ends all connections of the client.
func (a *API) ResetConnections() {
	a.mu.Lock()
	conns := a.conns
	a.conns = make(map[*heldConn]struct{})
	a.mu.Unlock()
	for c := range conns {
		c.reset()
	}
}

// Intercept calls the hook for each request from now on; nil ends it.
func (a *API) Intercept(hook Hook) {
	if hook == nil {
		a.hook.Store(nil)
		return
	}
	a.hook.Store(&hook)
}

// Count is how many requests of a verb (get, list, watch, create, update,
// patch, delete) on a resource (rolls, nodes, pods/status …) have arrived, all
// faults included.
func (a *API) Count(verb, resource string) int64 { return a.counter.count(verb, resource) }

// Met is how many requests of a verb on a resource a fault has stalled, or answered
// in the API server's place.
func (a *API) Met(verb, resource string) int64 { return a.met.count(verb, resource) }

// Counts are all counters.
func (a *API) Counts() map[Request]int64 { return a.counter.all() }

// Close ends all connections and the proxy.
func (a *API) Close() error {
	a.mu.Lock()
	a.closing = true
	a.mu.Unlock()
	// First, for the server's own close would try to say goodbye on links that
	// hold every byte.
	a.ResetConnections()
	err := a.server.Close()
	<-a.served
	if err != nil {
		return fmt.Errorf("close the API proxy: %w", err)
	}
	return nil
}

func (a *API) admit(c *heldConn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closing || !a.link.get().accepts() {
		return false
	}
	a.conns[c] = struct{}{}
	return true
}

func (a *API) forget(c *heldConn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.conns, c)
}

// serve applies the fault in force to one request.
func (a *API) serve(w http.ResponseWriter, r *http.Request) {
	a.counter.add(r)
	done := r.Context().Done()
	fault := a.Fault()
	if fault.kind == kindDelay && !sleep(done, fault.delay) {
		return
	}
	if hook := a.hook.Load(); hook != nil && !a.held(*hook, r) {
		return
	}
	if !a.link.get().answers() {
		a.met.add(r)
	}
	if !a.link.wait(done, link.answers) {
		return
	}
	if fault = a.Fault(); fault.kind == kindAnswer {
		a.met.add(r)
		answer(w, fault.status)
		return
	}
	a.proxy.ServeHTTP(w, r)
}

// held shows the request to the hook and waits as long as it says. It reports
// whether the client still waits.
func (a *API) held(hook Hook, r *http.Request) bool {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false
	}
	shown := r.Clone(r.Context())
	shown.Body = io.NopCloser(bytes.NewReader(body))
	r.Body = io.NopCloser(bytes.NewReader(body))
	hold := hook(shown)
	if hold == nil {
		return true
	}
	select {
	case <-hold:
		return true
	case <-r.Context().Done():
		return false
	}
}

// lost ends the client's connection when the API server's was lost, so that a
// dead server looks dead, and not like a gateway with an opinion.
func (a *API) lost(_ http.ResponseWriter, r *http.Request, err error) {
	if conn, ok := r.Context().Value(connKey{}).(*tls.Conn); ok && !errors.Is(err, context.Canceled) {
		if held, ok := conn.NetConn().(*heldConn); ok {
			held.reset()
		}
	}
	panic(http.ErrAbortHandler)
}

// holdBody makes replies that run, watches first of all, stop while the proxy
// stalls.
func (a *API) holdBody(r *http.Response) error {
	if r.StatusCode != http.StatusSwitchingProtocols {
		r.Body = &heldBody{ReadCloser: r.Body, api: a, done: r.Request.Context().Done()}
	}
	return nil
}

type heldBody struct {
	io.ReadCloser
	api  *API
	done <-chan struct{}
}

func (b *heldBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if !b.api.link.wait(b.done, link.answers) {
		return 0, context.Canceled
	}
	return n, err
}

// answer writes a Kubernetes Status, as the API server does.
func answer(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "application/json")
	if status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"injected by the test","code":%d}`, status)
}

// sleep reports whether it slept through.
func sleep(done <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-done:
		return false
	}
}

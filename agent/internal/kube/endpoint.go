package kube

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"
	"k8s.io/client-go/util/connrotation"

	"github.com/picket-dev/picket/proto/api/client"
)

// An endpoint is one API server, with connections of its own: what happens to
// one endpoint must not reach another.
type endpoint struct {
	name  string // its URL
	api   *client.Client
	conns *connrotation.ConnectionTracker
	web   *http.Transport
	calls chan struct{} // one for each call under way
}

// maxCalls is how many calls to one endpoint may be under way. There are three
// or four at a time; more are calls that have overrun their deadlines.
const maxCalls = 16

// errWedged is the answer when maxCalls calls are under way.
var errWedged = errors.New("too many calls to it have overrun their deadlines and still run")

// maxAnswer bounds an answer, in bytes: a Roll with the most entries that one
// may have is half as long.
const maxAnswer = 8 << 20

// newEndpoint returns the endpoint that rc names. It does not connect.
func newEndpoint(rc *rest.Config, cfg Config) (*endpoint, error) {
	e := &endpoint{
		name:  rc.Host,
		conns: connrotation.NewConnectionTracker(),
		calls: make(chan struct{}, maxCalls),
	}
	dialer := &net.Dialer{Timeout: cfg.Deadline}
	e.web = &http.Transport{
		// No proxy: it could answer from a cache, and would be one more thing to
		// fail. No compression: it costs more than it saves on a small object.
		Proxy:              nil,
		DisableCompression: true,
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, cfg.Deadline)
			defer cancel()
			return e.dial(ctx, rc, dialer, network, addr)
		},
		ForceAttemptHTTP2: true,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout:  cfg.PingAfter,
			PingTimeout:      cfg.PingTimeout,
			WriteByteTimeout: cfg.Deadline,
		},
		ResponseHeaderTimeout: cfg.Deadline,
		MaxIdleConnsPerHost:   2,
	}
	var way http.RoundTripper = &observer{base: e.web}
	if rc.BearerTokenFile != "" {
		// client-go's own wrapper for a token file does not read it again after
		// a 401, and refuses to start without the file.
		way = transport.ResettableTokenSourceWrapTransport(transport.NewCachedFileTokenSource(rc.BearerTokenFile))(way)
		rc = rest.CopyConfig(rc)
		rc.BearerTokenFile, rc.BearerToken = "", ""
	}
	wrapped, err := rest.HTTPWrappersForConfig(rc, way)
	if err != nil {
		return nil, fmt.Errorf("credentials for %s: %w", rc.Host, err)
	}
	e.api, err = client.New(rc, &http.Client{
		Transport: wrapped,
		// An API server that sends one elsewhere has not answered.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	return e, err
}

// dial connects and shakes hands. It reads certificates anew each time, since
// they may have been renewed.
func (e *endpoint) dial(ctx context.Context, rc *rest.Config, d *net.Dialer, network, addr string) (net.Conn, error) {
	secure, err := rest.TLSConfigFor(rc)
	if err != nil {
		return nil, fmt.Errorf("certificates for %s: %w", e.name, err)
	}
	raw, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(e.conns.Track(raw), secure)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// drop closes all connections, also those in use: after a timeout nothing is
// to be expected of them, and a new one may take another way.
func (e *endpoint) drop() {
	e.conns.CloseAll()
	e.web.CloseIdleConnections()
}

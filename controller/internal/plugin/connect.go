package plugin

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"k8s.io/client-go/kubernetes"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // a kubeconfig may ask for any of them
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/picket-dev/picket/proto/api/client"
)

// A connection reaches the API server with a person's credentials.
type connection struct {
	kube   kubernetes.Interface
	picket *client.Client
	host   string
	clock  *serverClock
}

// connect returns the connection that the flags describe. It does not connect
// yet.
func (o *options) connect() (*connection, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: o.context}
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("find the cluster: %w; name a kubeconfig with --kubeconfig, and one of its contexts with --context", err)
	}
	if o.as != "" {
		cfg.Impersonate = rest.ImpersonationConfig{UserName: o.as}
	}
	cfg.UserAgent = "kubectl-picket/" + o.env.Version
	cfg.QPS = -1 // a handful of lists
	conn := &connection{host: cfg.Host, clock: &serverClock{}}
	cfg.Wrap(conn.clock.wrap)
	httpClient, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("reach %s: %w", cfg.Host, err)
	}
	if conn.picket, err = client.New(cfg, httpClient); err != nil {
		return nil, err
	}
	if conn.kube, err = kubernetes.NewForConfigAndClient(cfg, httpClient); err != nil {
		return nil, fmt.Errorf("client of %s: %w", cfg.Host, err)
	}
	return conn, nil
}

// A serverClock is the API server's wall clock, as its newest answer dates
// itself: a person's own may be minutes off, and deadlines are seconds.
type serverClock struct{ seen atomic.Pointer[time.Time] }

// now returns the newest date that the server has given, or the own time where
// it gave none.
func (c *serverClock) now() time.Time {
	if t := c.seen.Load(); t != nil {
		return *t
	}
	return time.Now()
}

func (c *serverClock) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if err == nil {
			if t, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
				c.seen.Store(&t)
			}
		}
		return resp, err
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip sends a request.
func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

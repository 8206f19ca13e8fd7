package kube

import (
	"fmt"
	"net"
	"net/http"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/picket-dev/picket/proto/api/client"
)

// Connect returns clients of the API server that cfg names, over one connection
// of their own. It does not connect yet.
//
// A connection whose other end is gone is dropped after two seconds: client-go's
// own 45 seconds are longer than a failover, and the server that died may be the
// one that we talk to. limit bounds each request where it is not 0; a client
// that watches must have none. Requests are not throttled: the planner knows how
// many it makes, and its callers bound each in time.
func Connect(cfg *rest.Config, limit time.Duration) (kubernetes.Interface, *client.Client, error) {
	httpClient, err := httpClient(cfg, limit)
	if err != nil {
		return nil, nil, err
	}
	cfg = rest.CopyConfig(cfg)
	cfg.QPS = -1
	picket, err := client.New(cfg, httpClient)
	if err != nil {
		return nil, nil, err
	}
	if cfg.ContentType == "" {
		cfg.ContentType = "application/vnd.kubernetes.protobuf"
		cfg.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	}
	kube, err := kubernetes.NewForConfigAndClient(cfg, httpClient)
	if err != nil {
		return nil, nil, fmt.Errorf("client of %s: %w", cfg.Host, err)
	}
	return kube, picket, nil
}

func httpClient(cfg *rest.Config, limit time.Duration) (*http.Client, error) {
	tlsConfig, err := rest.TLSConfigFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("TLS to %s: %w", cfg.Host, err)
	}
	proxy := http.ProxyFromEnvironment
	if cfg.Proxy != nil {
		proxy = cfg.Proxy
	}
	transport, err := rest.HTTPWrappersForConfig(cfg, &http.Transport{
		Proxy:               proxy,
		DialContext:         (&net.Dialer{Timeout: time.Second, KeepAlive: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout: 2 * time.Second,
		TLSClientConfig:     tlsConfig,
		ForceAttemptHTTP2:   true,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: time.Second, PingTimeout: time.Second},
		IdleConnTimeout:     90 * time.Second,
		MaxIdleConnsPerHost: 100,
	})
	if err != nil {
		return nil, fmt.Errorf("credentials for %s: %w", cfg.Host, err)
	}
	return &http.Client{Transport: transport, Timeout: limit}, nil
}

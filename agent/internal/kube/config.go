package kube

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Config says how an agent reaches the API servers.
type Config struct {
	// Node is the node's name, and that of its NodeGuard.
	Node string

	// Endpoints are the URLs of API servers, such as https://10.0.0.1:6443, the
	// one to begin with first. More than one survives the loss of one; a real
	// address survives the loss of kube-proxy.
	Endpoints []string
	// Service is the URL of the cluster's own service, asked after all
	// Endpoints. Empty outside of a pod.
	Service string
	// ServerName is the name that the certificate of each endpoint must be
	// for. Empty means the host in its URL.
	ServerName string

	// CAFile verifies the servers; CAData, if not empty, is used instead.
	// TokenFile holds the agent's bearer token. Both files are read again when
	// they were renewed: at each new connection, and every minute or after a
	// 401.
	CAFile    string
	CAData    []byte
	TokenFile string
	// Kubeconfig is a file that replaces CAFile, CAData and TokenFile, and
	// whose server is asked after Endpoints and Service. Empty in a pod.
	Kubeconfig string

	// Deadline bounds each request, from before the connection is made until
	// the whole answer is read. A longer one bears a slower API server; a
	// shorter one finds a better endpoint sooner. At most L/2, so that one lost
	// request does not use up a roll's life.
	Deadline time.Duration
	// PingAfter is how long a connection may be silent before it is pinged,
	// about L/4; PingTimeout is how long the ping may take before the
	// connection is given up. client-go's own are 30 s and 15 s: longer than
	// any roll's life.
	PingAfter   time.Duration
	PingTimeout time.Duration
	// RetryMin and RetryMax bound the pause between attempts to watch the
	// NodeGuard again; up to as much again is added to it, at random.
	RetryMin time.Duration
	RetryMax time.Duration

	// Revoked, unless nil, is called when the NodeGuard was seen and is gone, or is
	// another object: somebody has deleted it.
	Revoked func()
}

// serviceAccount is where the kubelet mounts a pod's credentials.
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount"

// Default returns the Config of a pod under the standard profile; Node is still
// to be filled in.
func Default() Config {
	cfg := Config{
		CAFile:      serviceAccount + "/ca.crt",
		TokenFile:   serviceAccount + "/token",
		Deadline:    2 * time.Second,
		PingAfter:   1250 * time.Millisecond,
		PingTimeout: time.Second,
		RetryMin:    500 * time.Millisecond,
		RetryMax:    15 * time.Second,
	}
	if host := os.Getenv("KUBERNETES_SERVICE_HOST"); host != "" {
		port := os.Getenv("KUBERNETES_SERVICE_PORT")
		if port == "" {
			port = "443"
		}
		cfg.Service = "https://" + net.JoinHostPort(host, port)
	}
	return cfg
}

// Validate returns an error that names every field which is wrong.
func (c Config) Validate() error {
	var errs []error
	require := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	require(c.Node != "", "the node's name is empty")
	require(len(c.Endpoints) > 0 || c.Service != "" || c.Kubeconfig != "",
		"no API endpoint: name one, such as https://10.0.0.1:6443, or run in a pod")
	for _, e := range c.Endpoints {
		require(isEndpoint(e), "API endpoint %q is no URL such as https://10.0.0.1:6443", e)
	}
	require(c.Service == "" || isEndpoint(c.Service), "API service %q is no URL such as https://10.0.0.1:6443", c.Service)
	require(c.Kubeconfig != "" || c.CAFile != "" || len(c.CAData) > 0, "nothing verifies the API servers: name a CA file")
	for _, d := range []struct {
		name string
		d    time.Duration
	}{
		{"deadline", c.Deadline}, {"pingAfter", c.PingAfter}, {"pingTimeout", c.PingTimeout},
		{"retryMin", c.RetryMin}, {"retryMax", c.RetryMax},
	} {
		require(d.d > 0, "%s > 0 does not hold: it is %v", d.name, d.d)
	}
	require(c.RetryMin <= c.RetryMax, "retryMin ≤ retryMax does not hold: %v > %v", c.RetryMin, c.RetryMax)
	return errors.Join(errs...)
}

func isEndpoint(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Hostname() != "" && u.User == nil &&
		u.RawQuery == "" && u.Fragment == ""
}

// clients returns a client configuration for each endpoint, once each, in the
// order in which they are to be asked.
func (c Config) clients() ([]*rest.Config, error) {
	base := &rest.Config{
		TLSClientConfig: rest.TLSClientConfig{CAFile: c.CAFile, CAData: c.CAData},
		BearerTokenFile: c.TokenFile,
	}
	hosts := slices.Clone(c.Endpoints)
	if c.Service != "" {
		hosts = append(hosts, c.Service)
	}
	if c.Kubeconfig != "" {
		var err error
		if base, err = clientcmd.BuildConfigFromFlags("", c.Kubeconfig); err != nil {
			return nil, fmt.Errorf("read %s: %w", c.Kubeconfig, err)
		}
		hosts = append(hosts, base.Host)
	}
	var all []*rest.Config
	for i, host := range hosts {
		if slices.Contains(hosts[:i], host) {
			continue
		}
		u, err := url.Parse(host)
		if err != nil || !isEndpoint(host) {
			return nil, fmt.Errorf("API endpoint %q is no URL such as https://10.0.0.1:6443", host)
		}
		one := rest.CopyConfig(base)
		one.Host = host
		if c.ServerName != "" {
			one.ServerName = c.ServerName
		}
		if one.ServerName == "" {
			one.ServerName = u.Hostname()
		}
		one.NextProtos = []string{"h2", "http/1.1"}
		one.UserAgent = "picket-agent"
		all = append(all, one)
	}
	return all, nil
}

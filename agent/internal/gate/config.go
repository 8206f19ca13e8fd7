package gate

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/api/validate/content"
)

// Config says where the gate asks, and for how long it holds.
type Config struct {
	// Node is the node's name. Empty: the one in the kubelet's certificate,
	// else the host's name in lower case, as the kubelet does it.
	Node string
	// Kubeconfigs are files, the first of which that exists is the kubelet's.
	Kubeconfigs []string
	// Servers are URLs of API servers to ask before the kubeconfig's own. Where
	// that is a load balancer that starts with the kubelet (k3s, a static pod),
	// the gate learns nothing without them.
	Servers []string

	// Bound is the longest hold. A fence that cannot be answered is decided
	// within W, about 25 s (10 min for a boot that was shut down), and its volumes
	// have moved within a minute; one that takes longer waits for a human, who may
	// need this node.
	Bound time.Duration
	// Silence is the longest hold without an answer about the node, counted
	// from the last one or from the start: see Gate.Run.
	Silence time.Duration
	// LocalSilence is the same where every API server has a loopback address:
	// most likely it starts with the kubelet, or is on this very host.
	LocalSilence time.Duration
	// Poll is the pause between two questions.
	Poll time.Duration
	// Deadline bounds each question, and each write, from before the connection
	// is made until the whole answer is read.
	Deadline time.Duration
}

// Default returns the Config of a node whose kubeconfig is in a usual place.
func Default() Config {
	return Config{
		Kubeconfigs: []string{
			"/etc/kubernetes/kubelet.conf",                   // kubeadm
			"/var/lib/kubelet/kubeconfig",                    // OpenShift, images of clouds
			"/var/lib/rancher/k3s/agent/kubelet.kubeconfig",  // k3s
			"/var/lib/rancher/rke2/agent/kubelet.kubeconfig", // RKE2
			"/var/lib/k0s/kubelet.conf",                      // k0s
		},
		Bound:        3 * time.Minute,
		Silence:      20 * time.Second,
		LocalSilence: 5 * time.Second,
		Poll:         time.Second,
		Deadline:     2 * time.Second,
	}
}

// Validate returns an error that names every setting that cannot work.
func (c Config) Validate() error {
	var errs []error
	require := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	require(len(content.IsPathSegmentName(c.Node)) == 0, "node %q is no name of a node", c.Node)
	require(len(c.Kubeconfigs) > 0, "no kubeconfig: name the kubelet's, such as /etc/kubernetes/kubelet.conf")
	for _, k := range c.Kubeconfigs {
		require(filepath.IsAbs(k), "kubeconfig %q is not an absolute path", k)
	}
	for _, s := range c.Servers {
		u, err := url.Parse(s)
		require(err == nil && u.Scheme == "https" && u.Hostname() != "" && u.User == nil,
			"API server %q is no URL such as https://10.0.0.1:6443", s)
	}
	for _, d := range []struct {
		name string
		d    time.Duration
	}{
		{"bound", c.Bound}, {"silence", c.Silence}, {"localSilence", c.LocalSilence}, {"poll", c.Poll}, {"deadline", c.Deadline},
	} {
		require(d.d > 0, "%s > 0 does not hold: it is %v", d.name, d.d)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("settings of the gate: %w", err)
	}
	return nil
}

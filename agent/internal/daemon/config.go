package daemon

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/picket-dev/picket/agent/internal/host"
	"github.com/picket-dev/picket/agent/internal/launch"
	"github.com/picket-dev/picket/agent/internal/rejoin"
)

// Config is the configuration of picket-agent, a YAML file.
type Config struct {
	// Node is this node's name in Kubernetes. Empty: $NODE_NAME.
	Node string `json:"node,omitempty"`
	// Root is where the host's root is mounted: /host in a pod, / outside.
	Root string `json:"root"`
	// Run, below Root, is the directory for what must vanish with the boot: the
	// agent's memory, the peers' key, the admin socket. A tmpfs.
	Run string `json:"run"`
	// State, below Root, is the directory for what must survive a boot: the
	// reboot budget.
	State string `json:"state"`
	// BreakGlass, below Root, is a file whose existence keeps the node unarmed.
	BreakGlass string `json:"breakGlass"`
	// Holder says how picket-holder is started, and where it listens.
	Holder launch.Config `json:"holder"`

	// Listen is host:port where peers reach this agent. With a host, the agent
	// also dials from it.
	Listen string `json:"listen"`
	// Advertise are the addresses that peers are told, the preferred one first
	// (a storage network's too). Empty: Listen, with $HOST_IP where that has no
	// host.
	Advertise []string `json:"advertise,omitempty"`
	// hostIP is $HOST_IP, the node's address in Kubernetes.
	hostIP string

	// Metrics is host:port where /metrics, /healthz and /readyz are served, such
	// as 127.0.0.1:9464, or :9464 for every address. Empty: nowhere. Whoever
	// reaches it sees how the node stands, and can change nothing.
	Metrics string `json:"metrics,omitempty"`

	// API says how to reach the API servers.
	API APIConfig `json:"api"`

	// Storage says where the node's volumes are found.
	Storage StorageConfig `json:"storage"`
	// StorageInterfaces are links that carry only the storage network: their
	// loss is reported and resets nobody (A10).
	StorageInterfaces []string `json:"storageInterfaces,omitempty"`
	// AcceptVM arms this node though it is a virtual machine, which may be
	// paused for ever by whoever runs it: only where a storage fence covers
	// that. The policy's watchdog.acceptVirtualMachines does so for all nodes.
	AcceptVM bool `json:"acceptVM,omitempty"`
	// StopWithin bounds the handshake by which an agent becomes unarmed while its
	// host shuts down; after it the agent exits armed. An agent that stops
	// otherwise says every so long that it cannot, and stays: the node would reset.
	StopWithin metav1.Duration `json:"stopWithin"`
}

// StorageConfig says where the node's volumes are found.
type StorageConfig struct {
	// KubeletRoots are the kubelet's root directories, as the host names them.
	KubeletRoots []string `json:"kubeletRoots"`
}

// APIConfig says how to reach the API servers.
type APIConfig struct {
	// Endpoints are URLs, such as https://10.0.0.1:6443. Empty: the cluster's
	// service address, which depends on kube-proxy; the kubelet's endpoint is
	// the better choice.
	Endpoints []string `json:"endpoints,omitempty"`
	// CA and Token are files. Empty: those of the pod's service account.
	CA    string `json:"ca,omitempty"`
	Token string `json:"token,omitempty"`
	// Deadline bounds each request. At most L/2, so that one lost request does
	// not use up a roll's life.
	Deadline metav1.Duration `json:"deadline"`
}

// Default returns the Config of a pod with the host's root at /host.
func Default() Config {
	return Config{
		Node:       os.Getenv("NODE_NAME"),
		hostIP:     os.Getenv("HOST_IP"),
		Root:       "/host",
		Run:        host.Default().Run,
		State:      host.Default().State,
		BreakGlass: host.Default().BreakGlass,
		Holder:     launch.Default(),
		Listen:     ":9735",
		Storage:    StorageConfig{KubeletRoots: rejoin.ConfigBelow("/").Host.Kubelet},
		API:        APIConfig{Deadline: metav1.Duration{Duration: 1250 * time.Millisecond}},
		StopWithin: metav1.Duration{Duration: 15 * time.Second},
	}
}

// Load reads a Config from a file; a key that is not known is an error.
func Load(file string) (Config, error) {
	c := Default()
	data, err := os.ReadFile(file)
	if err != nil {
		return c, fmt.Errorf("read configuration: %w", err)
	}
	if err := yaml.UnmarshalStrict(data, &c); err != nil {
		return c, fmt.Errorf("parse configuration %s: %w", file, err)
	}
	return c, c.Validate()
}

// Validate returns an error that names every key which is wrong, and what to
// write there.
func (c Config) Validate() error {
	var errs []error
	require := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	require(c.Node != "", "node is empty: set it, or $NODE_NAME from the pod's spec.nodeName")
	host, _, err := net.SplitHostPort(c.Listen)
	require(err == nil, "listen must be host:port or :port, it is %q", c.Listen)
	require(host != "" || len(c.Advertise) > 0 || c.hostIP != "",
		"advertise is empty: say where peers reach this agent, or give listen a host, or set $HOST_IP from the pod's status.hostIP")
	for _, a := range c.addresses() {
		_, err := netip.ParseAddrPort(a)
		require(err == nil, "advertise must be addresses with ports, such as 10.0.0.1:9735; one is %q", a)
	}
	require(c.Metrics == "" || listens(c.Metrics),
		"metrics must be an address with a port, such as 127.0.0.1:9464 or :9464, or empty; it is %q", c.Metrics)
	for _, e := range c.API.Endpoints {
		require(strings.HasPrefix(e, "https://"), "api.endpoints must be https URLs; one is %q", e)
	}
	require(c.StopWithin.Duration > 0, "stopWithin must be longer than 0")
	errs = append(errs, c.Holder.Validate(), c.host().Validate(), c.rejoin().Validate())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("configuration of picket-agent: %w", err)
	}
	return nil
}

// listens reports whether it is IP:port or :port.
func listens(address string) bool {
	if strings.HasPrefix(address, ":") {
		address = "0.0.0.0" + address
	}
	a, err := netip.ParseAddrPort(address)
	return err == nil && a.Port() != 0
}

// host says where the host's files are.
func (c Config) host() host.Config {
	return host.Config{Root: c.Root, Run: c.Run, State: c.State, BreakGlass: c.BreakGlass}
}

// rejoin says where the host's storage is.
func (c Config) rejoin() rejoin.Config {
	r := rejoin.ConfigBelow(c.Root)
	r.Run, r.Host.Kubelet = c.run(), c.Storage.KubeletRoots
	return r
}

// run is the run directory as this process sees it.
func (c Config) run() string { return filepath.Join(c.Root, c.Run) }

// addresses are what peers are told.
func (c Config) addresses() []string {
	if len(c.Advertise) > 0 {
		return c.Advertise
	}
	if host, port, err := net.SplitHostPort(c.Listen); err == nil && host == "" && c.hostIP != "" {
		return []string{net.JoinHostPort(c.hostIP, port)}
	}
	return []string{c.Listen}
}

// source is the address to dial peers from; the zero Addr leaves the choice to
// the kernel.
func (c Config) source() netip.Addr {
	a, err := netip.ParseAddrPort(c.Listen)
	if err != nil || a.Addr().IsUnspecified() {
		return netip.Addr{}
	}
	return a.Addr()
}

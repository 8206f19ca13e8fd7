package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/picket-dev/picket/test/cluster/proc"
)

// Plane is a running control plane. Its methods must not be called
// concurrently with Stop, Restore, StopAPI or StartAPI.
type Plane struct {
	opts       Options
	ca         *Authority
	apiPort    int
	etcdPort   int
	peerPort   int
	adminToken string
	nodeTokens map[string]string
	client     kubernetes.Interface
	dynamic    dynamic.Interface

	etcd, api              *proc.Process
	controllers, scheduler *standing
}

// Start starts a control plane and returns once it schedules pods: the API
// server is ready and the default ServiceAccount exists. It takes about six
// seconds on two idle cores. The caller must call Stop; if the test dies
// first, the processes die with it.
func Start(ctx context.Context, o Options) (*Plane, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	p := &Plane{opts: o}
	if err := p.prepare(); err != nil {
		return nil, fmt.Errorf("prepare the control plane: %w", err)
	}
	if err := p.start(ctx); err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// prepare makes everything that the processes read.
func (p *Plane) prepare() error {
	for _, port := range []*int{&p.apiPort, &p.etcdPort, &p.peerPort} {
		free, err := FreePort(p.opts.Addr.AsSlice())
		if err != nil {
			return err
		}
		*port = free
	}
	var err error
	if p.ca, err = newAuthority(p.opts.Dir); err != nil {
		return err
	}
	for _, name := range []string{"apiserver", "etcd"} {
		if err := p.ca.write(name, net.IP(p.opts.Addr.AsSlice()), net.IPv4(10, 0, 0, 1)); err != nil {
			return err
		}
	}
	if err := writeServiceAccountKey(p.opts.Dir); err != nil {
		return err
	}
	if err := p.writeTokens(); err != nil {
		return err
	}
	if err := p.writeKubeconfig(); err != nil {
		return err
	}
	if p.client, err = kubernetes.NewForConfig(p.Config()); err != nil {
		return err
	}
	p.dynamic, err = dynamic.NewForConfig(p.Config())
	return err
}

func (p *Plane) start(ctx context.Context) error {
	if err := p.startEtcd(); err != nil {
		return err
	}
	if err := p.StartAPI(ctx); err != nil {
		return err
	}
	if err := p.startControllers(); err != nil {
		return err
	}
	return p.WaitServiceAccount(ctx, metav1.NamespaceDefault, "default")
}

// startControllers starts what stands on the API: controllers and scheduler.
func (p *Plane) startControllers() (err error) {
	for _, c := range []struct {
		name  string
		flags []string
		to    **standing
	}{
		{"kube-controller-manager", p.controllerFlags(), &p.controllers},
		{"kube-scheduler", p.schedulerFlags(), &p.scheduler},
	} {
		start := func() (*proc.Process, error) { return p.run(c.name, c.flags) }
		if *c.to, err = stand(start); err != nil {
			return err
		}
	}
	return nil
}

func (p *Plane) startEtcd() (err error) {
	p.etcd, err = p.run("etcd", p.etcdFlags())
	return err
}

// run starts one binary with its log in Dir.
func (p *Plane) run(name string, flags []string) (*proc.Process, error) {
	return proc.Start(proc.Command{
		Name: name,
		Argv: append([]string{filepath.Join(p.opts.Binaries, name)}, flags...),
		Dir:  p.opts.Dir,
		Log:  p.path(name + ".log"),
	})
}

// Stop ends all processes at once. It may be called twice.
func (p *Plane) Stop() {
	var all errgroup.Group
	for _, child := range []*standing{p.scheduler, p.controllers} {
		if child != nil {
			all.Go(func() error { child.stop(); return nil })
		}
	}
	for _, child := range []*proc.Process{p.api, p.etcd} {
		if child != nil {
			all.Go(func() error { child.KillGroup(); return nil })
		}
	}
	_ = all.Wait()
	p.scheduler, p.controllers, p.api, p.etcd = nil, nil, nil, nil
}

// StopAPI kills the API server; its clients see closed connections, then
// refused ones. etcd and the controllers keep running.
func (p *Plane) StopAPI() {
	if p.api != nil {
		p.api.KillGroup()
		p.api = nil
	}
}

// StartAPI starts the API server, on the same port as before, and waits until
// it is ready.
func (p *Plane) StartAPI(ctx context.Context) error {
	if p.api != nil {
		return errors.New("start kube-apiserver: it runs already")
	}
	var err error
	if p.api, err = p.run("kube-apiserver", p.apiFlags()); err != nil {
		return err
	}
	return p.waitReady(ctx)
}

// waitReady polls /readyz. A process that has died ends the wait with the end
// of its log.
func (p *Plane) waitReady(ctx context.Context) error {
	var last error
	ready := func(ctx context.Context) (bool, error) {
		for _, child := range []*proc.Process{p.etcd, p.api} {
			if child.State() != nil {
				return false, p.died(child)
			}
		}
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		last = p.client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
		return last == nil, nil
	}
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, ready)
	if err != nil {
		return fmt.Errorf("wait for kube-apiserver: %w (last answer: %w); log: %s", err, last, p.path("kube-apiserver.log"))
	}
	return nil
}

// died explains the end of a process by the end of its log.
func (p *Plane) died(child *proc.Process) error {
	log := p.path(child.Name() + ".log")
	text, _ := os.ReadFile(log)
	if excess := len(text) - 2048; excess > 0 {
		text = text[excess:]
	}
	return fmt.Errorf("%s ended (%s); end of %s:\n%s", child.Name(), child.State(), log, text)
}

// Config is an administrator's (system:masters), without a rate limit.
func (p *Plane) Config() *rest.Config { return p.ConfigFor(p.URL(), p.adminToken) }

// ConfigFor is a client configuration for a bearer token, at the API server's
// URL or at that of a proxy in front of it.
func (p *Plane) ConfigFor(url, token string) *rest.Config {
	return &rest.Config{
		Host:            url,
		BearerToken:     token,
		TLSClientConfig: rest.TLSClientConfig{CAData: p.ca.PEM()},
		QPS:             -1,
	}
}

// Client is an administrator's client.
func (p *Plane) Client() kubernetes.Interface { return p.client }

// Dynamic is an administrator's client for custom resources.
func (p *Plane) Dynamic() dynamic.Interface { return p.dynamic }

// URL is the API server's own address, past all proxies.
func (p *Plane) URL() string { return fmt.Sprintf("https://%s:%d", p.opts.Addr, p.apiPort) }

// CA is the authority that signed the API server's certificate.
func (p *Plane) CA() *Authority { return p.ca }

// Dir holds keys, data and logs.
func (p *Plane) Dir() string { return p.opts.Dir }

// Kubeconfig is the path of an administrator's kubeconfig.
func (p *Plane) Kubeconfig() string { return p.path("admin.kubeconfig") }

func (p *Plane) path(name string) string { return filepath.Join(p.opts.Dir, name) }

// AddrPort is the API server's own address.
func (p *Plane) AddrPort() netip.AddrPort {
	return netip.AddrPortFrom(p.opts.Addr, uint16(p.apiPort))
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/picket-dev/picket/deploy"
	"github.com/picket-dev/picket/proto/api/client"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/test/cluster/machine"
	"github.com/picket-dev/picket/test/cluster/proc"
	"github.com/picket-dev/picket/test/cluster/proxy"
	"github.com/picket-dev/picket/test/cluster/stage"
)

// namespace is where deploy/base puts Picket.
const namespace = "picket"

// A fleet is Picket on a stage: its manifests, its policy, an agent and a holder
// on every machine, and controllers.
type fleet struct {
	*stage.Stage
	dir      string
	bin      binaries
	petDelay time.Duration
	policy   v1alpha1.FencingPolicySpec

	client      *client.Client
	controllers []*controller
}

// A controller is one replica of picket-controller, with its own way to the
// API.
type controller struct {
	name string
	api  *proxy.API
	argv []string
	log  string

	mu      sync.Mutex
	proc    *proc.Process
	stopped bool
}

// prepare installs Picket before the first machine boots: manifests, policy,
// and a token for each agent, bound to its Node.
func (f *fleet) prepare(ctx context.Context) error {
	err := f.install(ctx)
	if err != nil {
		return err
	}
	if f.client, err = client.New(f.Plane.Config(), nil); err != nil {
		return err
	}
	policy := &v1alpha1.FencingPolicy{Spec: f.policy}
	policy.Name = v1alpha1.PolicyName
	if _, err := f.client.FencingPolicies.Create(ctx, policy); err != nil {
		return fmt.Errorf("create the policy: %w", err)
	}
	for _, n := range f.Nodes {
		if err := f.refreshToken(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// install applies Picket's manifests, each in the order in which it must come.
func (f *fleet) install(ctx context.Context) error {
	definitions, err := deploy.CRDs()
	if err != nil {
		return err
	}
	base, err := deploy.Base()
	if err != nil {
		return err
	}
	for _, object := range append(definitions, base...) {
		if err := f.Plane.Apply(ctx, object); err != nil {
			return err
		}
	}
	return nil
}

// refreshToken gives an agent a token that is bound to its Node object.
func (f *fleet) refreshToken(ctx context.Context, n *stage.Node) error {
	if err := f.Plane.WaitServiceAccount(ctx, namespace, "picket-agent"); err != nil {
		return err
	}
	token, err := f.Plane.TokenFor(ctx, namespace, "picket-agent", n.Name)
	if err != nil {
		return err
	}
	return os.WriteFile(f.path(n.Name+".token"), []byte(token), 0o600)
}

func (f *fleet) path(name string) string { return filepath.Join(f.dir, name) }

// commands are what runs on a machine: the holder, as systemd would run it, and
// the agent.
func (f *fleet) commands(n *stage.Node, b machine.Boot) []proc.Command {
	run := filepath.Join(b.Machine.Root, "run/picket")
	// A unix socket's path is short: the stage's directory may be long.
	socket := filepath.Join(os.TempDir(), fmt.Sprintf("picket-%s-%d.sock", strings.ReplaceAll(n.Addr.String(), ".", "-"), os.Getpid()))
	holder := map[string]any{
		"device": n.Machine.Device(), "sysrq": n.Machine.Sysrq(),
		"marker": filepath.Join(run, "marker"), "socket": socket,
		"petDelay": f.petDelay.String(), "outlives": true,
		"bootID":     filepath.Join(b.Machine.Root, "proc/sys/kernel/random/boot_id"),
		"resetGroup": b.Group,
		"testDevice": map[string]any{"minTimeout": "500ms", "maxTimeout": "1h", "granularity": "10ms", "kappa": 1020},
	}
	agent := map[string]any{
		"node": n.Name, "root": b.Machine.Root,
		"holder":    socket,
		"listen":    fmt.Sprintf("%s:%d", n.Addr, stage.ListenPort),
		"advertise": []string{fmt.Sprintf("%s:%d", n.Addr, stage.AdvertisedPort)},
		"api": map[string]any{
			"endpoints": []string{n.API.URL()}, "ca": f.Plane.CA().File(), "token": f.path(n.Name + ".token"),
		},
		"storage":    map[string]any{"mountInfo": filepath.Join(b.Machine.Root, "proc/1/mountinfo")},
		"stopWithin": "10s",
	}
	holderFile, agentFile := filepath.Join(run, "holder.json"), filepath.Join(run, "agent.yaml")
	must(writeJSON(holderFile, holder))
	must(writeYAML(agentFile, agent))
	return []proc.Command{
		{Name: "holder", Argv: []string{f.bin.holder, "--config", holderFile}},
		{Name: "agent", Argv: []string{f.bin.agent, "run", "--config", agentFile}},
	}
}

func writeJSON(file string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o600)
}

func writeYAML(file string, v any) error {
	data, err := yaml.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o600)
}

// must ends the program on an error that only a broken test host makes.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// startController starts one more replica.
func (f *fleet) startController(ctx context.Context) (*controller, error) {
	if err := f.Plane.WaitServiceAccount(ctx, namespace, "picket-controller"); err != nil {
		return nil, err
	}
	token, err := f.Plane.TokenFor(ctx, namespace, "picket-controller", "")
	if err != nil {
		return nil, err
	}
	c := &controller{name: fmt.Sprintf("controller-%d", len(f.controllers)+1)}
	if c.api, err = f.NewAPI(f.ControllerAddr()); err != nil {
		return nil, err
	}
	kubeconfig := f.path(c.name + ".kubeconfig")
	if err := f.Plane.WriteKubeconfig(kubeconfig, c.api.URL(), token); err != nil {
		return nil, err
	}
	c.log = f.path(c.name + ".log")
	c.argv = []string{f.bin.controller, "--kubeconfig", kubeconfig, "--namespace", namespace, "--identity", c.name}
	f.controllers = append(f.controllers, c)
	return c, c.start()
}

// start starts the replica and, as a Deployment would, starts it again whenever
// it ends by itself: a leader that lost its lease exits.
func (c *controller) start() error {
	p, err := proc.Start(proc.Command{Name: c.name, Argv: c.argv, Log: c.log})
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.proc = p
	c.mu.Unlock()
	go func() {
		<-p.Done()
		time.Sleep(restartAfter)
		c.mu.Lock()
		again := c.proc == p && !c.stopped
		c.mu.Unlock()
		if again {
			_ = c.start()
		}
	}()
	return nil
}

// restartAfter is how long a controller that ended stays away.
const restartAfter = 500 * time.Millisecond

// current is the process that runs now, or ran last.
func (c *controller) current() *proc.Process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.proc
}

// kill ends the replica's process without a word; it is started again.
func (c *controller) kill() {
	p := c.current()
	p.KillGroup()
	<-p.Done()
}

func (c *controller) pause() error  { return c.current().Signal(syscall.SIGSTOP) }
func (c *controller) resume() error { return c.current().Signal(syscall.SIGCONT) }

// end ends the replica for good.
func (c *controller) end() {
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	_ = c.resume()
	c.kill()
}

// stop ends all controllers.
func (f *fleet) stop() {
	for _, c := range f.controllers {
		if c.current() != nil {
			c.end()
		}
	}
}

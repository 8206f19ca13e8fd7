package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sigs.k8s.io/yaml"

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
	root     string // of the project
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
	proc *proc.Process
}

// prepare installs Picket before the first machine boots: manifests, policy,
// and a token for each agent, bound to its Node.
func (f *fleet) prepare(ctx context.Context) error {
	for _, path := range []string{"deploy/crds", "deploy/base"} {
		if err := f.Plane.ApplyPath(ctx, filepath.Join(f.root, path)); err != nil {
			return err
		}
	}
	var err error
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
		"node": n.Name, "root": b.Machine.Root, "run": run, "state": filepath.Join(b.Machine.Root, "var/lib/picket"),
		"holder":    socket,
		"listen":    fmt.Sprintf("%s:%d", n.Addr, stage.ListenPort),
		"advertise": []string{fmt.Sprintf("%s:%d", n.Addr, stage.AdvertisedPort)},
		"api": map[string]any{
			"endpoints": []string{n.API.URL()}, "ca": f.Plane.CA().File(), "token": f.path(n.Name + ".token"),
		},
		"kubeletRoot": filepath.Join(b.Machine.Root, "var/lib/kubelet"),
		"mountInfo":   filepath.Join(b.Machine.Root, "proc/1/mountinfo"),
		"stopWithin":  "10s",
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
	c.argv = []string{f.bin.controller, "--kubeconfig", kubeconfig, "--namespace", namespace, "--leader-elect-identity", c.name}
	f.controllers = append(f.controllers, c)
	return c, c.start()
}

func (c *controller) start() error {
	var err error
	c.proc, err = proc.Start(proc.Command{Name: c.name, Argv: c.argv, Log: c.log})
	return err
}

// kill ends the replica without a word.
func (c *controller) kill() {
	c.proc.KillGroup()
	<-c.proc.Done()
}

func (c *controller) pause() error  { return c.proc.Signal(syscall.SIGSTOP) }
func (c *controller) resume() error { return c.proc.Signal(syscall.SIGCONT) }

// stop ends all controllers.
func (f *fleet) stop() {
	for _, c := range f.controllers {
		if c.proc != nil {
			_ = c.resume()
			c.kill()
		}
	}
}

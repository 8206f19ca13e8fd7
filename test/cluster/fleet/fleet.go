package fleet

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/picket-dev/picket/proto/api/client"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/test/cluster/machine"
	"github.com/picket-dev/picket/test/cluster/proc"
	"github.com/picket-dev/picket/test/cluster/stage"
)

// A Fleet is Picket on a stage: its manifests, its policy, an agent and a holder
// on every machine, and controllers.
type Fleet struct {
	*stage.Stage
	// Dir takes configurations, tokens and logs. It must exist.
	Dir string
	Bin Binaries
	// Agents are the agents' programs where they are not Bin's, by node. They count
	// from the next start of an agent.
	Agents map[string]string
	// PetDelay is the holders' δ.
	PetDelay time.Duration
	Policy   v1alpha1.FencingPolicySpec

	// Client is an administrator's, past all proxies.
	Client      *client.Client
	Controllers []*Controller
}

// Start sets up the stage with Picket on it, and one controller. The caller
// must call Stop and then the stage's Close.
func (f *Fleet) Start(ctx context.Context, o stage.Options) error {
	o.Commands = f.commands
	o.Prepare = func(st *stage.Stage) error {
		f.Stage = st
		if err := f.prepare(ctx); err != nil {
			return err
		}
		_, err := f.StartController(ctx)
		return err
	}
	st, err := stage.New(ctx, o)
	if err != nil {
		f.Stop()
		return err
	}
	f.Stage = st
	return nil
}

// Stop ends all controllers.
func (f *Fleet) Stop() {
	for _, c := range f.Controllers {
		c.End()
	}
	if f.Stage != nil {
		for _, n := range f.Nodes {
			_ = os.Remove(socket(n))
		}
	}
}

// prepare installs Picket before the first machine boots: manifests, policy,
// and a token for each agent, bound to its Node.
func (f *Fleet) prepare(ctx context.Context) error {
	err := f.Install(ctx)
	if err != nil {
		return err
	}
	if f.Client, err = client.New(f.Plane.Config(), nil); err != nil {
		return err
	}
	if err := SetPolicy(ctx, f.Client, f.Policy); err != nil {
		return err
	}
	return f.Tokens(ctx)
}

// Tokens makes a token for each agent, bound to its Node.
func (f *Fleet) Tokens(ctx context.Context) error {
	for _, n := range f.Nodes {
		token, err := Token(ctx, f.Plane, n.Name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(f.Path(n.Name+".token"), []byte(token), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Install applies Picket's manifests, again if need be.
func (f *Fleet) Install(ctx context.Context) error { return Install(ctx, f.Plane) }

// StartController starts one more replica.
func (f *Fleet) StartController(ctx context.Context) (*Controller, error) {
	api, err := f.NewAPI(f.ControllerAddr())
	if err != nil {
		return nil, err
	}
	c, err := StartController(ctx, f.Plane, api, f.Bin, f.Dir, fmt.Sprintf("controller-%d", len(f.Controllers)+1))
	if err != nil {
		return nil, err
	}
	f.Controllers = append(f.Controllers, c)
	return c, nil
}

// Path is that of a file in Dir.
func (f *Fleet) Path(name string) string { return filepath.Join(f.Dir, name) }

// commands are what runs on a machine: the holder, as systemd would run it, and
// the agent.
func (f *Fleet) commands(n *stage.Node, b machine.Boot) []proc.Command {
	run := filepath.Join(b.Machine.Root, "run/picket")
	holder := map[string]any{
		"device": n.Machine.Device(), "sysrq": n.Machine.Sysrq(),
		"marker": filepath.Join(run, "marker"), "socket": socket(n),
		"petDelay": f.PetDelay.String(), "outlives": true,
		"bootID":     filepath.Join(b.Machine.Root, "proc/sys/kernel/random/boot_id"),
		"resetGroup": b.Group,
		"testDevice": map[string]any{"minTimeout": "500ms", "maxTimeout": "1h", "granularity": "1ms", "kappa": 1020},
	}
	agent := map[string]any{
		"node": n.Name, "root": b.Machine.Root,
		"holder":    map[string]any{"launch": "External", "socket": socket(n)},
		"listen":    fmt.Sprintf("%s:%d", n.Addr, stage.ListenPort),
		"advertise": []string{fmt.Sprintf("%s:%d", n.Addr, stage.AdvertisedPort)},
		"api": map[string]any{
			"endpoints": []string{n.API.URL()}, "ca": f.Plane.CA().File(), "token": f.Path(n.Name + ".token"),
		},
		"stopWithin": "10s",
	}
	holderFile, agentFile := filepath.Join(run, "holder.json"), f.Path(n.Name+".agent.yaml")
	must(writeJSON(holderFile, holder))
	must(writeYAML(agentFile, agent))
	return []proc.Command{
		{Name: "holder", Argv: []string{f.Bin.Holder, "--config", holderFile}},
		{Name: "agent", Argv: []string{cmp.Or(f.Agents[n.Name], f.Bin.Agent), "run", "--config", agentFile}},
	}
}

// socket is the holder's. A unix socket's path is short, and the stage's
// directory may be long.
func socket(n *stage.Node) string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("picket-%s-%d.sock", strings.ReplaceAll(n.Addr.String(), ".", "-"), os.Getpid()))
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

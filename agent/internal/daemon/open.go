package daemon

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/agent/internal/clock"
	"github.com/picket-dev/picket/agent/internal/host"
	"github.com/picket-dev/picket/agent/internal/kube"
	"github.com/picket-dev/picket/agent/internal/launch"
	"github.com/picket-dev/picket/agent/internal/peer"
)

// Reasons of the host to stay unarmed (A12).
const (
	reasonBreakGlass     decide.Reason = "BreakGlass"
	reasonContainer      decide.Reason = "SharedKernel"
	reasonVirtualMachine decide.Reason = "VirtualMachine"
	reasonBudgetSpent    decide.Reason = "RebootBudgetSpent"
)

// newDaemon builds an agent that does not run yet.
func newDaemon(c Config, version string, log *slog.Logger) (*Daemon, error) {
	if err := os.MkdirAll(c.run(), 0o700); err != nil {
		return nil, fmt.Errorf("make the run directory: %w", err)
	}
	machine, err := host.ReadIdentity(c.host())
	if err != nil {
		return nil, err
	}
	d := &Daemon{
		config: c, version: version, log: log.With("boot", machine.BootID), machine: machine,
		hypervisor: host.Hypervisor(c.host()),
		memory:     host.NewMemory[decide.Memory](c.host(), "memory", machine.BootID),
		guidance:   host.NewMemory[guidance](c.host(), "guidance", machine.BootID),
		budget:     host.OpenBudget(c.host(), machine.BootID, time.Now()),
		events:     make(chan decide.Event, 64),
		statuses:   newMailbox[decide.Status](),
		republish:  make(chan struct{}, 1),
		armed:      newMailbox[bool](),
		prepared:   make(chan struct{}),
		dismissed:  newDismissal(),
		conditions: make(map[string]metav1.Condition),
	}
	d.journal = newJournal(d.log)
	d.tally = &tally{write: d.budget.SetArmed, log: d.log}
	d.keeper = &keeper{socket: c.Holder.SocketBelow(c.host()), wishes: newMailbox[wish](), report: func(ctx context.Context, h decide.Held) { d.tell(ctx, h) }}
	d.launcher = launch.New(c.Holder, c.host(), machine.BootID, d.keeper, d.log)
	d.keeper.launched, d.keeper.trusts = d.launcher.Report, c.Holder.Launch == launch.External
	d.openTests()
	if err := d.connect(); err != nil {
		return nil, err
	}
	d.core = decide.New(d.coreConfig(), clock.Now())
	return d, d.openSteward()
}

// connect makes the adapters to the API and to the peers.
func (d *Daemon) connect() (err error) {
	if d.api, err = kube.New(d.apiConfig(), clock.Now); err != nil {
		return err
	}
	if d.identity, err = peer.LoadIdentity(d.config.run(), d.machine.BootID); err != nil {
		return err
	}
	p := peer.Default()
	p.Node, p.Boot, p.Now, p.Source, p.Log = d.config.Node, d.machine.BootID, clock.Now, d.config.source(), d.log
	if d.client, err = peer.NewClient(p, d.identity); err != nil {
		return err
	}
	if d.server, err = peer.NewServer(p, d.identity, d.client.Answered); err != nil {
		return err
	}
	return nil
}

// apiConfig says how to reach the API servers.
func (d *Daemon) apiConfig() kube.Config {
	api := kube.Default()
	api.Node, api.Endpoints = d.config.Node, d.config.API.Endpoints
	api.Deadline = d.config.API.Deadline.Duration
	api.PingAfter = api.Deadline / 2
	api.PingTimeout = api.Deadline / 2
	api.Revoked = d.revoked
	if d.config.API.CA != "" {
		api.CAFile = d.config.API.CA
	}
	if d.config.API.Token != "" {
		api.TokenFile = d.config.API.Token
	}
	return api
}

// coreConfig is what the core must know from the start.
func (d *Daemon) coreConfig() decide.Config {
	c := decide.Config{Node: d.config.Node, Boot: d.machine.BootID, Phase: phase(d.config.Node)}
	memory, _, err := d.memory.Load()
	if err != nil {
		d.log.Warn("the roll's memory is lost: making no statement before the next read", "err", err)
	}
	c.Memory, d.stored = memory, memory
	var why string
	c.Forbidden, why = d.forbidden()
	if why != "" {
		d.log.Warn("this node stays unarmed", "rule", "A12", "reason", string(c.Forbidden), "why", why)
	}
	return c
}

// forbidden returns the host's reason to stay unarmed, and the same for people.
func (d *Daemon) forbidden() (decide.Reason, string) {
	h := d.config.host()
	if why := host.BreakGlass(h); why != "" {
		return reasonBreakGlass, why
	}
	if why := host.SharedKernel(h); why != "" {
		return reasonContainer, why
	}
	if why := d.budget.Spent(); why != "" {
		return reasonBudgetSpent, why
	}
	return decide.ReasonNone, ""
}

// phase spreads the nodes' questions over time.
func phase(node string) float64 {
	h := fnv.New32a()
	_, _ = io.WriteString(h, node) // a hash takes everything
	return float64(h.Sum32()) / (1 << 32)
}

// close ends all connections.
func (d *Daemon) close() {
	d.server.Close()
	d.client.Close()
	d.api.Close()
	d.volumes.Close()
}

package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/picket-dev/picket/agent/internal/gate"
	"github.com/picket-dev/picket/agent/internal/launch"
	"github.com/picket-dev/picket/systemd"
)

const (
	// gateAfter is how often the launch of the holder is looked at, after which
	// the gate is installed.
	gateAfter = 5 * time.Second
	// gateAgain is the pause before an installation that failed is tried again.
	gateAgain = time.Minute
	// gateWithin bounds what systemd is asked for one installation.
	gateWithin = 30 * time.Second
)

// installGate installs the unit that holds the kubelet of the next boots back
// (PROTOCOL.md §11), once the holder runs under systemd. Nothing rests on it, so
// what fails is said and tried again until ctx ends.
func (d *Daemon) installGate(ctx context.Context) {
	if l := d.config.Holder.Launch; l == launch.Child || l == launch.External {
		return
	}
	again(ctx, gateAfter, func() time.Duration {
		if d.launcher.Report().Device == "" {
			return gateAfter
		}
		err := d.placeGate(ctx)
		switch {
		case err == nil:
			return 0
		case errors.Is(err, systemd.ErrAbsent), errors.Is(err, gate.ErrNoKubelet):
			d.log.Info("no gate before this node's kubelet", "why", err)
			return 0
		case ctx.Err() == nil:
			d.log.Warn("the gate before the kubelet is not installed", "err", err)
		}
		return gateAgain
	})
}

// removeGate takes the gate off a host that Picket leaves. What is left of it
// holds nobody: the unit does nothing without its binary.
func (d *Daemon) removeGate(ctx context.Context) {
	if d.config.Holder.Launch == launch.External || !d.uninstalling() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, gateWithin)
	defer cancel()
	manager, err := d.systemd(ctx)
	if errors.Is(err, systemd.ErrAbsent) {
		return
	}
	if err == nil {
		defer manager.Close()
		err = gate.Remove(ctx, manager, d.gateSite(""))
	}
	if err != nil {
		d.log.Warn("the gate stays on the host", "rule", "A13", "err", err)
	}
}

// placeGate installs the gate, or brings it up to date.
func (d *Daemon) placeGate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, gateWithin)
	defer cancel()
	manager, err := d.systemd(ctx)
	if err != nil {
		return err
	}
	defer manager.Close()
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the own binary: %w", err)
	}
	c := gate.Default()
	c.Node, c.Servers = d.config.Node, d.config.API.Endpoints
	return gate.Install(ctx, manager, d.gateSite(self), c)
}

// gateSite is this host, with the binary that is to run there.
func (d *Daemon) gateSite(binary string) gate.Site {
	return gate.Site{Root: d.config.Root, State: d.config.State, Binary: binary}
}

package daemon

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"time"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/agent/internal/host"
	"github.com/picket-dev/picket/agent/internal/launch"
	"github.com/picket-dev/picket/systemd"
)

const (
	// askWithin bounds a question to systemd on the way out, and one to logind:
	// that lets a shutdown wait for as long, by default.
	askWithin = 5 * time.Second
	// busAgain is the pause before a bus that broke is tried again, noBusAgain
	// before one that is not there is.
	busAgain   = 5 * time.Second
	noBusAgain = time.Minute
)

// farewell says what a SIGTERM means: the host shuts down, Picket is being
// uninstalled, or the agent is merely replaced (A13). A holder that ends with
// the pod is disarmed: nobody would pet its device.
func (d *Daemon) farewell(ctx context.Context) decide.Event {
	switch {
	case d.shuttingDown(ctx):
		d.hostEnds.Store(true)
		return d.lastOrders()
	case d.uninstalling():
		return decide.Stop{Uninstall: true}
	}
	s := d.keeper.status.Load()
	return decide.Stop{Uninstall: d.config.Holder.Launch != launch.External && s != nil && !s.Outlives}
}

// shuttingDown reports whether the host shuts down in order: somebody has left the
// mark, or systemd says so.
func (d *Daemon) shuttingDown(ctx context.Context) bool {
	if host.ShuttingDown(d.config.host()) {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	m, err := d.systemd(ctx)
	if errors.Is(err, systemd.ErrAbsent) {
		return false
	}
	stopping := false
	if err == nil {
		defer m.Close()
		stopping, err = m.Stopping(ctx)
	}
	if err != nil {
		d.log.Warn("cannot tell whether the host shuts down: taking this for a restart of the agent", "err", err)
	}
	return stopping
}

// lastOrders prepares the host for a shutdown under a long T. The last phase of
// systemd's shutdown would open the watchdog once more and ping it, with no roll
// to allow that: where systemd was not seen to be told otherwise, the node must
// become unarmed instead.
func (d *Daemon) lastOrders() decide.Event {
	if r := d.keeper.launched(); !r.Quiet {
		d.log.Error("systemd may ping the watchdog while the host shuts down: becoming unarmed instead", "rule", "A13", "why", r.Problem)
		return decide.Stop{}
	}
	return decide.Shutdown{}
}

// systemd reaches the host's service manager.
func (d *Daemon) systemd(ctx context.Context) (*systemd.Manager, error) {
	return systemd.Dial(ctx, filepath.Join(d.config.Root, systemd.PrivateSocket))
}

// attendLogin keeps logind from shutting the host down before the agent has
// prepared for it, and from putting an armed node to sleep. Without logind, a
// SIGTERM tells.
func (d *Daemon) attendLogin(ctx context.Context) {
	again(ctx, 0, func() time.Duration {
		err := d.attend(ctx)
		switch {
		case errors.Is(err, systemd.ErrAbsent):
			d.log.Debug("no logind: a shutdown is noticed by SIGTERM alone", "err", err)
			return noBusAgain
		case err != nil && ctx.Err() == nil:
			d.log.Warn("logind is lost: a shutdown is noticed by SIGTERM alone until it is back", "err", err)
		}
		return busAgain
	})
}

// attend is attendLogin as long as the bus does not break.
func (d *Daemon) attend(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	login, err := systemd.DialLogin(ctx, filepath.Join(d.config.Root, systemd.SystemBus))
	if err != nil {
		return err
	}
	defer func() { _ = login.Close() }()
	inhibit := func(ask func(context.Context, string, string) (io.Closer, error), what, why string) (io.Closer, error) {
		ctx, cancel := context.WithTimeout(ctx, askWithin)
		defer cancel()
		return ask(ctx, what, why)
	}
	delay, err := inhibit(login.Delay, systemd.Shutdown, "gives the watchdog its long timeout first")
	if err != nil {
		return err
	}
	defer func() { _ = delay.Close() }()
	broke := make(chan error, 1)
	begins := newMailbox[struct{}]()
	go func() { broke <- login.WatchShutdown(ctx, func() { begins.put(struct{}{}) }) }()
	awake := &vigil{block: func() (io.Closer, error) {
		return inhibit(login.Block, systemd.Sleep, "the watchdog resets a node that sleeps")
	}}
	defer func() { _ = awake.keep(false) }()
	for {
		select {
		case err := <-broke:
			return err
		case armed := <-d.armed:
			if err := awake.keep(armed); err != nil {
				d.log.Warn("an armed node can be put to sleep, and resets when it wakes", "err", err)
			}
		case <-begins:
			d.log.Info("the host is about to shut down", "rule", "A13")
			d.tell(ctx, d.lastOrders())
		case <-d.prepared:
			_ = delay.Close()
			return <-broke
		}
	}
}

// A vigil keeps an armed node from being put to sleep.
type vigil struct {
	block func() (io.Closer, error)
	armed bool
	held  io.Closer // nil while there is no inhibitor
}

// keep takes the inhibitor when the node is armed, and gives it up when it is not
// any more. One that was refused is asked for again with the next arming only.
func (v *vigil) keep(armed bool) error {
	if armed == v.armed {
		return nil
	}
	v.armed = armed
	held := v.held
	v.held = nil
	switch {
	case armed:
		var err error
		v.held, err = v.block()
		return err
	case held != nil:
		return held.Close()
	}
	return nil
}

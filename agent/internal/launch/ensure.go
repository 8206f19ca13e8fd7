package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/picket-dev/picket/agent/internal/hold"
	"github.com/picket-dev/picket/agent/internal/watchdog"
	"github.com/picket-dev/picket/systemd"
)

// ensure brings the host to the holder that is wanted, if it may, and returns
// the device of the one that runs.
func (l *Launcher) ensure(ctx context.Context, want Want) (string, error) {
	if l.cfg.Launch == External {
		return "", nil
	}
	old, known, err := l.launched.Load()
	if err != nil {
		l.log.Warn("the record of the launch is lost", "err", err)
	}
	if l.done != nil && *l.done == want && l.keeper.Peek().State != hold.StateUnknown {
		return old.Device, nil
	}
	ctx, cancel := context.WithTimeout(ctx, systemd.Patience)
	defer cancel()
	home, init, end, err := l.find(ctx)
	if err != nil {
		return old.Device, err
	}
	defer end()
	t := task{Launcher: l, home: home, init: init, old: old, known: known && old.Device != ""}
	if t.running, err = home.running(ctx, old); err != nil {
		return old.Device, err
	}
	if err := t.rescue(ctx); err != nil {
		return old.Device, err
	}
	if err := t.plan(ctx, want); err != nil {
		return old.Device, err
	}
	device, err := t.run(ctx)
	if err == nil {
		l.done = &want
	}
	return device, err
}

// A task is one attempt to bring the holder to what is wanted.
type task struct {
	*Launcher
	home    home
	init    dogs // nil where there is no systemd
	old     record
	known   bool // old is the record of this boot
	running bool // a holder of ours is there, or will be in a moment
	choice  watchdog.Choice
	next    record
}

// plan says which holder is wanted. It changes nothing but that it may load
// softdog.
func (t *task) plan(ctx context.Context, want Want) error {
	binary, err := fingerprint(t.cfg.Binary)
	if err != nil {
		return err
	}
	if t.choice, err = t.choose(ctx, t.init, want, t.old.Device); err != nil {
		return err
	}
	t.next = record{Device: t.choice.Name, Binary: binary, Config: t.holderConfig(t.choice, t.init != nil)}
	return nil
}

// same reports whether the holder that was launched is the one that is wanted.
func (t *task) same() bool {
	next := t.next
	next.PID = t.old.PID
	return t.known && t.old == next
}

// run leaves a holder alone that is the wanted one, that somebody else started,
// that gates, or whose device nobody else can pet; every other one it exchanges.
func (t *task) run(ctx context.Context) (string, error) {
	status := t.keeper.Peek()
	switch {
	case t.running && t.same() && status.State != hold.StateUnknown:
		return t.old.Device, nil
	case t.running && t.gating(status.State, t.running) && !t.same():
		return t.old.Device, errGating
	}
	err := t.keeper.Exchange(ctx, func(ctx context.Context, s hold.Status) error {
		switch {
		case s.State != hold.StateUnknown && !t.running:
			t.log.Info("a holder that somebody else started is left alone", "version", s.Version)
			t.next.Device = ""
			return nil
		case s.State != hold.StateUnknown && t.same():
			return nil
		case t.running && t.gating(s.State, t.running):
			return t.restarting()
		case t.running && s.State != hold.Idle && t.stuck():
			return fmt.Errorf("%s is nowayout and runs: it is petted on, and used, until the node reboots; then %s is",
				t.old.Device, t.next.Device)
		}
		return t.exchange(ctx)
	})
	if err != nil {
		return t.old.Device, err
	}
	return t.next.Device, nil
}

// stuck reports whether another device is wanted than one that cannot be
// stopped: without its holder it would reset the node.
func (t *task) stuck() bool {
	if !t.known || t.old.Device == t.next.Device {
		return false
	}
	all, err := t.list()
	return err != nil || slices.ContainsFunc(all, func(c watchdog.Candidate) bool {
		return c.Name == t.old.Device && c.Facts().Nowayout && c.Active != watchdog.No
	})
}

// restarting is what to say of a service that gates and does not answer.
func (t *task) restarting() error {
	if !t.same() {
		return errGating
	}
	return fmt.Errorf("the holder does not answer, and is being restarted: see `journalctl -u %s`", unitName)
}

// rescue brings back a holder that is gone and has left a device that runs:
// before anything else, with the same device and binary, whatever is wanted now.
func (t *task) rescue(ctx context.Context) error {
	if last := t.last(); t.running || !t.known || last == hold.StateUnknown || last == hold.Idle {
		return nil
	}
	return t.keeper.Exchange(ctx, func(ctx context.Context, s hold.Status) error {
		if s.State != hold.StateUnknown {
			return nil // somebody else has started one
		}
		return t.revive(ctx)
	})
}

func (t *task) revive(ctx context.Context) error {
	t.log.Warn("the holder is gone and its device runs: starting it again", "device", t.old.Device)
	t.choice = watchdog.Choice{Name: t.old.Device, Path: "/dev/" + t.old.Device}
	t.next = t.old
	if _, err := os.Stat(t.paths.here(t.paths.hostBinary())); t.old.Config.Outlives && err != nil {
		if t.next.Binary, err = fingerprint(t.cfg.Binary); err == nil {
			err = t.placeBinary()
		}
		if err != nil {
			return err
		}
	}
	if err := t.start(ctx); err != nil {
		return err
	}
	t.old, t.running = t.next, true
	return nil
}

// exchange stops the holder that runs, if one does, and starts the wanted one.
// What systemd had and the new one does not need goes back, also after a
// failure. What a full disk refuses is tried before anything is stopped.
func (t *task) exchange(ctx context.Context) error {
	if t.next.Config.Outlives {
		if err := t.placeBinary(); err != nil {
			return err
		}
	}
	if t.running {
		t.log.Info("exchanging the holder", "device", t.next.Device, "was", t.old.Device)
		if err := t.home.stop(ctx, t.old); err != nil {
			return err
		}
	}
	err := t.giveBack(ctx, t.init, t.next.Device)
	if err == nil {
		err = t.takeOver(ctx, t.init, t.choice)
	}
	if err == nil {
		err = t.start(ctx)
	}
	if err != nil {
		return errors.Join(err, t.undo(ctx))
	}
	t.looked = time.Time{} // systemd may want this device
	t.log.Info("holder launched", "device", t.next.Device, "outlives", t.next.Config.Outlives, "why", t.choice.Why)
	return nil
}

// undo leaves nothing of an exchange that failed: a holder that comes up later
// would find its device given back. A device that could not be stopped, such as
// a nowayout one, gets its old holder back before it fires.
func (t *task) undo(ctx context.Context) error {
	err := t.home.stop(ctx, t.next)
	if t.known && t.last() == hold.Free {
		return errors.Join(err, t.giveBack(ctx, t.init, t.old.Device), t.revive(ctx))
	}
	return errors.Join(err, t.launched.Store(record{}), t.giveBack(ctx, t.init, ""))
}

// start configures the holder, starts it and waits until it answers. The record
// comes first: a holder without one would be taken for somebody else's.
func (t *task) start(ctx context.Context) error {
	err := t.placeConfig()
	if err == nil {
		err = t.launched.Store(t.next)
	}
	if err != nil {
		return err
	}
	if t.next.PID, err = t.home.start(ctx, t.choice, t.next.Config.Device); err != nil {
		return err
	}
	if t.next.PID != 0 {
		if err := t.launched.Store(t.next); err != nil {
			return err
		}
	}
	return t.answer(ctx)
}

// answerWithin bounds the time until a started holder answers.
const answerWithin = 15 * time.Second

// answer waits until the holder answers a call.
func (t *task) answer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		client, err := hold.Dial(ctx, t.cfg.SocketBelow(t.paths.Config))
		if err == nil {
			_, err = client.Status(ctx)
			err = errors.Join(err, client.Close())
		}
		if err == nil {
			return nil
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return fmt.Errorf("the holder was started and does not answer: %w", err)
		}
	}
}

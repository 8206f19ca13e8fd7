package launch

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/picket-dev/picket/agent/internal/watchdog"
	"github.com/picket-dev/picket/proto/timing"
)

// A Want is what the policy asks of the holder's device.
type Want struct {
	// Softdog prefers softdog to hardware.
	Softdog bool
	// Device names the one device to use; empty: choose.
	Device string
	// Systemd is the stance towards a device that systemd holds.
	Systemd watchdog.Stance
	// Profile is the one in force.
	Profile timing.Profile
}

// dogs is what can be asked of the host's init about watchdogs.
type dogs interface {
	LoadModule(context.Context, string) error
	RuntimeWatchdog(context.Context) (time.Duration, error)
	SetRuntimeWatchdog(context.Context, time.Duration) error
}

// taken remembers what systemd had, for when it gets it back.
type taken struct {
	Device  string
	Timeout time.Duration
}

// Validate has nothing to refuse.
func (taken) Validate() error { return nil }

// choose returns the device to use. Softdog is loaded where the choice falls on
// it; nothing else is changed.
func (l *Launcher) choose(ctx context.Context, init dogs, want Want, mine string) (watchdog.Choice, error) {
	p := watchdog.Preference{
		Softdog: want.Softdog, Device: want.Device, Systemd: want.Systemd, Profile: want.Profile,
		Outlives: init != nil, MayLoad: init != nil, Mine: mine,
	}
	if init == nil {
		p.Systemd = watchdog.Cooperate // nobody can be asked to give a device up
	}
	var loading error
	for {
		candidates, err := l.list()
		if err != nil {
			return watchdog.Choice{}, err
		}
		choice, verdicts := watchdog.Choose(candidates, p)
		switch {
		case choice.LoadSoftdog && init != nil:
			loading = init.LoadModule(ctx, "softdog")
			p.MayLoad = false
			continue
		case choice.Name == "":
			return choice, refused(choice, verdicts, loading)
		}
		return choice, nil
	}
}

// refused says why no device can be used, and what to do about each.
func refused(c watchdog.Choice, verdicts []watchdog.Verdict, loading error) error {
	reasons := []string{c.Why}
	for _, v := range verdicts {
		reasons = append(reasons, v.Candidate.Name+": "+v.Why)
	}
	if loading != nil {
		return fmt.Errorf("%s; %w", strings.Join(reasons, "; "), loading)
	}
	return fmt.Errorf("%s", strings.Join(reasons, "; "))
}

// takeOver makes systemd give the device up, and remembers how it was first: a
// restart of the agent in between must not forget it.
func (l *Launcher) takeOver(ctx context.Context, init dogs, c watchdog.Choice) error {
	if !c.TakeOver {
		return nil
	}
	old, err := init.RuntimeWatchdog(ctx)
	if err != nil {
		return err
	}
	if old != 0 {
		if err := l.taken.Store(taken{Device: c.Name, Timeout: old}); err != nil {
			return fmt.Errorf("remember systemd's RuntimeWatchdogSec: %w", err)
		}
	}
	l.log.Info("taking the watchdog over from systemd", "device", c.Name, "runtime_watchdog", old)
	return init.SetRuntimeWatchdog(ctx, 0)
}

// giveBack gives systemd what was taken from it, unless the device is to be
// used. No holder of ours may have that device open any more.
func (l *Launcher) giveBack(ctx context.Context, init dogs, use string) error {
	old, ok, err := l.taken.Load()
	if err != nil || !ok || init == nil || old.Timeout == 0 || old.Device == use {
		return err
	}
	l.log.Info("giving the watchdog back to systemd", "device", old.Device, "runtime_watchdog", old.Timeout)
	if err := init.SetRuntimeWatchdog(ctx, old.Timeout); err != nil {
		return err
	}
	return l.taken.Store(taken{})
}

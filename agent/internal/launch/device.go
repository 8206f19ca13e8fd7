package launch

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/picket-dev/picket/agent/internal/watchdog"
	"github.com/picket-dev/picket/proto/timing"
	"github.com/picket-dev/picket/systemd"
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
	configured
}

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

// takeOver makes systemd give the device up. The drop-in says which it was: a
// restart of the agent in between must not forget it.
func (l *Launcher) takeOver(ctx context.Context, init dogs, c watchdog.Choice) error {
	if !c.TakeOver {
		return nil
	}
	l.log.Info("taking the watchdog over from systemd", "device", c.Name)
	if err := l.impose(ctx, init, systemd.DropIn{Taken: c.Name}); err != nil {
		return fmt.Errorf("take %s over from systemd: %w: set RuntimeWatchdogSec=0 in /etc/systemd/system.conf, "+
			"and run `systemctl daemon-reexec`", c.Name, err)
	}
	return nil
}

// giveBack gives systemd what was taken from it, unless the device is to be
// used. No holder of ours may have that device open any more.
func (l *Launcher) giveBack(ctx context.Context, init dogs, use string) error {
	d, err := l.dropIn()
	if err != nil || init == nil || d.Taken == "" || d.Taken == use {
		return err
	}
	l.log.Info("giving the watchdog back to systemd", "device", d.Taken)
	if err := l.placeDropIn(systemd.DropIn{}); err != nil {
		return err
	}
	if err := init.Reload(ctx); err != nil {
		return errors.Join(err, l.placeDropIn(d)) // to be tried again
	}
	return nil
}

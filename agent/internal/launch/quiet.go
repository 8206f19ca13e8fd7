package launch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/picket-dev/picket/agent/internal/watchdog"
	"github.com/picket-dev/picket/systemd"
)

const (
	// lookAgain is how often systemd is asked whether it stays off the watchdog.
	lookAgain = 10 * time.Second
	// loudAgain is the pause before one that did not obey is told again: each
	// time it reads all units anew.
	loudAgain = time.Minute
)

// errLoud means that systemd would ping the holder's watchdog, not merely that it
// does not tell.
var errLoud = errors.New("systemd would ping the watchdog with no roll to allow it, when it reboots the host or finds it free")

// look makes sure, from time to time, that systemd stays off the watchdog, and
// sees whether it keeps the holder's. What it has said counts on while it does
// not answer.
func (l *Launcher) look(ctx context.Context) error {
	s := l.keeper.Peek()
	claims := s.Stored && l.cfg.Launch != External
	switch since := time.Since(l.looked); {
	case l.loud != nil && since < loudAgain:
		return l.loud
	case l.quiet && since < lookAgain && (!claims || s.PID == l.keeps):
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, systemd.Patience)
	defer cancel()
	m, err := l.systemd(ctx)
	if m != nil {
		defer m.Close()
		err = l.silence(ctx, m)
		if claims {
			l.keeps = l.kept(ctx, m)
		}
	}
	if err != nil && l.quiet && !errors.Is(err, errLoud) {
		l.log.Warn("systemd does not tell whether it stays off the watchdog, as it was told to", "err", err)
		err = nil
	}
	l.quiet, l.loud, l.looked = err == nil, nil, time.Now()
	if errors.Is(err, errLoud) {
		l.loud = err
	}
	return err
}

// kept returns the process whose device systemd keeps. That the holder has sent
// it there proves nothing: the store may be full, or not for that process.
func (l *Launcher) kept(ctx context.Context, m services) int {
	state, err := m.Inspect(ctx, unitName)
	switch {
	case err != nil:
		l.log.Warn("systemd does not tell whether it keeps the holder's device", "err", err)
		return l.keeps
	case state.Stored < 1:
		return 0
	}
	return state.PID
}

// silence makes systemd ping no watchdog of the holder's. Where its own
// configuration says so already, nothing is changed.
func (l *Launcher) silence(ctx context.Context, m configured) error {
	now, err := m.Watchdogs(ctx)
	if err != nil {
		return err
	}
	d, err := l.needed(now)
	if err == nil && d.Obeyed(now) {
		return nil
	}
	if err == nil {
		l.log.Info("taking the holder's watchdog from systemd", "runtime", now.Runtime, "reboot", now.Reboot, "kexec", now.KExec)
		err = l.impose(ctx, m, d)
	}
	if err != nil {
		return fmt.Errorf("%w: %w: set RebootWatchdogSec=0 and KExecWatchdogSec=0 in /etc/systemd/system.conf, "+
			"RuntimeWatchdogSec=0 as well unless systemd has a watchdog of its own, and run `systemctl daemon-reload`", errLoud, err)
	}
	return nil
}

// needed is the drop-in under which a systemd that has these watchdogs leaves the
// holder's alone. Its last phase begins when the holder has been killed, and uses
// whatever device there is then. While the host runs, one that is to pet a
// watchdog and has none tries again and again, and gets the holder's when that
// dies with its device.
func (l *Launcher) needed(now systemd.Watchdogs) (systemd.DropIn, error) {
	d, err := l.dropIn()
	if err != nil || d.Taken != "" || now.Runtime == 0 {
		return d, err
	}
	device := "the holder's" // whatever somebody else gave it
	if l.cfg.Launch != External {
		old, _, _ := l.launched.Load() // ensure says what is wrong with it
		if device = old.Device; device == "" {
			return d, nil // nothing to take: an exchange looks again
		}
	}
	all, err := l.list()
	if err == nil && !watchdog.InitHasOne(all, device) {
		d.Taken = device
	}
	return d, err
}

// loosen gives systemd its watchdogs back: its own configuration counts again.
// No holder of ours may be armed any more.
func (l *Launcher) loosen(ctx context.Context) error {
	err := os.Remove(l.dropInPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	l.log.Info("giving the watchdogs of the host back to systemd")
	if err == nil {
		err = l.reload(ctx)
	}
	if err != nil {
		return fmt.Errorf("give systemd its watchdogs back: %w: remove /%s from the host, and run `systemctl daemon-reload`",
			err, systemd.DropInPath)
	}
	return nil
}

// reload makes systemd read its configuration, where there is one.
func (l *Launcher) reload(ctx context.Context) error {
	m, err := l.systemd(ctx)
	if m == nil || err != nil {
		return err
	}
	defer m.Close()
	return m.Reload(ctx)
}

// systemd reaches the host's systemd; nil and no error where there is none. One
// that runs and cannot be reached might ping the watchdog.
func (l *Launcher) systemd(ctx context.Context) (manager, error) {
	m, err := l.dial(ctx)
	switch {
	case err == nil:
		return m, nil
	case !errors.Is(err, systemd.ErrAbsent):
		return nil, err
	case l.runsSystemd():
		return nil, fmt.Errorf("%w: mount the host's /run/systemd into the agent's pod", err)
	}
	return nil, nil
}

// runsSystemd reports whether the host's first process is systemd, or cannot be
// known: then the absence of its socket means nothing.
func (l *Launcher) runsSystemd() bool {
	comm, err := os.ReadFile(l.paths.here("proc/1/comm"))
	return err != nil && !errors.Is(err, os.ErrNotExist) || strings.TrimSpace(string(comm)) == "systemd"
}

package launch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/picket-dev/picket/systemd"
)

// lookAgain is how often systemd is asked whether it stays off the watchdogs.
const lookAgain = 10 * time.Second

// reboots is what can be asked of the host's init about the watchdog of its last
// phase.
type reboots interface {
	FinalWatchdog(context.Context) (systemd.Final, error)
	SetFinalWatchdog(context.Context, systemd.Final) error
}

// silenced remembers what systemd had, for when Picket leaves the host.
type silenced struct{ systemd.Final }

// Validate has nothing to refuse.
func (silenced) Validate() error { return nil }

// errLoud means that systemd would ping a watchdog, not merely that it does not
// tell.
var errLoud = errors.New("systemd would ping the watchdog when it reboots the host, with no roll to allow it")

// look makes sure, from time to time, that systemd stays off the watchdogs, and
// sees whether it keeps the holder's. What it has said counts on while it does
// not answer.
func (l *Launcher) look(ctx context.Context) error {
	s := l.keeper.Peek()
	claims := s.Stored && l.cfg.Launch != External
	if l.quiet && time.Since(l.looked) < lookAgain && (!claims || s.PID == l.keeps) {
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
		l.log.Warn("systemd does not tell whether it stays off the watchdogs, as it was told to", "err", err)
		err = nil
	}
	l.quiet, l.looked = err == nil, time.Now()
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

// silence makes systemd's shutdown ping no watchdog: it begins to do so when the
// holder has been killed, and asks no roll. It is told so whatever device it
// would use, which it may choose late, and reads as it was told.
func (l *Launcher) silence(ctx context.Context, m reboots) error {
	old, err := m.FinalWatchdog(ctx)
	if err != nil || old == (systemd.Final{}) {
		return err
	}
	if err := l.remember(old); err != nil {
		return fmt.Errorf("remember systemd's RebootWatchdogSec: %w", err)
	}
	l.log.Info("taking the watchdog of the host's reboot from systemd", "reboot", old.Reboot, "kexec", old.KExec)
	err = m.SetFinalWatchdog(ctx, systemd.Final{})
	if err == nil {
		old, err = m.FinalWatchdog(ctx)
	}
	if err == nil && old != (systemd.Final{}) {
		err = fmt.Errorf("it was told not to, and would do so for %v", max(old.Reboot, old.KExec))
	}
	if err != nil {
		return fmt.Errorf("%w: %w: set RebootWatchdogSec=0 and KExecWatchdogSec=0 in /etc/systemd/system.conf, "+
			"and run `systemctl daemon-reexec`", errLoud, err)
	}
	return nil
}

// remember stores what systemd had first: a later word of somebody else's counts
// where there is one.
func (l *Launcher) remember(now systemd.Final) error {
	old, _, err := l.silenced.Load()
	if err != nil {
		l.log.Warn("what systemd's RebootWatchdogSec was is lost", "err", err)
	}
	return l.silenced.Store(silenced{systemd.Final{
		Reboot: cmp.Or(now.Reboot, old.Reboot), KExec: cmp.Or(now.KExec, old.KExec),
	}})
}

// loosen gives systemd the watchdog of its reboot back. No holder of ours may be
// armed any more.
func (l *Launcher) loosen(ctx context.Context) error {
	old, ok, err := l.silenced.Load()
	if err != nil || !ok || old.Final == (systemd.Final{}) {
		return err
	}
	m, err := l.systemd(ctx)
	if m == nil || err != nil {
		return err
	}
	defer m.Close()
	l.log.Info("giving the watchdog of the host's reboot back to systemd", "reboot", old.Reboot, "kexec", old.KExec)
	if err := m.SetFinalWatchdog(ctx, old.Final); err != nil {
		return err
	}
	return l.silenced.Store(silenced{})
}

// systemd reaches the host's systemd; nil and no error where there is none.
func (l *Launcher) systemd(ctx context.Context) (manager, error) {
	m, err := l.dial(ctx)
	switch {
	case err == nil:
		return m, nil
	case errors.Is(err, systemd.ErrAbsent) && !l.runsSystemd():
		return nil, nil
	}
	return nil, fmt.Errorf("make sure that systemd does not ping the watchdog when it reboots the host: %w: "+
		"mount the host's /run/systemd into the agent's pod", err)
}

// runsSystemd reports whether the host's first process is systemd, or cannot be
// known: then the absence of its socket means nothing.
func (l *Launcher) runsSystemd() bool {
	comm, err := os.ReadFile(l.paths.here("proc/1/comm"))
	return err != nil && !errors.Is(err, os.ErrNotExist) || strings.TrimSpace(string(comm)) == "systemd"
}

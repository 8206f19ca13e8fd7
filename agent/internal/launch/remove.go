package launch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/picket-dev/picket/agent/internal/hold"
	"github.com/picket-dev/picket/systemd"
)

// Remove takes the holder off the host: it is stopped, its files go, and systemd
// gets back what was taken from it. A holder that gates or pets stays, and is the
// error. One of somebody else's is left alone. Run must have ended.
func (l *Launcher) Remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, systemd.Patience)
	defer cancel()
	if l.cfg.Launch == External {
		return l.keeper.Exchange(ctx, func(ctx context.Context, s hold.Status) error {
			if err := l.busy(s.State, true); err != nil {
				return err
			}
			return l.loosen(ctx)
		})
	}
	old, _, err := l.launched.Load()
	if err != nil {
		l.log.Warn("the record of the launch is lost", "err", err)
	}
	home, _, end, err := l.find(ctx)
	if err != nil {
		return fmt.Errorf("remove the holder: %w", err)
	}
	defer end()
	running, err := home.running(ctx, old)
	if err != nil {
		return fmt.Errorf("remove the holder: %w", err)
	}
	return l.keeper.Exchange(ctx, func(ctx context.Context, s hold.Status) error {
		if err := l.busy(s.State, running); err != nil {
			return err
		}
		if err := home.stop(ctx, old); err != nil {
			return fmt.Errorf("remove the holder: %w", err)
		}
		var errs []error
		for _, path := range []string{l.paths.hostBinary(), l.paths.hostRun(configName)} {
			if err := os.Remove(l.paths.here(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
		return errors.Join(append(errs, l.loosen(ctx))...)
	})
}

// busy says why the holder cannot be taken off the host, or nil. One that is free
// could not stop its device, which would fire.
func (l *Launcher) busy(s hold.State, running bool) error {
	switch {
	case l.gating(s, running):
		return errors.New("remove the holder: it gates; drain and unarm the node first")
	case s == hold.Free || s == hold.StateUnknown && running && l.last() == hold.Free:
		return fmt.Errorf("remove the holder: its device still runs, and would reset the node: "+
			"create %s, reboot the node, and remove it then", filepath.Join("/", l.paths.BreakGlass))
	}
	return nil
}

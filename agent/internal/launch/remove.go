package launch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/picket-dev/picket/agent/internal/hold"
	"github.com/picket-dev/picket/systemd"
)

// Remove takes the holder off the host: it is stopped, its files go, and systemd
// gets back what was taken from it. A holder that gates stays, and is the error.
// One of somebody else's is left alone. Run must have ended.
func (l *Launcher) Remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, systemd.Patience)
	defer cancel()
	if l.cfg.Launch == External {
		return l.loosen(ctx)
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
		if l.gating(s.State, running) {
			return errors.New("remove the holder: it gates; drain and unarm the node first")
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

package launch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/picket-dev/picket/agent/internal/host"
	"github.com/picket-dev/picket/systemd"
)

// configured is what can be asked of the host's init about the watchdogs that it
// pets, and how its configuration gets to it.
type configured interface {
	Watchdogs(context.Context) (systemd.Watchdogs, error)
	Apply(context.Context, systemd.DropIn) (systemd.Watchdogs, error)
	Reload(context.Context) error
}

// impose places the drop-in and makes systemd obey it: what it then says counts.
func (l *Launcher) impose(ctx context.Context, m configured, d systemd.DropIn) error {
	if err := l.placeDropIn(d); err != nil {
		return err
	}
	now, err := m.Apply(ctx, d)
	if err == nil && !d.Obeyed(now) {
		err = fmt.Errorf("it has read %s, and still pets a watchdog (runtime %v, reboot %v, kexec %v)",
			"/"+systemd.DropInPath, now.Runtime, now.Reboot, now.KExec)
	}
	return err
}

// dropIn returns what the drop-in says; nothing is taken where there is none.
func (l *Launcher) dropIn() (systemd.DropIn, error) {
	text, err := os.ReadFile(l.dropInPath())
	if errors.Is(err, fs.ErrNotExist) {
		return systemd.DropIn{}, nil
	}
	if err != nil {
		return systemd.DropIn{}, fmt.Errorf("read systemd's drop-in: %w", err)
	}
	return systemd.ParseDropIn(string(text)), nil
}

// placeDropIn writes the drop-in where systemd will read it. Everybody may see
// what systemd is told.
func (l *Launcher) placeDropIn(d systemd.DropIn) error {
	if err := os.MkdirAll(filepath.Dir(l.dropInPath()), 0o755); err != nil {
		return fmt.Errorf("place systemd's drop-in: %w", err)
	}
	_, err := host.Place(l.dropInPath(), strings.NewReader(d.Text()), 0o644)
	return err
}

func (l *Launcher) dropInPath() string { return l.paths.here(systemd.DropInPath) }

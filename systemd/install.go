package systemd

import (
	"context"
	"errors"
	"fmt"

	sd "github.com/coreos/go-systemd/v22/dbus"
)

// unitFiles is what installing needs of a manager.
type unitFiles interface {
	EnableUnitFilesContext(ctx context.Context, files []string, runtime, force bool) (bool, []sd.EnableUnitFileChange, error)
	DisableUnitFilesContext(ctx context.Context, files []string, runtime bool) ([]sd.DisableUnitFileChange, error)
	ReloadContext(ctx context.Context) error
}

// Loaded returns those of the units that the host has, whether or not they run.
func (m *Manager) Loaded(ctx context.Context, units []string) ([]string, error) {
	conn, err := m.units()
	if err != nil {
		return nil, err
	}
	states, err := conn.ListUnitsByNamesContext(ctx, units)
	if err != nil {
		return nil, fmt.Errorf("ask systemd which of %v there are: %w", units, err)
	}
	return loaded(states), nil
}

func loaded(states []sd.UnitStatus) []string {
	var names []string
	for _, s := range states {
		if s.LoadState == "loaded" {
			names = append(names, s.Name)
		}
	}
	return names
}

// Enable makes the unit part of the next boots: file is its name where it lies
// where the manager looks for units, else its path on the host. The manager
// reads its files again if the unit's was changed, or if it was not enabled
// before: only then, since that costs a busy host a second.
func (m *Manager) Enable(ctx context.Context, file string, changed bool) error {
	conn, err := m.units()
	if err != nil {
		return err
	}
	return enable(ctx, conn, file, changed)
}

func enable(ctx context.Context, u unitFiles, file string, changed bool) error {
	_, links, err := u.EnableUnitFilesContext(ctx, []string{file}, false, true)
	if err == nil && (changed || len(links) > 0) {
		err = u.ReloadContext(ctx)
	}
	if err != nil {
		return fmt.Errorf("enable %s: %w", file, err)
	}
	return nil
}

// Disable stops the unit, and makes it no part of the next boots, even if it could
// not be stopped. The file itself stays.
func (m *Manager) Disable(ctx context.Context, unit string) error {
	conn, err := m.units()
	if err != nil {
		return err
	}
	return errors.Join(m.Stop(ctx, unit), disable(ctx, conn, unit))
}

func disable(ctx context.Context, u unitFiles, unit string) error {
	links, err := u.DisableUnitFilesContext(ctx, []string{unit}, false)
	if err == nil && len(links) > 0 {
		err = u.ReloadContext(ctx)
	}
	if err != nil {
		return fmt.Errorf("disable %s: %w", unit, err)
	}
	return nil
}

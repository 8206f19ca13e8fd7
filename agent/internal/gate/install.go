package gate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/picket-dev/picket/agent/internal/host"
	"github.com/picket-dev/picket/systemd"
)

// ErrNoKubelet means that the host's systemd runs no kubelet that the gate
// knows, so that there is nothing to hold.
var ErrNoKubelet = errors.New("no unit of this host is a kubelet's")

// kubelets are the units that start a kubelet.
func kubelets() []string {
	return []string{
		"kubelet.service",
		"k3s.service", "k3s-agent.service",
		"rke2-server.service", "rke2-agent.service",
		"k0scontroller.service", "k0sworker.service",
	}
}

// A Site is a host on which the gate is installed.
type Site struct {
	// Root is where the host's root is mounted.
	Root string
	// State is the directory below Root where the binary lies.
	State string
	// Binary is the agent's own binary, as this process sees it.
	Binary string
}

// manager is the host's service manager.
type manager interface {
	Loaded(ctx context.Context, units []string) ([]string, error)
	Enable(ctx context.Context, file string, changed bool) error
	Disable(ctx context.Context, unit string) error
}

// Install puts the gate of this node on the host, for the next boots: the
// binary, then the unit, then its place before the kubelet. It changes only what
// differs. The error is ErrNoKubelet where there is nothing to hold. It writes
// to disk and can block as long as the disk does.
func Install(ctx context.Context, m manager, s Site, c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	there, err := m.Loaded(ctx, kubelets())
	if err != nil {
		return fmt.Errorf("install the gate: %w", err)
	}
	if len(there) == 0 {
		return fmt.Errorf("install the gate: %w: there is none of %s", ErrNoKubelet, strings.Join(kubelets(), ", "))
	}
	text, err := systemd.Gate{Binary: "/" + s.binary(), Args: c.args(), Kubelets: there, Bound: c.Bound}.Text()
	if err != nil {
		return err
	}
	if err := s.placeBinary(); err != nil {
		return fmt.Errorf("install the gate: %w", err)
	}
	file, changed, err := s.placeUnit(text)
	if err == nil {
		err = m.Enable(ctx, file, changed)
	}
	if err != nil {
		return fmt.Errorf("install the gate: %w", err)
	}
	return nil
}

// Remove takes the gate off the host. One that is not there is no error.
func Remove(ctx context.Context, m manager, s Site) error {
	var errs []error
	there := func(unit string) bool {
		_, err := os.Lstat(filepath.Join(s.Root, unit))
		return err == nil
	}
	if slices.ContainsFunc(s.homes(), there) {
		errs = append(errs, m.Disable(ctx, systemd.GateUnit))
	}
	for _, file := range append(s.homes(), s.binary()) {
		errs = append(errs, remove(filepath.Join(s.Root, file)))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove the gate: %w", err)
	}
	return nil
}

// remove removes a file. A file system that cannot be written says so even of one
// that is not there.
func remove(file string) error {
	if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return os.Remove(file)
}

// args are the settings of a gate in words of its command line.
func (c Config) args() []string {
	args := []string{"gate", "--bound=" + c.Bound.String()}
	if c.Node != "" {
		args = append(args, "--node="+c.Node)
	}
	for _, s := range c.Servers {
		args = append(args, "--server="+s)
	}
	if !slices.Equal(c.Kubeconfigs, Default().Kubeconfigs) {
		args = append(args, "--kubeconfig="+strings.Join(c.Kubeconfigs, ","))
	}
	return args
}

// binary is the path of the host's agent below Root.
func (s Site) binary() string { return filepath.Join(s.State, "picket-agent") }

// homes are the paths below Root where the unit may lie, the better one first.
// A link to a unit below /var is a dead one while systemd reads its units on a
// host whose /var is mounted later: the gate would be left out of every boot and
// nobody would notice. But the agent may see its host's /etc without the right
// to write there; then systemd makes the link (there it has the unit's name).
func (s Site) homes() []string {
	return []string{
		filepath.Join("etc/systemd/system", systemd.GateUnit),
		filepath.Join(s.State, systemd.GateUnit),
	}
}

func (s Site) placeBinary() error {
	file, err := os.Open(s.Binary)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = host.Place(filepath.Join(s.Root, s.binary()), file, 0o755)
	return err
}

// placeUnit writes the unit into the first home that takes it, and returns how
// systemd finds it there.
func (s Site) placeUnit(text string) (file string, changed bool, err error) {
	homes := s.homes()
	first := filepath.Join(s.Root, homes[0])
	if _, err = os.Stat(filepath.Dir(first)); err == nil {
		if changed, err = host.Place(first, strings.NewReader(text), 0o644); err == nil {
			return systemd.GateUnit, changed, remove(filepath.Join(s.Root, homes[1]))
		}
	}
	changed, second := host.Place(filepath.Join(s.Root, homes[1]), strings.NewReader(text), 0o644)
	if second != nil {
		return "", false, errors.Join(err, second)
	}
	return "/" + homes[1], changed, nil
}

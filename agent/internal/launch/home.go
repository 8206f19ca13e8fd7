package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/agent/internal/watchdog"
	"github.com/picket-dev/picket/systemd"
)

// A home is where the holder runs.
type home interface {
	// running reports whether a holder of ours is there, or will be in a moment.
	running(context.Context, record) (bool, error)
	// start starts it for a device, which it knows by that path, and returns its
	// process where it is a child.
	start(ctx context.Context, c watchdog.Choice, device string) (pid int, err error)
	// stop ends it: one that is free closes its device.
	stop(context.Context, record) error
}

// unitName is the holder's service. The gate and people know it by that name.
const unitName = "picket-holder.service"

// services is what a home needs of systemd's manager.
type services interface {
	Inspect(context.Context, string) (systemd.State, error)
	Start(context.Context, systemd.Service) error
	Stop(context.Context, string) error
}

// hosted is the home of a holder that is a service of the host.
type hosted struct {
	manager services
	paths   paths
}

func (h hosted) running(ctx context.Context, _ record) (bool, error) {
	state, err := h.manager.Inspect(ctx, unitName)
	return state.Running(), err
}

// start shows the service its device under the path that its configuration has,
// also the first one: /dev/watchdog can be that of a driver outside the kernel's
// watchdog core.
func (h hosted) start(ctx context.Context, c watchdog.Choice, device string) (int, error) {
	s := systemd.Service{
		Name: unitName, Description: "Picket's watchdog holder",
		Exec:     []string{h.paths.hostBinary(), "--config", h.paths.hostRun(configName)},
		Priority: 1, Descriptors: 1,
	}
	if device != c.Path {
		s.Bind = systemd.Bind{From: c.Path, To: device}
	}
	return 0, h.manager.Start(ctx, s)
}

func (h hosted) stop(ctx context.Context, _ record) error { return h.manager.Stop(ctx, unitName) }

// firstDevice is the one that the watchdog library opens.
const firstDevice = "/dev/watchdog"

// nursery is the home of a holder that is a child of the agent. One that an
// earlier worker of the same pod has left is known by its record.
type nursery struct {
	binary, config, proc string
}

func (n nursery) running(_ context.Context, r record) (bool, error) {
	if r.PID <= 1 {
		return false, nil
	}
	name, err := os.ReadFile(filepath.Join(n.proc, fmt.Sprint(r.PID), "comm"))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) { // it may end while it is read
		return false, nil
	}
	return strings.TrimSpace(string(name)) == comm(filepath.Base(n.binary)), err
}

// comm is what the kernel keeps of a program's name.
func comm(name string) string { return name[:min(len(name), 15)] }

// start starts the holder in a session of its own: a signal to the agent's
// group is not for it, and it outlives a worker that crashes.
func (n nursery) start(context.Context, watchdog.Choice, string) (int, error) {
	cmd := exec.Command(n.binary, "--config", n.config)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start the holder as a child: %w", err)
	}
	go func() { _ = cmd.Wait() }() // the keeper notices its end
	return cmd.Process.Pid, nil
}

// stop asks it to leave, and waits.
func (n nursery) stop(ctx context.Context, r record) error {
	if running, err := n.running(ctx, r); err != nil || !running {
		return err
	}
	if err := unix.Kill(r.PID, unix.SIGTERM); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("stop the holder (pid %d): %w", r.PID, err)
	}
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		if running, err := n.running(ctx, r); err != nil || !running {
			return err
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return fmt.Errorf("stop the holder (pid %d): %w", r.PID, context.Cause(ctx))
		}
	}
}

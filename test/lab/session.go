package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// session runs one lab: it builds what is missing, and then starts this program
// again inside namespaces of its own. The program inside is the first process
// of a PID namespace: when it ends, for whatever reason, the kernel ends all
// that it started, and with the last of them go network and mounts.
func session(ctx context.Context, o options) error {
	if err := o.Validate(); err != nil {
		return err
	}
	unlock, err := lockLab()
	if err != nil {
		return err
	}
	defer unlock()
	if o.Dir, err = os.MkdirTemp("", "picket-lab-"); err != nil {
		return fmt.Errorf("make the lab's directory: %w", err)
	}
	defer os.RemoveAll(o.Dir)
	if o.Logs == "" {
		o.Logs = filepath.Join(os.TempDir(), "picket-lab-logs")
	}
	if o.Logs, err = filepath.Abs(o.Logs); err != nil {
		return err
	}
	if o.Built, err = buildAll(ctx, o.Dir, o.Bare, os.Stdout); err != nil {
		return err
	}
	return enter(ctx, o)
}

// lockLab makes this the only lab of this user: more than one starves two
// cores, and then measures nothing.
func lockLab() (unlock func(), err error) {
	path, err := cacheFile("lab.lock")
	if err != nil {
		return nil, fmt.Errorf("lock the lab: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the lab: %w", err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.New("another lab runs: end it with `lab down`, or play in it with `lab run`")
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { file.Close() }, nil
}

// enter starts the program inside and waits for its end.
func enter(ctx context.Context, o options) error {
	config, err := json.Marshal(o)
	if err != nil {
		return err
	}
	file := filepath.Join(o.Dir, "options.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("enter the lab's namespaces: %w", err)
	}
	cmd := exec.Command("nice", "-n", priority, self, "inside", file)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true, // an interrupt of the terminal reaches it by us alone
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	// The parent-death signal is the thread's.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("enter the lab's namespaces: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer stop()
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exitCode(exit.ExitCode())
	}
	if err != nil {
		return fmt.Errorf("the lab's process: %w", err)
	}
	return nil
}

// insideCommand is this program inside the namespaces.
func insideCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "inside FILE",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
			defer cancel()
			text, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			var o options
			if err := json.Unmarshal(text, &o); err != nil {
				return err
			}
			return inside(ctx, o)
		},
	}
}

// priority is the nice value of all that runs inside. A node does not share its
// processor with a compiler: where others work on this machine, the lab's nodes
// and control plane go first.
const priority = "-10"

// inside plays in the namespaces.
func inside(ctx context.Context, o options) error {
	if os.Getpid() != 1 {
		return errors.New("`lab inside` is what the lab starts by itself: use `lab up` or `lab run`")
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	// Where the kernel groups by session, nice weighs in the group only, and the
	// group has a nice value of its own.
	_ = os.WriteFile("/proc/self/autogroup", []byte(priority), 0)
	ctx, down := context.WithCancel(ctx)
	defer down()
	l := newLab(o, os.Stdout)
	defer l.stop()
	control, err := l.listen(ctx, down)
	if err != nil {
		return err
	}
	defer control.Close()
	if err := l.begin(ctx); err != nil {
		return fmt.Errorf("%w\nlogs: %s", err, l.collect("start"))
	}
	if len(o.Scenarios) > 0 {
		failed := l.playAll(ctx, o.Scenarios, l.out)
		if !o.Keep {
			return failed
		}
	}
	l.say("the lab is up: `lab run`, `lab exec NODE COMMAND`, `lab down`")
	<-ctx.Done()
	return nil
}

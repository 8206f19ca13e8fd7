package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// restartAfter is how long a crashed worker stays down: much less than the
	// kubelet's back-off, and less than L.
	restartAfter = 200 * time.Millisecond
	// restartMost bounds the pause of a worker that crashes again and again.
	restartMost = 2 * time.Second
	// healthy is how long a worker must have run to be restarted at once again.
	healthy = 10 * time.Second
)

// Supervise runs the worker command until it exits with 0 or a signal ends the
// supervisor, and restarts it whenever it ends otherwise: a crash of the agent
// costs 200 ms and not the kubelet's back-off. Signals are passed on. The worker
// is scheduled in real time, as far as the kernel grants that.
func Supervise(ctx context.Context, log *slog.Logger, argv []string) error {
	// The worker dies with the thread that started it, so keep that thread; for
	// good, since nothing else of this process is real-time.
	runtime.LockOSThread()
	if err := realTime(); err != nil {
		log.Warn("a saturated processor can starve this agent, and then resets the node", "err", err)
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)
	stopping := false
	pause := restartAfter
	for {
		started := time.Now()
		err := work(ctx, argv, signals, &stopping)
		if err == nil || stopping {
			return err
		}
		if time.Since(started) > healthy {
			pause = restartAfter
		}
		log.Error("worker ended: restarting it", "err", err, "after", pause)
		select {
		case <-time.After(pause):
		case <-signals:
			return nil
		case <-ctx.Done():
			return nil
		}
		pause = min(2*pause, restartMost)
	}
}

// realTime lets this thread, and every process that it starts, go before all that
// is not real-time: a roll must come through however many others want the
// processor, and a weight among the pods does not promise that.
func realTime() error {
	lowest := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}
	if err := unix.SchedSetAttr(0, &lowest, 0); err != nil {
		return fmt.Errorf("take SCHED_RR (CAP_SYS_NICE): %w", err)
	}
	return nil
}

// work runs the worker once and passes signals on to it.
func work(ctx context.Context, argv []string, signals <-chan os.Signal, stopping *bool) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start worker: %w", err)
	}
	_ = shrink() // from here on this process only waits
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	done := ctx.Done()
	for {
		select {
		case err := <-ended:
			if exit, ok := errors.AsType[*exec.ExitError](err); ok {
				return fmt.Errorf("worker: %w", exit)
			}
			return err
		case s := <-signals:
			*stopping = true
			_ = cmd.Process.Signal(s)
		case <-done:
			*stopping = true
			done = nil
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
	}
}

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
	// tellAfter is how long a worker runs that was restarted though this process was
	// told to stop, before it is told, too: it must have begun to listen.
	tellAfter = 2 * time.Second
	// lastTries bounds such restarts without a healthy run: a worker that cannot run
	// at all guards nothing.
	lastTries = 10
)

// Supervise runs the worker command until it exits with 0, and restarts it whenever
// it ends otherwise: a crash of the agent costs 200 ms and not the kubelet's
// back-off. Each signal is passed on as the SIGTERM that the worker knows; one that
// stays after it, since its node would reset, is restarted as any other, unless it
// keeps crashing. The worker is scheduled in real time, as far as the kernel grants that.
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
	told := false // to end
	pause, crashes := restartAfter, 0
	for {
		started := time.Now()
		err := work(ctx, argv, signals, &told)
		if time.Since(started) > healthy {
			pause, crashes = restartAfter, 0
		}
		crashes++
		if err == nil || told && crashes > lastTries {
			return err
		}
		log.Error("worker ended: restarting it", "err", err, "after", pause)
		select {
		case <-time.After(pause):
		case <-signals:
			told = true
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

// work runs the worker once and passes on to it that it was told to end, also before.
func work(ctx context.Context, argv []string, signals <-chan os.Signal, told *bool) error {
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
	var tell <-chan time.Time
	if *told {
		done, tell = nil, time.After(tellAfter)
	}
	for {
		select {
		case err := <-ended:
			if exit, ok := errors.AsType[*exec.ExitError](err); ok {
				return fmt.Errorf("worker: %w", exit)
			}
			return err
		case <-signals:
		case <-done:
			done = nil
		case <-tell:
		}
		*told = true
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	}
}

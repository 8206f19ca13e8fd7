package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Command says what to start.
type Command struct {
	// Name names the child in errors.
	Name string
	// Argv is the program and its arguments; a program without a slash is
	// looked up in PATH.
	Argv []string
	// Env is added to the environment of the test.
	Env []string
	// Dir is the working directory; empty means the test's own.
	Dir string
	// Log is the file that stdout and stderr are appended to; empty discards
	// them.
	Log string
	// Group is the process group to join; 0 makes the child the leader of a
	// new one.
	Group int
}

// Process is a started child.
type Process struct {
	name string
	pid  int
	pgid int
	own  bool // leads its group
	done chan struct{}
	// state is written before done is closed.
	state *os.ProcessState
}

// Start starts the command. The caller must end the child with Stop or
// KillGroup; a test that dies first takes the child with it.
func Start(c Command) (*Process, error) {
	path, err := exec.LookPath(c.Argv[0])
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	out, err := openLog(c.Log)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	defer out.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	defer null.Close()

	child, err := spawn(path, c.Argv, &os.ProcAttr{
		Dir:   c.Dir,
		Env:   append(os.Environ(), c.Env...),
		Files: []*os.File{null, out, out},
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pgid: c.Group},
	})
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	p := &Process{name: c.Name, pid: child.Pid, pgid: c.Group, done: make(chan struct{})}
	if c.Group == 0 {
		p.pgid, p.own = child.Pid, true
		guard().add(p.pgid)
	}
	go func() {
		p.state, _ = child.Wait()
		close(p.done)
	}()
	return p, nil
}

func openLog(path string) (*os.File, error) {
	if path == "" {
		return os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	}
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
}

// PID is the child's process ID.
func (p *Process) PID() int { return p.pid }

// Group is the ID of the child's process group.
func (p *Process) Group() int { return p.pgid }

// Done is closed once the child has ended and was reaped.
func (p *Process) Done() <-chan struct{} { return p.done }

// State says how the child ended; it is nil while the child runs.
func (p *Process) State() *os.ProcessState {
	select {
	case <-p.done:
		return p.state
	default:
		return nil
	}
}

// Signal sends a signal to the child alone. It reports os.ErrProcessDone for
// a child that has ended.
func (p *Process) Signal(sig syscall.Signal) error {
	select {
	case <-p.done:
		return fmt.Errorf("signal %s: %w", p.name, os.ErrProcessDone)
	default:
	}
	if err := syscall.Kill(p.pid, sig); err != nil {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	return nil
}

// KillGroup sends SIGKILL to the child's whole group, at once, and waits for
// the child itself to be reaped. A group without members is no error.
func (p *Process) KillGroup() {
	_ = syscall.Kill(-p.pgid, syscall.SIGKILL)
	<-p.done
	if p.own {
		guard().remove(p.pgid)
	}
}

// Stop ends the child with SIGTERM and, when ctx is done or the grace has
// passed, its whole group with SIGKILL. It returns once the child is reaped.
func (p *Process) Stop(ctx context.Context, grace time.Duration) error {
	defer p.KillGroup()
	if err := p.Signal(syscall.SIGTERM); errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
		return fmt.Errorf("stop %s: still running %s after SIGTERM, killed", p.name, grace)
	case <-ctx.Done():
		return fmt.Errorf("stop %s: %w", p.name, ctx.Err())
	}
}

// Name is the name given in Command.
func (p *Process) Name() string { return p.name }

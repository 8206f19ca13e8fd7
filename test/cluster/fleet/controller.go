package fleet

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/picket-dev/picket/test/cluster/controlplane"
	"github.com/picket-dev/picket/test/cluster/proc"
	"github.com/picket-dev/picket/test/cluster/proxy"
)

// A Controller is one replica of picket-controller, with its own way to the
// API.
type Controller struct {
	Name string
	API  *proxy.API

	argv []string
	log  string

	mu      sync.Mutex
	proc    *proc.Process
	starts  int
	stopped bool
}

// restartAfter is how long a controller that ended stays away.
const restartAfter = 500 * time.Millisecond

// StartController starts a replica that reaches the API by the proxy. Its log
// and kubeconfig are NAME.log and NAME.kubeconfig in dir. The caller must call
// End.
func StartController(ctx context.Context, plane *controlplane.Plane, api *proxy.API, bin Binaries, dir, name string) (*Controller, error) {
	if err := plane.WaitServiceAccount(ctx, Namespace, "picket-controller"); err != nil {
		return nil, err
	}
	token, err := plane.TokenFor(ctx, Namespace, "picket-controller", "")
	if err != nil {
		return nil, err
	}
	kubeconfig := filepath.Join(dir, name+".kubeconfig")
	if err := plane.WriteKubeconfig(kubeconfig, api.URL(), token); err != nil {
		return nil, err
	}
	c := &Controller{
		Name: name, API: api, log: filepath.Join(dir, name+".log"),
		argv: []string{bin.Controller, "--kubeconfig", kubeconfig, "--namespace", Namespace},
	}
	return c, c.start()
}

// start starts the replica and, as a Deployment would, starts it again whenever
// it ends by itself: a leader that lost its lease exits.
func (c *Controller) start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return nil
	}
	// Like a container's, each start has an identity of its own: the lease of the
	// one before must run out.
	c.starts++
	argv := append(slices.Clone(c.argv), "--identity", c.identity())
	p, err := proc.Start(proc.Command{Name: c.Name, Argv: argv, Log: c.log})
	if err != nil {
		return err
	}
	c.proc = p
	go func() {
		<-p.Done()
		time.Sleep(restartAfter)
		_ = c.start()
	}()
	return nil
}

// identity is the name in the lease of the process that runs now, or ran last.
func (c *Controller) identity() string { return fmt.Sprintf("%s-%d", c.Name, c.starts) }

// Runs reports whether the identity is that of a process of this replica that runs:
// the lease names one that ended until it runs out.
func (c *Controller) Runs(identity string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.proc != nil && c.proc.State() == nil && identity == c.identity()
}

// current is the process that runs now, or ran last.
func (c *Controller) current() *proc.Process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.proc
}

// Kill ends the replica's process without a word; it is started again.
func (c *Controller) Kill() { c.current().KillGroup() }

// Pause stops the replica's process as a hang does; Resume lets it go on.
func (c *Controller) Pause() error { return c.current().Signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (c *Controller) Resume() error { return c.current().Signal(syscall.SIGCONT) }

// PID is the process ID of the replica that runs now, or ran last.
func (c *Controller) PID() int { return c.current().PID() }

// End ends the replica for good.
func (c *Controller) End() {
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	c.Kill()
}

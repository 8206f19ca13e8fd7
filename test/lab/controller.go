package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/picket-dev/picket/test/cluster/fleet"
	"github.com/picket-dev/picket/test/cluster/proc"
)

// controller runs picket-controller on the control plane's host, and starts it
// again whenever it ends by itself, as a Deployment would: a leader that lost its
// lease exits.
type controller struct {
	argv []string
	log  string

	mu      sync.Mutex
	process *proc.Process
	starts  int
	stopped bool
}

// restartAfter is how long a controller that ended stays away.
const restartAfter = time.Second

// startController runs picket-controller with its own ServiceAccount.
func (l *lab) startController(ctx context.Context) error {
	const account = "picket-controller"
	if err := l.plane.WaitServiceAccount(ctx, fleet.Namespace, account); err != nil {
		return err
	}
	token, err := l.plane.TokenFor(ctx, fleet.Namespace, account, "")
	if err != nil {
		return err
	}
	kubeconfig := l.path("controller.kubeconfig")
	if err := l.plane.WriteKubeconfig(kubeconfig, l.plane.URL(), token); err != nil {
		return err
	}
	l.controller = &controller{
		argv: []string{l.opts.Built.Controller, "--kubeconfig", kubeconfig, "--namespace", fleet.Namespace},
		log:  l.path("controller.log"),
	}
	return l.controller.start()
}

// start starts the process, under a name of its own each time: the lease of the
// one before must run out.
func (c *controller) start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return nil
	}
	c.starts++
	argv := append(append([]string(nil), c.argv...), "--identity", fmt.Sprintf("lab-%d", c.starts))
	p, err := proc.Start(proc.Command{Name: "picket-controller", Argv: argv, Log: c.log})
	if err != nil {
		return err
	}
	c.process = p
	go func() {
		<-p.Done()
		time.Sleep(restartAfter)
		_ = c.start()
	}()
	return nil
}

// end ends it for good.
func (c *controller) end() {
	c.mu.Lock()
	c.stopped = true
	p := c.process
	c.mu.Unlock()
	p.KillGroup()
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/test/lab/network"
)

// A look is one command during a partition: with what exit code it ended, and what
// its screen must tell at least.
type look struct {
	command string
	exit    int
	tells   []string

	shown string
}

// A chapter is what one place saw at one time.
type chapter struct {
	title string
	looks []*look
}

// eyes cuts a node off, has every command look at it from where a person would, and
// writes the screens down, for deploy/PARTITION.md.
func eyes(ctx context.Context, r *run) error {
	v, err := r.first(ctx)
	if err != nil {
		return err
	}
	n := r.other(v.node)
	cut := &chapter{"On the node that is cut off", []*look{
		{command: "picket-agent peers", exit: 1, tells: []string{"lost", n.Name()}},
		{command: "picket-agent matrix", exit: 1, tells: []string{v.Name() + " hears none of its"}},
		{command: "picket-agent why", tells: []string{"A5", "no roll"}},
		{command: "picket-agent watchdog", tells: []string{hardwareDog}},
		{command: "picket-agent devices", exit: 1, tells: []string{"not known without the API"}},
		{command: "picket-agent status", exit: 2, tells: []string{"resets in"}},
	}}
	beside := &chapter{"On a neighbour", []*look{
		{command: "picket-agent peers", exit: 1, tells: []string{"lost", v.Name()}},
		{command: "picket-agent matrix", exit: 1, tells: []string{v.Name()}},
		{command: "picket-agent status", exit: 1, tells: []string{"lost: " + v.Name()}},
		{command: "picket-agent support-bundle -f - | tar tz", tells: []string{"status"}},
		{command: "picket-agent doctor", tells: []string{"PeerUnreachable: " + v.Name()}},
	}}
	api := &chapter{"At the API, while the wait runs", []*look{
		{command: "kubectl picket status", exit: 2, tells: []string{v.Name()}},
		{command: "kubectl picket matrix", exit: 1, tells: []string{v.Name()}},
		{command: "kubectl picket explain-wait " + v.Name(), tells: []string{"W = "}},
		{command: "kubectl picket timeline " + v.Name(), exit: 2, tells: []string{"C1", "C4", "reported lost by"}},
		{command: "kubectl picket where " + v.Name(), tells: []string{v.Name()}},
		{command: "kubectl picket fence " + v.Name() + " --yes", exit: 3, tells: []string{"is being fenced already"}},
		{command: "kubectl picket pause --for 30m --reason switch", tells: []string{"is carried to its end"}},
		{command: "kubectl picket resume", tells: []string{"fencing goes on"}},
	}}
	r.cutNow(v)
	if err := network.Cut(ctx, network.Cluster, v.number, network.Both); err != nil {
		return err
	}
	var there error
	var places sync.WaitGroup
	places.Go(func() {
		time.Sleep(v.site.LostAfter())
		there = r.read(ctx, cut, v.node)
	})
	err = r.fencePhase(ctx, time.Minute, v.Name(), v1alpha1.FenceWithheld)
	if err == nil {
		err = errors.Join(r.read(ctx, api, nil), r.read(ctx, beside, n))
	}
	places.Wait()
	if err := errors.Join(there, err, r.tainted(ctx, v)); err != nil {
		return err
	}
	moved := &chapter{"At the API, when the volumes have moved", []*look{
		{command: "kubectl picket timeline " + v.Name(), exit: 1, tells: []string{"C5", "tainted out-of-service"}},
		{command: "kubectl picket confirm " + v.Name() + " --yes", exit: 3, tells: []string{"is proven dead already"}},
		{command: "kubectl picket report --html picket.html", tells: []string{"picket.html"}},
		{command: "kubectl picket doctor", tells: []string{v.Name()}},
	}}
	if err := errors.Join(r.read(ctx, moved, nil), network.Heal(ctx, network.Cluster, v.number), r.recovered(ctx, v)); err != nil {
		return err
	}
	back := &chapter{"When the node is back", []*look{
		{command: "kubectl picket timeline " + v.Name(), tells: []string{"C7", "C8", "welcome back"}},
		{command: "kubectl picket status", tells: []string{v.Name()}},
	}}
	if err := r.read(ctx, back, nil); err != nil {
		return err
	}
	return r.keep(cut, beside, api, moved, back)
}

// read has a chapter's commands run, on a node or else on the host, one after the
// other, and fails if one tells something else than it must.
func (r *run) read(ctx context.Context, c *chapter, n *node) error {
	var failed []error
	for _, l := range c.looks {
		ran := time.Now()
		exit, err := r.ask(ctx, l, n)
		if err == nil && exit != l.exit {
			err = fmt.Errorf("exit code %d, want %d", exit, l.exit)
		}
		for _, word := range l.tells {
			if err == nil && !strings.Contains(l.shown, word) {
				err = fmt.Errorf("it does not tell of %q", word)
			}
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %s: %w\n%s", c.title, l.command, err, l.shown))
			continue
		}
		r.say("%s: %s, within %.1f s", c.title, l.command, time.Since(ran).Seconds())
	}
	return errors.Join(failed...)
}

// ask runs a command, and returns its exit code.
func (r *run) ask(ctx context.Context, l *look, n *node) (exit int, err error) {
	if n != nil {
		command := strings.Replace(l.command, "picket-agent", `nsenter -t "$p" -m /usr/local/bin/picket-agent`, 1)
		reply, err := n.Do(ctx, 30*time.Second, `p=$(pgrep -o -x picket-agent) && `+command+" 2>&1", nil)
		l.shown = string(reply.Out)
		if reply.Exit != 0 {
			err = nil // it is the answer
		}
		return reply.Exit, err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.opts.Built.Plugin, strings.Fields(l.command)[2:]...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+r.path("control-plane/admin.kubeconfig"))
	cmd.Dir = r.opts.Dir
	text, err := cmd.CombinedOutput()
	l.shown = string(text)
	if left := (*exec.ExitError)(nil); errors.As(err, &left) {
		err = nil // it is the answer
	}
	return cmd.ProcessState.ExitCode(), err
}

// keep writes the chapters to PARTITION.md among the logs.
func (r *run) keep(chapters ...*chapter) error {
	var text strings.Builder
	text.WriteString("# A partition, as each command shows it\n\n" +
		"A node of three loses the network of the cluster; its storage stays. These are the\n" +
		"screens of one such cut, as the lab's scenario `eyes` has taken them on real nodes,\n" +
		"in virtual machines, with its own profile of times (`busy`).\n")
	for _, c := range chapters {
		fmt.Fprintf(&text, "\n## %s\n", c.title)
		for _, l := range c.looks {
			fmt.Fprintf(&text, "\n```console\n$ %s\n%s\n```\n\nExit code %d.\n", l.command, strings.TrimRight(l.shown, "\n"), l.exit)
		}
	}
	file := filepath.Join(r.opts.Logs, "PARTITION.md")
	if err := os.MkdirAll(r.opts.Logs, 0o755); err != nil {
		return fmt.Errorf("keep the screens: %w", err)
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
		return fmt.Errorf("keep the screens: %w", err)
	}
	r.say("the screens are in %s", file)
	return nil
}

package uninstall

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/picket-dev/picket/proto/api/client"
)

// Config says where Picket is to be taken off.
type Config struct {
	Kube   kubernetes.Interface
	Picket *client.Client
	// Namespace is where Picket's pods and the leader lease are.
	Namespace string
	// Lease is the name of the leader lease.
	Lease string
	// Out is told how far it is, a line for each change.
	Out io.Writer
	// Pace is how often the cluster is looked at.
	Pace time.Duration
	// Patience is how long an unarmed node may take to say that its host is clean,
	// once no node is armed any more.
	// One whose agent is of a version that does not know how, or is not there,
	// never says so; it resets nobody, and is left behind with a word. It does not
	// end for a node that was fenced and has not rejoined.
	Patience time.Duration
	// Still is how long the leader lease must stand still before nobody leads: more
	// than its life.
	Still time.Duration
	// Settle is the pause at the end, in which every API server hears that the Roll
	// is gone.
	Settle time.Duration
}

// Default returns the settings of a real cluster. The clients and Out remain to
// be set.
func Default() Config {
	return Config{
		Namespace: "picket", Lease: "picket-controller",
		Pace: time.Second, Patience: time.Minute, Still: 6 * time.Second, Settle: 3 * time.Second,
	}
}

// Run takes Picket off. The error says which node or object is in the way; to run
// it again goes on from there. Until it has ended without an error, nobody who was
// armed lost a right that he needs.
func Run(ctx context.Context, c Config) error {
	u := &run{Config: c, since: time.Now()}
	for _, step := range []struct {
		what string
		do   func(context.Context) error
		// final says that it cannot be taken back: it needs the mark.
		final bool
	}{
		{"tell the agents to leave", u.mark, false},
		{"wait until no node is armed and every host is clean", u.awaitHosts, false},
		{"wait for the fences that run", u.awaitFences, false},
		{"stop the agents", u.stopAgents, true},
		{"stop the controller", u.stopController, true},
		{"lift Picket's taints", u.liftTaints, true},
		{"delete Picket's objects", u.clear, true},
	} {
		u.say("%s", step.what)
		var err error
		if step.final {
			err = u.marked(ctx)
		}
		if err == nil {
			err = step.do(ctx)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	u.say("done: no node is armed, tainted or knows Picket any more")
	return nil
}

// A run is one attempt.
type run struct {
	Config
	since time.Time // when it began, or last saw an armed node: no agent leaves before
	last  string
}

// say prints a line, once.
func (u *run) say(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if line == u.last {
		return
	}
	u.last = line
	fmt.Fprintf(u.Out, "%s %s\n", time.Now().UTC().Format("15:04:05"), line)
}

// late reports whether the agents have had the time to clean their hosts.
func (u *run) late() bool { return time.Since(u.since) >= u.Patience }

// await looks until there is nothing left to wait for. What it waited for when ctx
// ended is the error.
func (u *run) await(ctx context.Context, look func(context.Context) (left string, err error)) error {
	tick := time.NewTicker(u.Pace)
	defer tick.Stop()
	left := "the API server has not answered"
	for {
		now, err := look(ctx)
		switch {
		case err == nil && now == "":
			return nil
		case err == nil:
			left = now
			u.say("  %s", now)
		case ctx.Err() == nil:
			u.say("  %v", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(errors.New(left), context.Cause(ctx))
		}
	}
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// pressure takes processor, memory and disk from everybody on the workload's
// node, all at once, for five minutes.
func pressure(ctx context.Context, r *run) error {
	return r.besieged(ctx, 5*time.Minute, [][]string{{"cpu"}, {"memory"}, {"io", "/scratch/file"}})
}

// forkBomb takes every process that the node can run, from inside a pod.
func forkBomb(ctx context.Context, r *run) error {
	return r.besieged(ctx, 2*time.Minute, [][]string{{"fork"}})
}

// besieged runs hogs on the workload's node for a while. Nobody is fenced, and
// nothing resets.
func (r *run) besieged(ctx context.Context, d time.Duration, hogs [][]string) error {
	n, err := r.writer(ctx, time.Minute)
	if err != nil {
		return err
	}
	var names []string
	for _, args := range hogs {
		names = append(names, args[0])
		if err = r.hog(ctx, n, args...); err != nil {
			break
		}
	}
	if err == nil {
		r.say("%v on %s for %v", names, n.Name(), d)
		err = r.stays(ctx, d, "a healthy node under pressure", r.calm)
	}
	if err := errors.Join(err, r.slaughter(context.WithoutCancel(ctx), n, names...)); err != nil {
		return err
	}
	if err := r.armed(ctx, 2*time.Minute, r.names()...); err != nil {
		return err
	}
	// A node that has just been given back its processes may not run one more yet.
	return eventually(ctx, time.Minute, "the status of "+n.Name(), func(ctx context.Context) (err error) {
		r.petDelay, err = n.worstPetDelay(ctx)
		return err
	})
}

// worstPetDelay is how late the holder's latest ping was, since it started.
func (n *node) worstPetDelay(ctx context.Context) (time.Duration, error) {
	text, err := n.agent(ctx, "status -o json")
	if err != nil {
		return 0, err
	}
	var status struct {
		Watchdog struct {
			WorstPetDelay string `json:"worstPetDelay"`
		} `json:"watchdog"`
	}
	if err := json.Unmarshal([]byte(text), &status); err != nil {
		return 0, fmt.Errorf("status of %s: %w: %s", n.Name(), err, text)
	}
	return time.ParseDuration(status.Watchdog.WorstPetDelay)
}

// agent asks the node's agent by its own command line, whose exit codes 1 and 2
// say how the node stands.
func (n *node) agent(ctx context.Context, command string) (string, error) {
	reply, err := n.Do(ctx, 30*time.Second, `p=$(pgrep -o -x picket-agent) && exec nsenter -t "$p" -m /usr/local/bin/picket-agent `+command, nil)
	if reply.Exit == 1 || reply.Exit == 2 {
		err = nil
	}
	return string(reply.Out), err
}

// fullDisk fills the root disk of the workload's node to the last block.
func fullDisk(ctx context.Context, r *run) error {
	n, err := r.writer(ctx, time.Minute)
	if err != nil {
		return err
	}
	// What somebody else gives back meanwhile is filled as well.
	err = eventually(ctx, time.Minute, "the disk to be full", func(ctx context.Context) error {
		return r.sh(ctx, n, `avail() { df --output=avail -B1 / | tail -n 1; }
			[ -e /filler ] || fallocate -l "$(avail)" /filler || fallocate -l "$(($(avail) - 1048576))" /filler
			dd if=/dev/zero bs=4k 2>/dev/null >>/filler.rest; [ "$(avail)" -eq 0 ]`)
	})
	if err == nil {
		r.say("the disk of %s is full", n.Name())
		err = r.stays(ctx, 90*time.Second, "a node with a full disk", r.calm)
	}
	if err := errors.Join(err, r.sh(context.WithoutCancel(ctx), n, "rm -f /filler /filler.rest")); err != nil {
		return err
	}
	return r.armed(ctx, 2*time.Minute, r.names()...)
}

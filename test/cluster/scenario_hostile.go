package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/test/cluster/hostile"
	"github.com/picket-dev/picket/test/cluster/stage"
)

const (
	malformed = 10_000
	halfOpen  = 1_000
)

// hostilePeers attacks the port of an armed node's agent, and counts whatever is
// disturbed by it.
func hostilePeers(ctx context.Context, r *run) error {
	if _, err := r.armedWriter(ctx); err != nil {
		return err
	}
	victim, thief := r.Nodes[0], r.Nodes[1]
	ask, end, err := r.admin(victim)
	if err != nil {
		return err
	}
	defer end()
	before, err := ask(ctx)
	if err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	watch := &watcher{run: r, ask: ask}
	var eyes sync.WaitGroup
	eyes.Go(func() { watch.look(watching) })

	a := hostile.Attack{
		Target:    netip.AddrPortFrom(victim.Addr, stage.ListenPort),
		Neighbour: filepath.Join(thief.Machine.Identity().Root, "run/picket/peer.key"),
		Messages:  malformed, HalfOpen: halfOpen, Seed: uint64(time.Now().UnixNano()),
	}
	r.say("%s is attacked (seed %d)", victim.Name, a.Seed)
	sent, err := a.Malformed(ctx)
	if err == nil {
		r.say("%d malformed messages were sent", sent)
	}
	opened, closed, trouble := a.Unfinished(ctx)
	r.say("%d connections were left half-open, and %d of them closed", opened, closed)
	stop()
	eyes.Wait()
	after, lost := ask(ctx)
	if err := errors.Join(err, trouble, lost); err != nil {
		return err
	}
	worst := max(watch.worst, after.GetWatchdog().GetWorstPetDelay().AsDuration())
	left := "-"
	if watch.samples > 0 {
		left = fmt.Sprintf("%.2f", watch.left.Seconds())
	}
	fmt.Printf("RESULT malformed=%d half_open=%d worst_pet_delay_s=%.3f disturbed=%d pets=%d least_pet_left_s=%s\n",
		sent, opened, worst.Seconds(), len(watch.disturbed), after.GetWatchdog().GetPets()-before.GetWatchdog().GetPets(), left)
	switch {
	case sent != malformed || opened != halfOpen || closed != opened:
		return fmt.Errorf("%d of %d messages, %d of %d half-open connections, %d of them closed", sent, malformed, opened, halfOpen, closed)
	case len(watch.disturbed) > 0:
		return fmt.Errorf("%d disturbances: %w", len(watch.disturbed), watch.disturbed[0])
	case watch.samples == 0:
		return errors.New("nobody saw how much time was left to pet: the watcher was blind")
	case after.GetWatchdog().GetPets() <= before.GetWatchdog().GetPets():
		return errors.New("nothing was petted meanwhile")
	case worst > r.profile.PetDelay:
		return fmt.Errorf("a pet was %v late, δ is %v", worst, r.profile.PetDelay)
	}
	return errors.Join(r.calm(ctx), r.fewRefusals(victim))
}

// admin connects to a node's agent as its CLI does.
func (r *run) admin(n *stage.Node) (ask func(context.Context) (*peerv1.StatusReply, error), end func(), err error) {
	conn, err := grpc.NewClient("unix:"+filepath.Join(n.Machine.Identity().Root, "run/picket/agent.sock"),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, nil, err
	}
	client := peerv1.NewAdminClient(conn)
	ask = func(ctx context.Context) (*peerv1.StatusReply, error) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		return client.Status(ctx, &peerv1.StatusRequest{})
	}
	return ask, func() { _ = conn.Close() }, nil
}

// A watcher looks whether anything is disturbed.
type watcher struct {
	run       *run
	ask       func(context.Context) (*peerv1.StatusReply, error)
	disturbed []error
	worst     time.Duration // the holder's worst delay of a pet
	samples   int           // how often it saw what was left to pet
	left      time.Duration // the least of that; without samples it means nothing
}

// look looks until ctx ends: at the agent's own word five times a second, and every
// second at what the cluster says of all nodes.
func (w *watcher) look(ctx context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s, err := w.ask(ctx)
		if err == nil {
			w.worst = max(w.worst, s.GetWatchdog().GetWorstPetDelay().AsDuration())
			if left := s.GetPetLeft(); left != nil {
				w.take(left.AsDuration())
			}
			if s.GetPhase() != "Armed" {
				err = fmt.Errorf("the agent is %s %s: %s", s.GetPhase(), s.GetReason(), s.GetMessage())
			}
			for _, p := range s.GetPeers() {
				if p.GetLost() {
					err = fmt.Errorf("the agent has lost %s", p.GetNode())
				}
			}
		}
		if err == nil && n%5 == 0 {
			err = w.all(ctx)
		}
		if err != nil && ctx.Err() == nil {
			w.disturbed = append(w.disturbed, err)
		}
	}
}

// take takes a sample of the time that is left to pet.
func (w *watcher) take(left time.Duration) {
	if w.samples == 0 || left < w.left {
		w.left = left
	}
	w.samples++
}

// all looks at all nodes' guards.
func (w *watcher) all(ctx context.Context) error {
	list, err := w.run.Client.NodeGuards.List(ctx, listAll)
	if err != nil {
		return err
	}
	for _, g := range list.Items {
		if !g.Status.Promise.Armed || len(g.Status.Lost) > 0 {
			return fmt.Errorf("%s: armed %t, %s, has lost %v", g.Name, g.Status.Promise.Armed, g.Status.Reason, g.Status.Lost)
		}
	}
	return w.run.calm(ctx)
}

// fewRefusals fails unless the agent has said that keys were refused, and not
// without end.
func (r *run) fewRefusals(n *stage.Node) error {
	logs, err := filepath.Glob(filepath.Join(n.Machine.Identity().Root, "log/agent*.log"))
	if err != nil || len(logs) == 0 {
		return fmt.Errorf("no log of the agent: %w", err)
	}
	refused := 0
	for _, log := range logs {
		text, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		refused += bytes.Count(text, []byte("refused a caller's key"))
	}
	if refused == 0 || refused > 30 {
		return fmt.Errorf("%d lines of refused keys in %v", refused, logs)
	}
	return nil
}

package rejoin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/picket-dev/picket/agent/internal/block"
	"github.com/picket-dev/picket/agent/internal/block/child"
	"github.com/picket-dev/picket/agent/teardown"
)

// ErrStuck says that a step was not done within its bound, or that the host does
// not show it as done: only what the plan has for that is safe now.
var ErrStuck = errors.New("the step is stuck")

// An Executor carries out steps. Look may be called at any time; of its other
// methods one at a time.
type Executor struct {
	config Config
	run    *child.Runner
	look   func(context.Context) teardown.Inventory
}

// New returns an Executor for a valid Config. The Runner's children must do the
// work of block.Probes and Steps.
func New(c Config, run *child.Runner) *Executor {
	return &Executor{config: c, run: run, look: block.NewReader(c.Host, run).Read}
}

// Look takes an inventory, with what this boot remembers beside it.
func (e *Executor) Look(ctx context.Context) teardown.Inventory {
	inv := e.look(ctx)
	m, err := e.recall()
	if err != nil {
		inv.Unknown = append(inv.Unknown, teardown.Unknown{What: "what the teardown has noted", Why: err.Error()})
	}
	m.addTo(&inv)
	return inv
}

// An Outcome is how a run ended.
type Outcome struct {
	// Plan is the last one.
	Plan teardown.Plan
	// Done are the steps that were carried out, each proven by the next look.
	Done []teardown.Step
	// Stuck is the step that was not, with the error; nil in Err where all were.
	Stuck teardown.Step
	Err   error
}

// State is what should become of the node: Work where there is more to do, by
// another run.
func (o Outcome) State() teardown.State {
	if errors.Is(o.Err, ErrStuck) {
		return o.Plan.Stuck
	}
	return o.Plan.State
}

// Run looks, plans and carries out the first step, until the plan is no Work any
// more, a step is stuck, or ctx ends. What is attached is asked
// anew for each plan, after the look that it is about. The Outcome's state says
// what to do: attest, reset, or leave the node to a person.
func (e *Executor) Run(ctx context.Context, aim teardown.Aim, attachments func(context.Context, teardown.Inventory) teardown.Attachments) Outcome {
	var o Outcome
	for {
		inv := e.Look(ctx)
		o.Plan = teardown.Make(inv, attachments(ctx, inv), aim)
		if o.Plan.State != teardown.Work {
			return o
		}
		o.Stuck = o.Plan.Steps[0]
		if o.Err = ctx.Err(); o.Err != nil {
			return o
		}
		if o.again() || len(o.Done) >= e.config.Most {
			o.Err = fmt.Errorf("%v for %s: %w: the host shows again what it showed before", o.Stuck.Op, o.Stuck.Volume, ErrStuck)
			return o
		}
		if o.Err = e.Do(ctx, o.Stuck); o.Err != nil {
			if ctx.Err() != nil {
				o.Err = ctx.Err() // the agent is being stopped, and the next one goes on
			}
			return o
		}
		o.Done = append(o.Done, o.Stuck)
		o.Stuck = teardown.Step{}
	}
}

// again reports whether the step was carried out before, and so has not lasted.
// What is waited for may come again a few times: a writer is not stopped yet. So
// may queueing: multipathd turns it on again some time after a path has gone.
func (o Outcome) again() bool {
	most, times := 0, 0
	if o.Stuck.Op == teardown.Wait || o.Stuck.Op == teardown.FailQueue {
		most = 4
	}
	for _, s := range o.Done {
		if s == o.Stuck {
			times++
		}
	}
	return times > most
}

// Do carries out one step, and returns nil once a fresh inventory shows it as
// done; ErrStuck where the step's bound has passed, or it failed, and none does.
// What may be in use only for a moment is tried again until then.
func (e *Executor) Do(ctx context.Context, s teardown.Step) error {
	begin := time.Now()
	err := e.act(ctx, s)
	for {
		if done(s, e.Look(ctx)) {
			return nil // whatever the child has said
		}
		again := err != nil && mayBeBusy(s.Op) && !errors.Is(err, child.ErrStuck)
		failed := err != nil && !again && s.Op != teardown.UnmapRBD // whose child is meant to be killed
		if failed || time.Since(begin) >= s.Bound || ctx.Err() != nil {
			return fmt.Errorf("%v for %s: %w after %v: %w", s.Op, s.Volume, ErrStuck, time.Since(begin).Round(time.Millisecond), cmp.Or(err, ctx.Err(), errShown))
		}
		select {
		case <-ctx.Done():
		case <-time.After(e.config.Poll):
		}
		if left := s.Bound - time.Since(begin); again && left > 0 {
			rest := s
			rest.Bound = left
			err = e.act(ctx, rest)
		}
	}
}

// mayBeBusy reports whether what the step releases can be in use for a moment by what
// nobody has to stop: udev looks into a map whenever its table changes, and a process
// that was killed lets go as it ends.
func mayBeBusy(o teardown.Op) bool {
	switch o {
	case teardown.Unmount, teardown.CloseCrypt, teardown.Deactivate, teardown.RemoveMap, teardown.FlushMultipath:
		return true
	default:
		return false
	}
}

var errShown = errors.New("the host does not show it as done")

// act does what a step says, and proves nothing.
func (e *Executor) act(ctx context.Context, s teardown.Step) error {
	bound := s.Bound
	switch s.Op {
	case teardown.Wait, teardown.Verify, teardown.Attest:
		return nil // the look is all
	case teardown.OpUnknown:
		return errors.New("no operation")
	case teardown.Note:
		return e.remember(func(m *memory) {
			if !slices.Contains(m.Notes, s.Note) {
				m.Notes = append(m.Notes, s.Note)
			}
		})
	case teardown.ShutDown:
		// Once tried, the mount counts as told, so that a try that hangs is not
		// made again by the next agent.
		if err := e.remember(func(m *memory) { m.Told = append(m.Told, told{s.Mount, s.Device, s.Point}) }); err != nil {
			return err
		}
	case teardown.UnmapRBD:
		bound /= 2 // the kill completes it
	default:
	}
	err := e.run.Do(ctx, workStep, bound, order{Config: e.config, Step: s}, nil)
	if s.Op == teardown.ShutDown && err != nil && !errors.Is(err, child.ErrStuck) {
		return nil // it helps, and is not needed
	}
	return err
}

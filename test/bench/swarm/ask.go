package swarm

import (
	"context"
	"time"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// deadline bounds each request to the API, as in the real agent.
const deadline = 1250 * time.Millisecond

// ask sends the questions of a verdict. Answers come back as events, from
// goroutines of their own: the loop must not wait for itself.
func (a *agent) ask(ctx context.Context, q decide.Ask) {
	if q.API {
		a.swarm.running.Go(func() { a.readRoll(ctx) })
	}
	spec := a.spec.Load()
	if spec == nil || !q.Witnesses && !q.Neighbours {
		return
	}
	a.swarm.running.Go(func() {
		for _, w := range spec.Witnesses {
			if q.Witnesses && w != a.name {
				a.askWitness(ctx, w)
			}
		}
		for _, n := range spec.Neighbours {
			if q.Neighbours {
				a.ping(ctx, n, spec.Profile)
			}
		}
	})
}

// readRoll reads the Roll from the API: really, and linearizably.
func (a *agent) readRoll(ctx context.Context) {
	sent := now()
	call, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	obj, err := a.api.Rolls.Get(call, v1alpha1.RollName)
	var r roll.Roll
	if err == nil {
		r, err = obj.Spec.Roll()
	}
	if err != nil {
		a.tell(ctx, decide.RollMissed{Err: err.Error()})
		return
	}
	a.tell(ctx, decide.RollRead{Roll: r, Sent: sent})
}

// askWitness takes a witness's statement: what it remembers of its own reads.
func (a *agent) askWitness(ctx context.Context, name string) {
	if v := a.swarm.find(name); v != nil {
		a.tell(ctx, decide.Stated{Witness: name, Roll: v.Memory.Roll, Sent: now()})
	}
}

// ping takes a neighbour's answer to a heartbeat: its best roll, as old as it
// is now, unless it is too old to be relayed.
func (a *agent) ping(ctx context.Context, name string, p timing.Profile) {
	v := a.swarm.find(name)
	if v == nil {
		return
	}
	sent := now()
	e := decide.Heard{Node: name, Sent: sent}
	if best := v.Relay; best != nil && best.Sent.Age(sent) < p.RollLife {
		e.Relay = &roll.Held{Roll: best.Roll, Sent: sent.Add(-best.Sent.Age(sent))}
	}
	a.tell(ctx, e)
}

// beat pings each neighbour once per heartbeat, spread over it.
func (a *agent) beat(ctx context.Context) {
	pause := time.NewTimer(time.Duration(a.phase() * float64(time.Second)))
	defer pause.Stop()
	for turn := 0; ; turn++ {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		spec := a.spec.Load()
		if spec == nil || len(spec.Neighbours) == 0 {
			pause.Reset(100 * time.Millisecond)
			continue
		}
		pause.Reset(spec.Profile.Heartbeat / time.Duration(len(spec.Neighbours)))
		a.ping(ctx, spec.Neighbours[turn%len(spec.Neighbours)], spec.Profile)
	}
}

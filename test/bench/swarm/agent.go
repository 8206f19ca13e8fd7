package swarm

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"sync/atomic"
	"time"

	"k8s.io/client-go/tools/cache"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/proto/api/client"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/timing"
)

// An agent is a real core with adapters that are partly simulated.
type agent struct {
	swarm *Swarm
	name  string
	boot  string
	api   *client.Client

	events   chan decide.Event
	statuses chan decide.Status // the newest
	verdict  atomic.Pointer[decide.Verdict]
	spec     atomic.Pointer[decide.Spec]
	guard    atomic.Pointer[v1alpha1.NodeGuard] // the newest that was read

	latched atomic.Pointer[string] // the rule by which it latched, and why

	// Owned by loop.
	core *decide.Core
	held decide.Held // what the holder last said
}

func newAgent(s *Swarm, name string, api *client.Client) *agent {
	a := &agent{
		swarm: s, name: name, boot: bootOf(name), api: api,
		events: make(chan decide.Event, 64), statuses: make(chan decide.Status, 1),
	}
	a.verdict.Store(&decide.Verdict{})
	a.core = decide.New(decide.Config{Node: name, Boot: a.boot, Phase: a.phase()}, now())
	return a
}

// phase spreads the agents over time, as the real agent does.
func (a *agent) phase() float64 {
	h := fnv.New32a()
	_, _ = io.WriteString(h, a.name) // a hash takes everything
	return float64(h.Sum32()) / (1 << 32)
}

// loop owns the core: events go in one by one, and each verdict is carried out
// before the next event.
func (a *agent) loop(ctx context.Context) {
	a.held = decide.Held{Mode: decide.HoldIdle, Device: dog()}
	a.step(ctx, a.held)
	wake := time.NewTimer(0)
	defer wake.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-a.events:
			a.step(ctx, e)
		case <-wake.C:
			a.step(ctx, decide.Tick{})
		}
		wake.Reset(-a.verdict.Load().Wake.Elapsed(now()))
	}
}

// step hands an event to the core, and then what the holder makes of it.
func (a *agent) step(ctx context.Context, e decide.Event) {
	for ; e != nil; e = a.obey() {
		v := a.core.Step(now(), e)
		if a.verdict.Swap(&v).Phase != decide.Latched && v.Phase == decide.Latched {
			why := fmt.Sprintf("%s: %v", a.name, v.Notes)
			a.latched.Store(&why)
		}
		if v.Phase != decide.PhaseUnknown {
			a.put(v.Status)
		}
		a.ask(ctx, v.Ask)
	}
}

// obey is the holder: it does what the newest verdict wants and says so, once.
func (a *agent) obey() decide.Event {
	v := a.verdict.Load()
	if v.Hold == decide.HoldUnknown || v.Order == a.held.Order {
		return nil
	}
	a.held = decide.Held{Order: v.Order, Mode: v.Hold, Device: dog(), Timeout: v.Timeout}
	return a.held
}

// dog is a good hardware watchdog.
func dog() decide.Device {
	return decide.Device{
		Usable: true, Min: time.Second, Max: time.Hour, Granule: time.Second,
		Kappa: 1020, PetDelay: timing.Standard().PetDelay,
	}
}

// tell brings the core an event.
func (a *agent) tell(ctx context.Context, e decide.Event) {
	select {
	case a.events <- e:
	case <-ctx.Done():
	}
}

// watchGuard brings the controller's words to the core.
func (a *agent) watchGuard(ctx context.Context) {
	got := func(obj any) {
		guard, ok := obj.(*v1alpha1.NodeGuard)
		if !ok {
			return
		}
		a.guard.Store(guard)
		spec := specOf(guard.Spec)
		a.spec.Store(&spec)
		a.tell(ctx, decide.Guided{Spec: spec})
	}
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: a.api.NodeGuards.ListWatch("metadata.name=" + a.name),
		ObjectType:    &v1alpha1.NodeGuard{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc: got, UpdateFunc: func(_, obj any) { got(obj) },
		},
	})
	informer.RunWithContext(ctx)
}

// specOf says in the core's words what the controller told the agent.
func specOf(s v1alpha1.NodeGuardSpec) decide.Spec {
	names := func(peers []v1alpha1.Peer) (all []string) {
		for _, p := range peers {
			all = append(all, p.Node)
		}
		return all
	}
	return decide.Spec{
		Neighbours: names(s.Neighbours), Witnesses: names(s.Witnesses),
		Profile: s.Timing.Resolve(timing.Standard()), ProbeEvery: s.ProbeEvery.Duration,
		Unarmed: s.Unarmed, FencedBoot: s.FencedBoot,
	}
}

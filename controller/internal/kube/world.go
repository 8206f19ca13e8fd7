package kube

import (
	"cmp"
	"slices"
	"time"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// A world is the planner's world between two plans. Only what changed is
// converted anew.
type world struct {
	nodes    map[string]plan.Node
	notReady map[string]time.Time // nodes that are not, since when
	guards   map[string]plan.Guard
	fences   map[string]fence
}

func newWorld() world {
	return world{
		nodes:    make(map[string]plan.Node),
		notReady: make(map[string]time.Time),
		guards:   make(map[string]plan.Guard),
		fences:   make(map[string]fence),
	}
}

// A fence is a plan.Fence and its age: the planner takes the oldest open fence
// of a node for the one that counts.
type fence struct {
	plan.Fence
	created time.Time
}

func agedFence(f *v1alpha1.NodeFence) fence {
	return fence{fenceOf(f), f.CreationTimestamp.Time}
}

// World returns what is known now. Its maps are good until the next call, and
// for reading only.
func (a *API) World() plan.World {
	a.nodes.drain(a.world.takeNode)
	a.guards.drain(func(name string, g *plan.Guard) { take(a.world.guards, name, g) })
	a.fences.drain(func(name string, f *fence) { take(a.world.fences, name, f) })
	a.policies.drain(func(string, *struct{}) {})

	wall := a.cfg.Wall()
	for name, since := range a.world.notReady {
		n := a.world.nodes[name]
		n.NotReadyFor = max(0, wall.Sub(since))
		a.world.nodes[name] = n
	}
	return plan.World{
		Policy: a.currentPolicy(wall),
		Roll:   a.roll.copy(),
		Nodes:  a.world.nodes,
		Guards: a.world.guards,
		Fences: a.world.sortedFences(),
	}
}

func (a *API) currentPolicy(wall time.Time) plan.Policy {
	var current *v1alpha1.FencingPolicy
	if p, ok := a.policies.get(v1alpha1.PolicyName); ok {
		current = p
	}
	policy := policyOf(current, wall)
	var why string
	if policy.Profile, why = a.profiler.profile(current); policy.Paused == "" {
		policy.Paused = why
	}
	return policy
}

func (w *world) takeNode(name string, n *node) {
	delete(w.notReady, name)
	if n == nil {
		delete(w.nodes, name)
		return
	}
	w.nodes[name] = n.Node
	if !n.notReady.IsZero() {
		w.notReady[name] = n.notReady
	}
}

func take[V any](into map[string]V, name string, v *V) {
	if v == nil {
		delete(into, name)
		return
	}
	into[name] = *v
}

// sortedFences returns the fences, the oldest first.
func (w *world) sortedFences() []plan.Fence {
	all := make([]fence, 0, len(w.fences))
	for _, f := range w.fences {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b fence) int {
		return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.Name, b.Name))
	})
	list := make([]plan.Fence, len(all))
	for i, f := range all {
		list[i] = f.Fence
	}
	return list
}

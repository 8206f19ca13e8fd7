package swarm

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/proto/api/client"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
	"github.com/picket-dev/picket/test/cluster/controlplane"
	"github.com/picket-dev/picket/test/cluster/fleet"
	"github.com/picket-dev/picket/test/cluster/rawclock"
)

// A Swarm is the agents of a cluster's nodes.
type Swarm struct {
	plane *controlplane.Plane
	url   string // where agents reach the API

	ctx     context.Context //nolint:containedctx // the life of all agents
	end     context.CancelFunc
	running sync.WaitGroup

	mu     sync.RWMutex
	agents map[string]*agent
}

// New returns a swarm without agents, which will reach the API at url. The
// caller must call Close.
func New(plane *controlplane.Plane, url string) *Swarm {
	s := &Swarm{plane: plane, url: url, agents: make(map[string]*agent)}
	s.ctx, s.end = context.WithCancel(context.Background())
	return s
}

// Close ends all agents, without a word to anybody.
func (s *Swarm) Close() {
	s.end()
	s.running.Wait()
}

// Grow adds nodes, without kubelets, until there are n, and starts their
// agents.
func (s *Swarm) Grow(ctx context.Context, n int) error {
	var all errgroup.Group
	all.SetLimit(8)
	for i := s.Size(); i < n; i++ {
		all.Go(func() error { return s.add(ctx, fmt.Sprintf("node-%d", i+1)) })
	}
	return all.Wait()
}

// Size is the number of agents.
func (s *Swarm) Size() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.agents)
}

// add makes a Node and starts its agent.
func (s *Swarm) add(ctx context.Context, name string) error {
	nodes := s.plane.Client().CoreV1().Nodes()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := nodes.Create(ctx, node, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("make node %s: %w", name, err)
	}
	info := fmt.Sprintf(`{"status":{"nodeInfo":{"bootID":%q,"machineID":%q,"systemUUID":%[2]q}}}`, bootOf(name), machineOf(name))
	if _, err := nodes.PatchStatus(ctx, name, []byte(info)); err != nil {
		return fmt.Errorf("name the boot of node %s: %w", name, err)
	}
	token, err := fleet.Token(ctx, s.plane, name)
	if err != nil {
		return err
	}
	api, err := client.New(s.plane.ConfigFor(s.url, token), nil)
	if err != nil {
		return err
	}
	a := newAgent(s, name, api)
	s.mu.Lock()
	s.agents[name] = a
	s.mu.Unlock()
	for _, run := range []func(context.Context){a.loop, a.publish, a.watchGuard, a.beat} {
		s.running.Go(func() { run(s.ctx) })
	}
	return nil
}

// find returns the newest verdict of a node's agent, or nil.
func (s *Swarm) find(node string) *decide.Verdict {
	s.mu.RLock()
	a := s.agents[node]
	s.mu.RUnlock()
	if a == nil {
		return nil
	}
	return a.verdict.Load()
}

// Count counts the agents that are in the phase.
func (s *Swarm) Count(phase decide.Phase) int {
	n := 0
	s.each(func(v decide.Verdict) {
		if v.Phase == phase {
			n++
		}
	})
	return n
}

// Latched says of each agent that latched by which rule, and why.
func (s *Swarm) Latched() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []string
	for _, a := range s.agents {
		if why := a.latched.Load(); why != nil {
			all = append(all, *why)
		}
	}
	return all
}

// Ages returns how old each agent's best roll is now. Agents without one are
// left out.
func (s *Swarm) Ages() []time.Duration {
	var ages []time.Duration
	s.each(func(v decide.Verdict) {
		if v.Relay != nil {
			ages = append(ages, v.Relay.Sent.Age(now()))
		}
	})
	return ages
}

// Agree reports whether all agents know a Roll of the same serial, and returns
// it.
func (s *Swarm) Agree() (roll.Roll, bool) {
	var first *roll.Roll
	agree := true
	s.each(func(v decide.Verdict) {
		switch {
		case v.Relay == nil:
			agree = false
		case first == nil:
			first = &v.Relay.Roll
		case v.Relay.Roll.Serial != first.Serial:
			agree = false
		}
	})
	if first == nil || !agree {
		return roll.Roll{}, false
	}
	return *first, true
}

func (s *Swarm) each(f func(decide.Verdict)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, a := range s.agents {
		f(*a.verdict.Load())
	}
}

func bootOf(node string) string    { return "boot-of-" + node }
func machineOf(node string) string { return "machine-of-" + node }

// now reads the one clock of all agents.
func now() timing.Instant { return timing.At(rawclock.Now()) }

package plan_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

var errConflict = errors.New("conflict")

// A store is an honest API server in memory: every write has its precondition,
// every read is of the newest. Values are replaced and never changed in place,
// so that a shallow copy of a map is a snapshot.
type store struct {
	rev    int
	roll   *plan.Roll
	nodes  map[string]plan.Node
	guards map[string]plan.Guard
	fences map[string]plan.Fence
	leases map[string]int
	pods   map[string][]plan.Pod
	vas    map[string][]string // VolumeAttachments by node
	made   int                 // fences so far
	names  []string            // of fences, the oldest first
}

func newStore() *store {
	return &store{
		nodes: make(map[string]plan.Node), guards: make(map[string]plan.Guard), fences: make(map[string]plan.Fence),
		leases: make(map[string]int), pods: make(map[string][]plan.Pod), vas: make(map[string][]string),
	}
}

func (s *store) version() string {
	s.rev++
	return strconv.Itoa(s.rev)
}

// listFences returns the fences, the oldest first.
func (s *store) listFences() []plan.Fence {
	var list []plan.Fence
	for _, name := range s.names {
		if f, ok := s.fences[name]; ok {
			list = append(list, f)
		}
	}
	return list
}

func (s *store) putNode(n plan.Node) {
	n.Version = s.version()
	s.nodes[n.Name] = n
}

func (s *store) putGuard(g plan.Guard) {
	g.Version = s.version()
	s.guards[g.Name] = g
}

func (s *store) putFence(f plan.Fence) {
	f.Version = s.version()
	s.fences[f.Name] = f
}

// ask makes a fence the way a human does.
func (s *store) ask(node string, reason plan.Reason) string {
	s.made++
	name := fmt.Sprintf("f%d", s.made)
	s.names = append(s.names, name)
	s.putFence(plan.Fence{Name: name, UID: fmt.Sprintf("uid%d", s.made), Node: node, Reason: reason})
	return name
}

// proveDead sets a fence's spec.proof.
func (s *store) proveDead(name, boot string) {
	f := s.fences[name]
	f.Proof, f.ProofBy = boot, "PowerOff by a test"
	s.putFence(f)
}

// delete deletes a fence, whose finalizer keeps it.
func (s *store) delete(name string) {
	f := s.fences[name]
	f.Deleting = true
	s.putFence(f)
}

// do carries out a write.
func (s *store) do(a plan.Action) error {
	switch a := a.(type) {
	case plan.PutRoll:
		have := ""
		if s.roll != nil {
			have = s.roll.Version
		}
		if a.Roll.Version != have {
			return errConflict
		}
		r := a.Roll
		r.Roll = r.Clone()
		r.Version = s.version()
		r.Sent = timing.Instant{}
		s.roll = &r
	case plan.ReleaseRoll:
		if s.roll == nil || s.roll.Version != a.Version || !s.roll.Deleting {
			return errConflict
		}
		s.roll = nil
	case plan.PutGuard:
		g := s.guards[a.Node]
		if g.Version != a.Version {
			return errConflict
		}
		g.Name, g.Spec = a.Node, a.Spec
		s.putGuard(g)
	case plan.DropGuard:
		if s.guards[a.Node].Version != a.Version {
			return errConflict
		}
		delete(s.guards, a.Node)
	case plan.MakeFence:
		s.ask(a.Node, a.Reason)
	case plan.PutFence:
		f, ok := s.fences[a.Name]
		if !ok || f.Version != a.Version {
			return errConflict
		}
		f.Status = a.Status
		s.putFence(f)
	case plan.DropFence:
		if f := s.fences[a.Name]; f.Version != a.Version || f.UID != a.UID {
			return errConflict
		}
		delete(s.fences, a.Name)
	case plan.PutTaints:
		n, ok := s.nodes[a.Node]
		if !ok || n.Version != a.Version || a.Version == "" {
			return errConflict
		}
		n.Taints, n.Fence, n.OutOfService = a.Taints, a.Fence, a.OutOfService
		s.putNode(n)
	case plan.DeletePod:
		s.deletePod(a)
	case plan.SilencePods, plan.Event:
	case plan.Look, plan.Survey:
		panic("a read is not a write")
	}
	return nil
}

func (s *store) deletePod(a plan.DeletePod) {
	for node, pods := range s.pods {
		var left []plan.Pod
		for _, p := range pods {
			if p.UID == a.UID {
				if len(p.Finalizers) == 0 {
					continue
				}
				p.Deleting = true
			}
			left = append(left, p)
		}
		s.pods[node] = left
	}
}

// detach does what Kubernetes does to a node with the out-of-service taint: the
// volumes of pods that are gone are detached.
func (s *store) detach() {
	for name, n := range s.nodes {
		if outOfService(n) && len(s.pods[name]) == 0 {
			s.vas[name] = nil
		}
	}
}

func (s *store) look(a plan.Look, sent timing.Instant) plan.Saw {
	saw := plan.Saw{Fence: a.Fence, Sent: sent}
	if n, ok := s.nodes[a.Node]; ok {
		saw.Node = &n
	}
	if g, ok := s.guards[a.Node]; ok {
		saw.Guard = &g
	}
	if l, ok := s.leases[a.Node]; ok {
		saw.Lease = strconv.Itoa(l)
	}
	saw.Roll = s.readRoll(sent)
	return saw
}

func (s *store) survey(a plan.Survey, sent timing.Instant) plan.Surveyed {
	return plan.Surveyed{
		Fence: a.Fence, Sent: sent,
		Pods:        slices.Clone(s.pods[a.Node]),
		Attachments: slices.Clone(s.vas[a.Node]),
	}
}

func (s *store) readRoll(sent timing.Instant) *plan.Roll {
	if s.roll == nil {
		return nil
	}
	r := *s.roll
	r.Roll = r.Clone()
	r.Sent = sent
	return &r
}

// world returns all of it as a planner sees it whose caches are up to date.
func (s *store) world(policy plan.Policy, sent timing.Instant) plan.World {
	return plan.World{
		Policy: policy, Roll: s.readRoll(sent),
		Nodes: maps.Clone(s.nodes), Guards: maps.Clone(s.guards), Fences: s.listFences(),
	}
}

func outOfService(n plan.Node) bool {
	return slices.Contains(n.Taints, plan.Taint{Key: plan.OutOfServiceKey, Value: "nodeshutdown", Effect: "NoExecute"})
}

// entryOf returns the state in which the Roll lists a fence.
func entryOf(r *plan.Roll, fence string) roll.State {
	if r != nil {
		for _, e := range r.Entries {
			if e.Fence == fence {
				return e.State
			}
		}
	}
	return roll.Unlisted
}

func at(d time.Duration) timing.Instant { return timing.At(d) }

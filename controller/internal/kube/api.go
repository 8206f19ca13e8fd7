package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/record"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/api/client"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/timing"
)

// Config is what an API is made of. Nothing in it may be nil.
type Config struct {
	Kube     kubernetes.Interface
	Picket   *client.Client
	Recorder record.EventRecorder
	Log      *slog.Logger
	// DomainLabel is the label of a Node whose value is its failure domain.
	DomainLabel string
	// RackLabel is the label of a Node that names its rack, for people.
	RackLabel string
	// Now reads the clocks on which the planner waits, Wall that of people.
	Now  func() timing.Instant
	Wall func() time.Time
}

// DefaultDomainLabel is the label of a Node whose value is its failure domain,
// where people name no other.
const DefaultDomainLabel = corev1.LabelTopologyZone

// DefaultRackLabel is the label of a Node whose value names its rack, where
// people name no other. Kubernetes has none of its own.
const DefaultRackLabel = "topology.kubernetes.io/rack"

func (c Config) labels() labels { return labels{domain: c.DomainLabel, rack: c.RackLabel} }

// An API is the planner's side of the Kubernetes API. World, ReadRoll and what
// Do does with the Roll belong to one goroutine, which thus knows the order of
// its reads and writes; everything else is safe for concurrent use.
type API struct {
	cfg Config

	nodes    *mirror[*corev1.Node, node]
	guards   *mirror[*v1alpha1.NodeGuard, plan.Guard]
	fences   *mirror[*v1alpha1.NodeFence, fence]
	policies *mirror[*v1alpha1.FencingPolicy, struct{}]

	urgent      chan struct{} // a plan is due
	chores      chan struct{} // there may be something to attend to
	attachments *attachments

	// What follows belongs to the goroutine that plans.
	world    world
	roll     rolls
	profiler profiler
}

// ErrConflict says that a write was decided upon a version that is not the
// newest any more. The newest one is part of the next World.
var ErrConflict = errors.New("the object has changed since it was read")

// New returns an API that has read nothing yet.
func New(cfg Config) *API {
	a := &API{
		cfg:    cfg,
		urgent: make(chan struct{}, 1),
		chores: make(chan struct{}, 1),
		world:  newWorld(),
	}
	a.nodes = newMirror(func(n *corev1.Node) node { return nodeOf(n, cfg.labels()) }, sameNode, stripNode, a.urge)
	a.guards = newMirror(guardOf, sameGuard, stripGuard, a.urge)
	a.fences = newMirror(agedFence, func(x, y fence) bool { return x.Version == y.Version }, stripFence, a.urgeBoth)
	a.policies = newMirror(func(*v1alpha1.FencingPolicy) struct{} { return struct{}{} },
		func(struct{}, struct{}) bool { return false }, stripPolicy, a.urgeBoth)
	a.attachments = newAttachments(cfg.Kube)
	return a
}

// Urgent receives a value when something changed that a plan should know soon.
func (a *API) Urgent() <-chan struct{} { return a.urgent }

func (a *API) urge() { signal(a.urgent) }

func (a *API) urgeBoth() {
	a.urge()
	signal(a.chores)
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Do carries out an action. It returns the plan.Saw or plan.Surveyed that the
// action asked for, else nil. The error is ErrConflict where a write found
// another version than the one that it was decided upon.
func (a *API) Do(ctx context.Context, action plan.Action) (any, error) {
	switch x := action.(type) {
	case plan.PutRoll:
		return nil, a.putRoll(ctx, x)
	case plan.ReleaseRoll:
		return nil, a.releaseRoll(ctx, x)
	case plan.PutGuard:
		return nil, a.putGuard(ctx, x)
	case plan.DropGuard:
		return nil, a.dropGuard(ctx, x)
	case plan.MakeFence:
		return nil, a.makeFence(ctx, x)
	case plan.PutFence:
		return nil, a.putFence(ctx, x)
	case plan.DropFence:
		return nil, a.dropFence(ctx, x)
	case plan.PutTaints:
		return nil, a.putTaints(ctx, x)
	case plan.SilencePods:
		return nil, a.silencePods(ctx, x)
	case plan.DeletePod:
		return nil, a.deletePod(ctx, x)
	case plan.Event:
		a.event(x)
		return nil, nil
	case plan.Look:
		return orNothing(a.look(ctx, x))
	case plan.Survey:
		return orNothing(a.survey(ctx, x))
	}
	return nil, fmt.Errorf("the planner asks for %T, which this controller does not know", action)
}

// orNothing keeps half an answer from being taken for one.
func orNothing[T any](answer T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return answer, nil
}

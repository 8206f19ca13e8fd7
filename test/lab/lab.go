package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/proto/api/client"
	"github.com/picket-dev/picket/proto/timing"
	"github.com/picket-dev/picket/test/cluster/controlplane"
	"github.com/picket-dev/picket/test/cluster/fleet"
	"github.com/picket-dev/picket/test/cluster/proc"
	"github.com/picket-dev/picket/test/cluster/rawclock"
	"github.com/picket-dev/picket/test/cluster/stage"
	"github.com/picket-dev/picket/test/lab/ceph"
	"github.com/picket-dev/picket/test/lab/network"
	"github.com/picket-dev/picket/test/lab/vm"
)

// A lab is a cluster of virtual machines with Picket on it.
type lab struct {
	opts    options
	profile timing.Profile

	plane      *controlplane.Plane
	client     *client.Client
	nodes      []*node
	taints     *stage.Taints
	endpoints  *endpoints
	storage    *storage
	permits    *permits
	favour     *follower
	controller *controller
	attacher   []*proc.Process // the CSI driver's controller side, once it is needed
	ceph       *ceph.Cluster   // once it is needed

	playing sync.Mutex // one scenario at a time

	mu   sync.Mutex
	out  io.Writer
	zero time.Duration // raw time from which the lines count
}

func newLab(o options, out io.Writer) *lab {
	return &lab{opts: o, out: out, zero: rawclock.Now()}
}

// say prints a line with the time since the lab's start, or the scenario's.
func (l *lab) say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := rawclock.Now() - l.zero
	fmt.Fprintf(l.out, "%+8.2f s  %s\n", at.Seconds(), fmt.Sprintf(format, args...))
}

// path is that of a file of the lab's.
func (l *lab) path(name string) string { return filepath.Join(l.opts.Dir, name) }

// begin is start, during which no scenario is played.
func (l *lab) begin(ctx context.Context) error {
	l.playing.Lock()
	defer l.playing.Unlock()
	return l.start(ctx)
}

// start brings everything up and returns when all nodes are armed.
func (l *lab) start(ctx context.Context) (err error) {
	if _, l.profile, err = policy(l.opts.Profile); err != nil {
		return err
	}
	if err := network.New(ctx, l.opts.Nodes); err != nil {
		return err
	}
	if l.storage, err = l.startStorage(ctx); err != nil {
		return err
	}
	if err := l.startPlane(ctx); err != nil {
		return err
	}
	if err := l.startNodes(ctx); err != nil {
		return err
	}
	l.taints = stage.WatchTaints(l.plane.Client())
	l.endpoints = watchEndpoints(l.plane.Client())
	l.permits = watchPermits(l.plane.Client())
	l.favour = l.favourReady()
	if !l.opts.Bare {
		if err := l.install(ctx); err != nil {
			return err
		}
	}
	l.say("waiting for %d nodes to boot", len(l.nodes))
	if err := l.ready(ctx, 5*time.Minute, l.names()...); err != nil {
		return err
	}
	l.say("all nodes are Ready")
	if err := l.storage.install(ctx, l); err != nil {
		return err
	}
	n, err := l.writer(ctx, 5*time.Minute)
	if err != nil {
		return err
	}
	l.say("the workload writes on %s", n.Name())
	if l.opts.Bare {
		return nil
	}
	if err := l.enforce(ctx, l.opts.Profile); err != nil {
		return err
	}
	return l.allArmed(ctx, 5*time.Minute)
}

// serviceAddr is the API's own service, as every pod is told.
func serviceAddr() netip.AddrPort { return netip.MustParseAddrPort("10.0.0.1:443") }

func (l *lab) startPlane(ctx context.Context) (err error) {
	o := controlplane.Default()
	o.Dir, o.Binaries = l.path("control-plane"), l.opts.Built.ControlPlane
	o.Addr, o.Exposed, o.Jobs = network.Cluster.Addr(network.Host), true, true
	for i := 1; i <= l.opts.Nodes; i++ {
		o.Nodes = append(o.Nodes, nodeName(i))
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return fmt.Errorf("start the control plane: %w", err)
	}
	l.say("starting the control plane")
	if l.plane, err = controlplane.Start(ctx, o); err != nil {
		return err
	}
	if l.client, err = client.New(l.plane.Config(), nil); err != nil {
		return err
	}
	return network.Service(ctx, serviceAddr(), l.plane.AddrPort())
}

// startNodes makes all machines and switches them on.
func (l *lab) startNodes(ctx context.Context) error {
	for i := 1; i <= l.opts.Nodes; i++ {
		n, err := l.newNode(ctx, i)
		if err != nil {
			return err
		}
		l.mu.Lock()
		l.nodes = append(l.nodes, n)
		l.mu.Unlock()
		if err := n.PowerOn(ctx); err != nil {
			return err
		}
	}
	return nil
}

// stop ends everything at once. What it forgets, the kernel ends with us.
func (l *lab) stop() {
	if l.taints != nil {
		l.taints.Stop()
	}
	if l.endpoints != nil {
		l.endpoints.stop()
	}
	if l.permits != nil {
		l.permits.stop()
	}
	if l.favour != nil {
		l.favour.stop()
	}
	for _, n := range l.nodes {
		n.PowerCut()
	}
	if l.controller != nil {
		l.controller.end()
	}
	if l.ceph != nil {
		l.ceph.Stop()
	}
	for _, p := range l.attacher {
		p.KillGroup()
	}
	if l.plane != nil {
		l.plane.Stop()
	}
	if l.storage != nil {
		if err := l.storage.stop(); err != nil {
			l.say("%v", err)
		}
	}
}

// names are all nodes' names.
func (l *lab) names() []string {
	var all []string
	for _, n := range l.nodes {
		all = append(all, n.Name())
	}
	return all
}

// node finds a node by name, or by its number.
func (l *lab) node(name string) (*node, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.nodes, func(n *node) bool { return n.Name() == name || fmt.Sprint(n.number) == name })
	if i < 0 {
		return nil, fmt.Errorf("there is no node %q yet; there are %d", name, len(l.nodes))
	}
	return l.nodes[i], nil
}

// machineEvent takes what happens to the machines.
func (l *lab) machineEvent(e vm.Event) {
	if e.Boot == "" {
		l.say("%s: %v", e.Machine, e.Cause)
		return
	}
	l.say("%s: %v (boot %.8s)", e.Machine, e.Cause, e.Boot)
}

// ready waits until nodes are Ready, in the boot that runs there, and free of
// the taints of those that are not.
func (l *lab) ready(ctx context.Context, within time.Duration, nodes ...string) error {
	for _, name := range nodes {
		n, err := l.node(name)
		if err != nil {
			return err
		}
		err = eventually(ctx, within, name+" to be Ready", func(ctx context.Context) error {
			object, err := l.plane.Client().CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return errors.New("its kubelet has not registered")
			}
			if err != nil {
				return err
			}
			return isReady(object, n)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// isReady says what is missing.
func isReady(object *corev1.Node, n *node) error {
	boot, on := n.On()
	if !on || boot == "" || object.Status.NodeInfo.BootID != boot {
		return fmt.Errorf("the Node shows boot %.8s, boot %.8s runs", object.Status.NodeInfo.BootID, boot)
	}
	for _, t := range object.Spec.Taints {
		if t.Key == corev1.TaintNodeNotReady || t.Key == corev1.TaintNodeUnreachable {
			return fmt.Errorf("it is tainted %s", t.Key)
		}
	}
	for _, c := range object.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue {
			return fmt.Errorf("%s: %s", c.Reason, c.Message)
		}
	}
	return nil
}

// eventually asks until the answer is nil, or returns the last answer after the
// time.
func eventually(ctx context.Context, within time.Duration, what string, ask func(context.Context) error) error {
	return fleet.Eventually(ctx, within, 200*time.Millisecond, what, ask)
}

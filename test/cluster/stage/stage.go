package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/picket-dev/picket/test/cluster/attacher"
	"github.com/picket-dev/picket/test/cluster/controlplane"
	"github.com/picket-dev/picket/test/cluster/disk"
	"github.com/picket-dev/picket/test/cluster/proxy"
)

// Stage is a running cluster.
type Stage struct {
	Plane    *controlplane.Plane
	Attacher *attacher.Attacher
	Mesh     *proxy.Mesh
	Disks    *disk.Disks
	Nodes    []*Node
	Taints   *Taints

	opts  Options
	block *block
	apis  []*proxy.API
}

// New sets up a cluster and returns when all its Nodes are Ready. The caller
// must call Close; if the test dies first, no process survives it.
func New(ctx context.Context, o Options) (*Stage, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	s := &Stage{opts: o, Disks: disk.New()}
	if err := s.setUp(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("set up the cluster: %w", err), s.Close())
	}
	return s, nil
}

func (s *Stage) setUp(ctx context.Context) (err error) {
	if s.block, err = takeBlock(); err != nil {
		return err
	}
	if err := s.startPlane(ctx); err != nil {
		return err
	}
	addrs := make(map[string]netip.Addr, s.opts.Nodes)
	for i := range s.opts.Nodes {
		addrs[nodeName(i)] = s.block.node(i)
	}
	if s.Mesh, err = proxy.NewMesh(addrs, AdvertisedPort, ListenPort); err != nil {
		return err
	}
	for i := range s.opts.Nodes {
		n, err := s.newNode(i)
		if err != nil {
			return err
		}
		s.Nodes = append(s.Nodes, n)
		if err := s.register(ctx, i, n); err != nil {
			return err
		}
	}
	s.Taints = WatchTaints(s.Plane.Client())
	if s.opts.Prepare != nil {
		if err := s.opts.Prepare(s); err != nil {
			return err
		}
	}
	for _, n := range s.Nodes {
		if err := n.Machine.PowerOn(); err != nil {
			return err
		}
	}
	for _, n := range s.Nodes {
		if err := s.WaitReady(ctx, n.Name); err != nil {
			return err
		}
	}
	return nil
}

// startPlane starts the control plane and the storage.
func (s *Stage) startPlane(ctx context.Context) error {
	binaries, err := controlplane.Binaries(ctx, s.opts.Progress)
	if err != nil {
		return err
	}
	o := controlplane.Default()
	o.Dir, o.Binaries, o.Addr = s.path("control-plane"), binaries, s.block.at(1)
	for i := range s.opts.Nodes {
		o.Nodes = append(o.Nodes, nodeName(i))
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return err
	}
	if s.Plane, err = controlplane.Start(ctx, o); err != nil {
		return err
	}
	s.Attacher, err = attacher.Start(ctx, attacher.Options{
		Plane: s.Plane, Binaries: binaries, Dir: o.Dir, Volumes: s.opts.Volumes, Delay: s.opts.DetachTime,
	})
	return err
}

// Close ends everything: processes, goroutines, listeners. Files stay.
func (s *Stage) Close() error {
	var all errgroup.Group
	for _, n := range s.Nodes {
		all.Go(func() error {
			n.Machine.Close()
			n.Kubelet.Close()
			return nil
		})
	}
	_ = all.Wait()
	var failed []error
	if s.Taints != nil {
		s.Taints.Stop()
	}
	for _, api := range s.apis {
		failed = append(failed, api.Close())
	}
	if s.Mesh != nil {
		s.Mesh.Close()
	}
	if s.Attacher != nil {
		failed = append(failed, s.Attacher.Stop())
	}
	if s.Plane != nil {
		s.Plane.Stop()
	}
	if s.block != nil {
		s.block.release()
	}
	return errors.Join(failed...)
}

// Node finds a node by name; it panics for a name that does not exist, which
// is a mistake in the scenario.
func (s *Stage) Node(name string) *Node {
	for _, n := range s.Nodes {
		if n.Name == name {
			return n
		}
	}
	panic(fmt.Sprintf("stage: no node %q", name))
}

// Isolate changes all links of a node, to its peers and to the API.
func (s *Stage) Isolate(node string, f proxy.Fault) {
	s.Mesh.Isolate(node, f)
	s.Node(node).API.Set(f)
}

func (s *Stage) path(name string) string { return filepath.Join(s.opts.Dir, name) }

package stage

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/test/cluster/attacher"
	"github.com/picket-dev/picket/test/cluster/kubelet"
	"github.com/picket-dev/picket/test/cluster/machine"
	"github.com/picket-dev/picket/test/cluster/proc"
	"github.com/picket-dev/picket/test/cluster/proxy"
)

// Node is one node of the cluster: its hardware, its kubelet and its way to the
// API.
type Node struct {
	Name    string
	Addr    netip.Addr
	Zone    string // empty without zones
	Machine *machine.Machine
	Kubelet *kubelet.Kubelet
	API     *proxy.API

	labels map[string]string
}

// newNode builds a node, which is off.
func (s *Stage) newNode(i int) (*Node, error) {
	n := &Node{Name: nodeName(i), Addr: s.block.node(i), labels: make(map[string]string)}
	if s.opts.Zones > 0 {
		n.Zone = fmt.Sprintf("zone-%d", 1+i%s.opts.Zones)
		n.labels[corev1.LabelTopologyZone] = n.Zone
	}
	var err error
	if n.API, err = s.NewAPI(n.Addr); err != nil {
		return nil, err
	}
	k := s.opts.Kubelet
	k.Node, k.Addr, k.Labels = n.Name, n.Addr, n.labels
	k.Driver, k.Disks, k.Log = attacher.Driver, s.Disks, s.opts.Log
	k.Config = s.Plane.ConfigFor(n.API.URL(), s.Plane.NodeToken(n.Name))
	if n.Kubelet, err = kubelet.New(k); err != nil {
		return nil, err
	}
	m := s.opts.Machine
	m.Name, m.Dir = n.Name, s.path(n.Name)
	m.Kubelet = n.Kubelet
	m.Links = []machine.Link{n.API, meshLink{s.Mesh, n.Name}}
	if s.opts.Commands != nil {
		m.Commands = func(b machine.Boot) []proc.Command { return s.opts.Commands(n, b) }
	}
	if err := os.MkdirAll(m.Dir, 0o755); err != nil {
		return nil, err
	}
	n.Machine, err = machine.New(m)
	return n, err
}

// meshLink is a node's cable to the mesh.
type meshLink struct {
	mesh *proxy.Mesh
	node string
}

func (l meshLink) SetPower(on bool) { l.mesh.SetPower(l.node, on) }

// NewAPI starts a proxy in front of the API server on an address of the
// stage's block; ControllerAddr is that of controllers. The stage closes it.
func (s *Stage) NewAPI(addr netip.Addr) (*proxy.API, error) {
	ip := net.IP(addr.AsSlice())
	cert, err := s.Plane.CA().Serving("kube-apiserver", ip)
	if err != nil {
		return nil, err
	}
	api, err := proxy.NewAPI(net.JoinHostPort(addr.String(), "0"), cert, s.Plane.CA().Pool(), s.Plane.URL())
	if err != nil {
		return nil, err
	}
	s.apis = append(s.apis, api)
	return api, nil
}

// ControllerAddr is the address of controllers, which no node has.
func (s *Stage) ControllerAddr() netip.Addr { return s.block.at(2) }

// register makes the Node object before the kubelet does, as an installer may:
// a kubelet cannot give itself a role, and tokens are bound to Nodes.
func (s *Stage) register(ctx context.Context, i int, n *Node) error {
	labels := map[string]string{corev1.LabelHostname: n.Name}
	maps.Copy(labels, n.labels)
	if i < s.opts.ControlPlaneNodes {
		labels["node-role.kubernetes.io/control-plane"] = ""
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: labels}}
	_, err := s.Plane.Client().CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("register %s: %w", n.Name, err)
	}
	return nil
}

func nodeName(i int) string { return fmt.Sprintf("node-%d", i+1) }

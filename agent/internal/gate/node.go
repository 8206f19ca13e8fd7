package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/connrotation"
)

// A node reads its own Node, and writes its boot there, at one API server after
// the other.
type node struct {
	name    string
	servers []server
	next    int // the server to ask: the one that answered last
}

// A server is one API server, with connections of its own.
type server struct {
	url   string
	conns *connrotation.Dialer
	api   rest.Interface
}

// dial makes a network connection, as net.Dialer does.
type dial func(ctx context.Context, network, address string) (net.Conn, error)

// newNode returns the node of that name, to be asked for at these servers and
// at the kubeconfig's own. It does not connect.
func newNode(name string, servers []string, rc *rest.Config, deadline time.Duration, d dial) (*node, error) {
	n := &node{name: name}
	for _, u := range append(slices.Clone(servers), rc.Host) {
		s := server{url: u, conns: connrotation.NewDialer(connrotation.DialFunc(d))}
		one := rest.CopyConfig(rc)
		one.Host, one.Dial, one.Timeout = u, s.conns.DialContext, deadline
		one.UserAgent, one.QPS = "picket-gate", -1
		one.APIPath, one.GroupVersion = "/api", &schema.GroupVersion{Version: "v1"}
		scheme := runtime.NewScheme()
		metav1.AddToGroupVersion(scheme, metav1.Unversioned) // how an API server says no
		one.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
		one.ContentType, one.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
		var err error
		if s.api, err = rest.RESTClientFor(one); err != nil {
			return nil, fmt.Errorf("reach the API at %s: %w", u, err)
		}
		n.servers = append(n.servers, s)
	}
	return n, nil
}

// get returns the Node by a linearizable read: without a resourceVersion the API
// server answers from a quorum of etcd.
func (n *node) get(ctx context.Context) (Object, error) {
	s := n.servers[n.next]
	answer := s.api.Get().Resource("nodes").Name(n.name).MaxRetries(0).Do(ctx)
	data, err := answer.Raw()
	var o Object
	if err == nil {
		o, err = parse(data, n.name)
	}
	if err != nil {
		if said := answer.Error(); said != nil {
			err = said // in the server's own words
		}
		n.turn()
		return Object{}, fmt.Errorf("read node %s at %s: %w", n.name, s.url, err)
	}
	return o, nil
}

// write puts the boot into the status of the Node, as its kubelet would, if the
// Node still has that version. Machine ID and system UUID, which Judge has
// compared in that version, stay in the kubelet's own spelling.
func (n *node) write(ctx context.Context, version, boot string) error {
	if version == "" {
		return errors.New("the Node has no version")
	}
	s := n.servers[n.next]
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": version},
		"status":   map[string]any{"nodeInfo": map[string]any{"bootID": boot}},
	})
	if err != nil {
		return err
	}
	err = s.api.Patch(types.MergePatchType).Resource("nodes").Name(n.name).SubResource("status").
		MaxRetries(0).Body(body).Do(ctx).Error()
	if err != nil {
		n.turn()
		return fmt.Errorf("write the boot ID of node %s at %s: %w", n.name, s.url, err)
	}
	return nil
}

// turn goes on to the next server after a failure, and to new connections.
func (n *node) turn() {
	n.servers[n.next].conns.CloseAll()
	n.next = (n.next + 1) % len(n.servers)
}

// parse returns the Node in data, which must be the named one: a text that is
// something else must not pass for a node without taints.
func parse(data []byte, name string) (Object, error) {
	var answer struct {
		Kind     string `json:"kind"`
		Metadata struct {
			Name            string `json:"name"`
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
		Spec struct {
			Taints []Taint `json:"taints"`
		} `json:"spec"`
		Status struct {
			NodeInfo struct {
				BootID     string `json:"bootID"`
				MachineID  string `json:"machineID"`
				SystemUUID string `json:"systemUUID"`
			} `json:"nodeInfo"`
		} `json:"status"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return Object{}, fmt.Errorf("parse the answer: %w", err)
	}
	if answer.Kind != "Node" || answer.Metadata.Name != name {
		return Object{}, fmt.Errorf("the answer is %.60q of kind %.60q, not this node", answer.Metadata.Name, answer.Kind)
	}
	info := answer.Status.NodeInfo
	return Object{
		Version: answer.Metadata.ResourceVersion,
		Boot:    info.BootID, MachineID: info.MachineID, SystemUUID: info.SystemUUID,
		Taints: answer.Spec.Taints,
	}, nil
}

// local reports whether all servers have loopback addresses.
func (n *node) local() bool {
	return !slices.ContainsFunc(n.servers, func(s server) bool {
		u, err := url.Parse(s.url)
		if err != nil {
			return true
		}
		a, err := netip.ParseAddr(u.Hostname())
		return u.Hostname() != "localhost" && (err != nil || !a.IsLoopback())
	})
}

// close ends all connections.
func (n *node) close() {
	for _, s := range n.servers {
		s.conns.CloseAll()
	}
}

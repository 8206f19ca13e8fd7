package gate

import (
	"context"
	"encoding/json"
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
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/connrotation"
)

// A node reads its own taints, at one API server after the other.
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

// taints returns the node's taints by a linearizable read: without a
// resourceVersion the API server answers from a quorum of etcd. After a failure
// the next server is asked, over a new connection.
func (n *node) taints(ctx context.Context) ([]Taint, error) {
	s := n.servers[n.next]
	answer := s.api.Get().Resource("nodes").Name(n.name).MaxRetries(0).Do(ctx)
	data, err := answer.Raw()
	var taints []Taint
	if err == nil {
		taints, err = parse(data, n.name)
	}
	if err != nil {
		if said := answer.Error(); said != nil {
			err = said // in the server's own words
		}
		s.conns.CloseAll()
		n.next = (n.next + 1) % len(n.servers)
		return nil, fmt.Errorf("read node %s at %s: %w", n.name, s.url, err)
	}
	return taints, nil
}

// parse returns the taints of the Node in data, which must be the named one: a
// text that is something else must not pass for a node without taints.
func parse(data []byte, name string) ([]Taint, error) {
	var answer struct {
		Kind     string `json:"kind"`
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
		Spec struct {
			Taints []Taint `json:"taints"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return nil, fmt.Errorf("parse the answer: %w", err)
	}
	if answer.Kind != "Node" || answer.Metadata.Name != name {
		return nil, fmt.Errorf("the answer is %.60q of kind %.60q, not this node", answer.Metadata.Name, answer.Kind)
	}
	return answer.Spec.Taints, nil
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

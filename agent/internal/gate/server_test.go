package gate

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// nodeName is the name in the kubelet's certificate.
const nodeName = "worker-1"

// A network leads any address to the one server, through pipes: in a bubble of
// synctest, waiting for a pipe is waiting for time to pass, which it is not for
// a socket.
type network struct {
	conns chan net.Conn
	done  chan struct{}
	cut   func(address string) bool
}

func newNetwork() *network {
	return &network{conns: make(chan net.Conn), done: make(chan struct{}), cut: func(string) bool { return false }}
}

func (n *network) dial(ctx context.Context, _, address string) (net.Conn, error) {
	if n.cut(address) {
		return nil, fmt.Errorf("dial %s: connection refused", address)
	}
	near, far := net.Pipe()
	select {
	case n.conns <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *network) Accept() (net.Conn, error) {
	select {
	case c := <-n.conns:
		return c, nil
	case <-n.done:
		return nil, net.ErrClosed
	}
}

func (n *network) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (n *network) Close() error {
	select {
	case <-n.done:
	default:
		close(n.done)
	}
	return nil
}

// serve starts an API server on the network. It lets nobody in without a
// certificate, and answers only what an API server answers to a kubelet's
// linearizable read of its own Node, and to a merge patch of that Node's status.
func serve(t *testing.T, n *network, answer http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := r.TLS.PeerCertificates[0].Subject.CommonName
		const own = "/api/v1/nodes/" + nodeName
		switch said := r.Method + " " + r.URL.Path; {
		case who != "system:node:"+nodeName || !strings.HasPrefix(r.URL.Path, own):
			refuse(w, apierrors.NewForbidden(nodes, nodeName, fmt.Errorf("%s may not %s", who, said)))
		case said == "GET "+own && !r.URL.Query().Has("resourceVersion"),
			said == "PATCH "+own+"/status" && r.Header.Get("Content-Type") == "application/merge-patch+json":
			answer(w, r)
		default:
			refuse(w, apierrors.NewBadRequest(said+"?"+r.URL.RawQuery))
		}
	}))
	s.Listener.Close()
	s.Listener = n
	s.EnableHTTP2 = true
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	s.StartTLS()
	return s
}

var nodes = schema.GroupResource{Resource: "nodes"}

// taints answers with the Node that the other boot left, and lets nobody write.
func taints(list ...Taint) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch {
			refuse(w, apierrors.NewForbidden(nodes, nodeName, errors.New("read only")))
			return
		}
		replyNode(w, left(list...))
	}
}

func replyNode(w http.ResponseWriter, o Object) {
	reply(w, http.StatusOK, map[string]any{
		"kind": "Node", "apiVersion": "v1",
		"metadata": map[string]any{"name": nodeName, "resourceVersion": o.Version},
		"spec":     map[string]any{"podCIDR": "10.1.0.0/24", "taints": o.Taints},
		"status": map[string]any{"nodeInfo": map[string]any{
			"bootID": o.Boot, "machineID": o.MachineID, "systemUUID": o.SystemUUID, "osImage": "Debian",
		}},
	})
}

// failing answers with an API server's error.
func failing(err *apierrors.StatusError) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { refuse(w, err) }
}

// text answers with something that no API server says.
func text(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// stall never answers.
func stall(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func reply(w http.ResponseWriter, status int, obj any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(obj)
}

func refuse(w http.ResponseWriter, err *apierrors.StatusError) {
	status := err.Status()
	status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	reply(w, int(status.Code), status)
}

// kubeconfig writes what a kubelet of the server has: a kubeconfig that names
// files, with key and certificate in one. The server's own certificate is for
// example.com and 127.0.0.1.
func kubeconfig(t *testing.T, s *httptest.Server, url string) string {
	t.Helper()
	dir := t.TempDir()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{Organization: []string{"system:nodes"}, CommonName: "system:node:" + nodeName},
		NotBefore:    time.Unix(0, 0), NotAfter: time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	client := append(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})...)
	file := filepath.Join(dir, "kubelet.conf")
	err = errors.Join(
		os.WriteFile(filepath.Join(dir, "ca.crt"), ca, 0o600),
		os.WriteFile(filepath.Join(dir, "client.pem"), client, 0o600),
		os.WriteFile(file, []byte(`apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: k, user: u}}]
clusters: [{name: k, cluster: {server: "`+url+`", certificate-authority: ca.crt}}]
users: [{name: u, user: {client-certificate: client.pem, client-key: client.pem}}]
`), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

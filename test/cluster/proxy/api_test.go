package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// backend plays the API server: it echoes the bearer token, and "watches" by
// sending what it gets on events.
type backend struct {
	*httptest.Server
	events chan string
}

func newBackend(t *testing.T) *backend {
	b := &backend{events: make(chan string)}
	b.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("watch") == "" {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %s", r.Proto, r.Header.Get("Authorization"), body)
			return
		}
		w.WriteHeader(http.StatusOK)
		for {
			_ = http.NewResponseController(w).Flush()
			select {
			case e := <-b.events:
				fmt.Fprintln(w, e)
			case <-r.Context().Done():
				return
			}
		}
	}))
	b.EnableHTTP2 = true
	b.StartTLS()
	t.Cleanup(b.Close)
	return b
}

func (b *backend) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(b.Certificate())
	return pool
}

// newProxied starts a backend, a proxy in front of it and an HTTP/2 client.
func newProxied(t *testing.T) (*backend, *API, *http.Client) {
	t.Helper()
	b := newBackend(t)
	a, err := NewAPI("127.0.0.1:0", b.TLS.Certificates[0], b.pool(), b.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: b.pool()}, ForceAttemptHTTP2: true}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return b, a, &http.Client{Transport: transport}
}

const rollPath = "/apis/picket.dev/v1alpha1/rolls/cluster"

// get asks with a deadline and returns the status and the body.
func get(t *testing.T, c *http.Client, url string, within time.Duration) (int, string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer secret")
	reply, err := c.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	return reply.StatusCode, string(body), err
}

func TestAPIPassesTokensOverHTTP2(t *testing.T) {
	_, a, client := newProxied(t)
	status, body, err := get(t, client, a.URL()+rollPath, 5*time.Second)
	if err != nil || status != 200 || !strings.HasPrefix(body, "HTTP/2.0 Bearer secret") {
		t.Fatalf("got %d %q, %v", status, body, err)
	}
	if n := a.Count("get", "rolls"); n != 1 {
		t.Errorf("counted %d reads of the Roll, want 1", n)
	}
}

func TestAPIFaults(t *testing.T) {
	const short = 150 * time.Millisecond
	for _, test := range []struct {
		fault  Fault
		status int           // 0: no reply
		silent bool          // no reply, but not before the deadline
		least  time.Duration // the reply takes at least this long
	}{
		{fault: Pass(), status: 200},
		{fault: Cut(), silent: true},
		{fault: Stall(), silent: true},
		{fault: Refuse()},
		{fault: Answer(403), status: 403},
		{fault: Answer(429), status: 429},
		{fault: Answer(500), status: 500},
		{fault: Delay(80 * time.Millisecond), status: 200, least: 80 * time.Millisecond},
	} {
		t.Run(test.fault.String(), func(t *testing.T) {
			_, a, client := newProxied(t)
			if _, _, err := get(t, client, a.URL()+rollPath, 5*time.Second); err != nil {
				t.Fatal(err) // the connection stands before the fault
			}
			a.Set(test.fault)
			within := 5 * time.Second
			if test.silent {
				within = short
			}
			start := time.Now()
			status, _, err := get(t, client, a.URL()+rollPath, within)
			if status != test.status || (err != nil) != (test.status == 0) {
				t.Errorf("status %d, error %v; want status %d", status, err, test.status)
			}
			if timedOut := errors.Is(err, context.DeadlineExceeded); timedOut != test.silent {
				t.Errorf("deadline exceeded: %t, want %t (%v)", timedOut, test.silent, err)
			}
			if took := time.Since(start); took < test.least {
				t.Errorf("took %s, want at least %s", took, test.least)
			}
			met := int64(0)
			if test.fault.kind == kindStall || test.fault.kind == kindAnswer {
				met = 1
			}
			if n := a.Met("get", "rolls"); n != met {
				t.Errorf("%d reads of the Roll met the fault, want %d", n, met)
			}
			a.Set(Pass())
			if status, _, err := get(t, client, a.URL()+rollPath, 5*time.Second); status != 200 {
				t.Errorf("after the fault: %d, %v", status, err)
			}
		})
	}
}

// watch opens a watch and returns its lines.
func watch(t *testing.T, c *http.Client, a *API) <-chan string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL()+"/api/v1/nodes?watch=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reply.Body.Close() })
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(reply.Body); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	return lines
}

func TestAPIWatchWaitsOutACutAndAStall(t *testing.T) {
	b, a, client := newProxied(t)
	lines := watch(t, client, a)
	b.events <- "one"
	if line := <-lines; line != "one" {
		t.Fatalf("got %q", line)
	}
	for _, fault := range []Fault{Cut(), Stall()} {
		a.Set(fault)
		b.events <- "two"
		select {
		case line := <-lines:
			t.Errorf("%s let %q through", fault, line)
		case <-time.After(100 * time.Millisecond):
		}
		a.Set(Pass())
		if line := <-lines; line != "two" {
			t.Errorf("after %s: got %q", fault, line)
		}
	}
	a.Set(Refuse())
	if line, open := <-lines; open {
		t.Errorf("a reset watch said %q", line)
	}
}

func TestAPIPowerResetsOldConnections(t *testing.T) {
	b, a, client := newProxied(t)
	lines := watch(t, client, a)
	b.events <- "one"
	<-lines
	a.SetPower(false)
	select {
	case line, open := <-lines:
		t.Errorf("a machine without power: %q, open %t", line, open)
	case <-time.After(100 * time.Millisecond):
	}
	a.SetPower(true)
	if line, open := <-lines; open {
		t.Errorf("a connection of the last boot said %q", line)
	}
	if status, _, err := get(t, client, a.URL()+rollPath, 5*time.Second); status != 200 {
		t.Errorf("after power-on: %d, %v", status, err)
	}
}

func TestAPIHookHoldsOneRequest(t *testing.T) {
	_, a, client := newProxied(t)
	hold, seen := make(chan struct{}), make(chan string, 1)
	a.Intercept(func(r *http.Request) <-chan struct{} {
		body, _ := io.ReadAll(r.Body)
		if Classify(r) != (Request{"patch", "nodes"}) || !strings.Contains(string(body), "out-of-service") {
			return nil
		}
		seen <- string(body)
		return hold
	})
	done := make(chan string, 1)
	go func() {
		r, _ := http.NewRequest(http.MethodPatch, a.URL()+"/api/v1/nodes/n1", strings.NewReader("out-of-service"))
		reply, err := client.Do(r)
		if err != nil {
			done <- err.Error()
			return
		}
		defer reply.Body.Close()
		body, _ := io.ReadAll(reply.Body)
		done <- string(body)
	}()
	<-seen
	if status, _, err := get(t, client, a.URL()+rollPath, 5*time.Second); status != 200 {
		t.Errorf("another request while one is held: %d, %v", status, err)
	}
	select {
	case body := <-done:
		t.Fatalf("a held request was answered: %q", body)
	default:
	}
	close(hold)
	if body := <-done; !strings.HasSuffix(body, "out-of-service") {
		t.Errorf("the body did not survive the hook: %q", body)
	}
}

func TestAPIDeadServerLooksDead(t *testing.T) {
	b, a, client := newProxied(t)
	b.CloseClientConnections()
	b.Close()
	if status, body, err := get(t, client, a.URL()+rollPath, 5*time.Second); err == nil {
		t.Errorf("a dead API server answered %d %q", status, body)
	}
}

func TestClassify(t *testing.T) {
	for _, test := range []struct {
		method, url string
		want        Request
	}{
		{"GET", "/apis/picket.dev/v1alpha1/rolls/cluster", Request{"get", "rolls"}},
		{"GET", "/api/v1/nodes", Request{"list", "nodes"}},
		{"GET", "/api/v1/nodes?watch=true&fieldSelector=metadata.name%3Dn1", Request{"watch", "nodes"}},
		{"PATCH", "/api/v1/nodes/n1/status", Request{"patch", "nodes/status"}},
		{"PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1", Request{"update", "leases"}},
		{"DELETE", "/api/v1/namespaces/default/pods/p", Request{"delete", "pods"}},
		{"POST", "/api/v1/namespaces/default/serviceaccounts/default/token", Request{"create", "serviceaccounts/token"}},
		{"GET", "/api/v1/namespaces/default", Request{"get", "namespaces"}},
		{"PUT", "/api/v1/namespaces/default/finalize", Request{"update", "namespaces/finalize"}},
		{"GET", "/readyz", Request{"get", ""}},
	} {
		r := httptest.NewRequest(test.method, test.url, nil)
		if got := Classify(r); got != test.want {
			t.Errorf("%s %s: %v, want %v", test.method, test.url, got, test.want)
		}
	}
}

// deadline bounds what must not block for ever.
func deadline(conn net.Conn, d time.Duration) { _ = conn.SetReadDeadline(time.Now().Add(d)) }

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

func TestAPIClosesWhileCut(t *testing.T) {
	b, a, client := newProxied(t)
	lines := watch(t, client, a)
	b.events <- "one"
	<-lines
	a.SetPower(false)
	closed := make(chan error, 1)
	go func() { closed <- a.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("still open after 5 s")
	}
	if line, open := <-lines; open {
		t.Errorf("a closed proxy said %q", line)
	}
}

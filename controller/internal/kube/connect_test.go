package kube

import (
	"context"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// A frozenPath forwards TCP connections until it is frozen; then those that are
// open swallow everything, as if the other host had lost its power. New ones
// work.
type frozenPath struct {
	listener net.Listener
	to       string
	frozen   atomic.Int32 // connections up to this number swallow
	opened   atomic.Int32
	pumps    sync.WaitGroup
}

func newFrozenPath(t *testing.T, to string) *frozenPath {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &frozenPath{listener: l, to: to}
	p.pumps.Go(p.serve)
	t.Cleanup(func() { _ = l.Close(); p.pumps.Wait() })
	return p
}

func (p *frozenPath) serve() {
	var open []net.Conn
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
	}()
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.to)
		if err != nil {
			_ = near.Close()
			continue
		}
		open = append(open, near, far)
		number := p.opened.Add(1)
		p.pumps.Go(func() { p.pump(near, far, number) })
		p.pumps.Go(func() { p.pump(far, near, number) })
	}
}

func (p *frozenPath) pump(from, to net.Conn, number int32) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			_ = to.Close()
			return
		}
		if number > p.frozen.Load() {
			_, _ = to.Write(buffer[:n])
		}
	}
}

// The API server that died may be the one that we talk to: its connection must
// not outlive a failover, while client-go alone would keep it for 45 s.
func TestDeadConnectionIsDroppedSoon(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("spoke %s", r.Proto)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"apiVersion":"picket.dev/v1alpha1","kind":"Roll","metadata":{"name":"cluster"}}`)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	path := newFrozenPath(t, server.Listener.Addr().String())
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	_, picket, err := Connect(&rest.Config{
		Host: "https://" + path.listener.Addr().String(), TLSClientConfig: rest.TLSClientConfig{CAData: ca},
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := picket.Rolls.Get(ctx, v1alpha1.RollName); err != nil {
		t.Fatal(err)
	}
	path.frozen.Store(path.opened.Load())
	began := time.Now()
	if _, err := picket.Rolls.Get(ctx, v1alpha1.RollName); err == nil {
		t.Error("the dead connection answered")
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("a request on the dead connection failed after %v, want 2 s", took)
	}
	if _, err := picket.Rolls.Get(ctx, v1alpha1.RollName); err != nil {
		t.Errorf("after the dead connection: %v", err)
	}
}

package workload

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lines collects what a program prints.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// running is a program at work.
type running struct {
	url    string
	cancel func()
	done   chan error
}

func begin(t *testing.T, path, collector, node string) running {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := running{"http://" + listener.Addr().String(), cancel, make(chan error, 1)}
	go func() {
		r.done <- Run(ctx, Config{
			Path: path, Every: time.Millisecond, Collector: collector, Listener: listener, Out: &lines{},
			Writer: Writer{Node: node, Boot: "boot-of-" + node, Pod: "p", Run: rand.Text()},
		})
	}()
	t.Cleanup(func() {
		cancel()
		http.DefaultClient.CloseIdleConnections()
	})
	return r
}

// end stops a program, which must not have ended by itself.
func (r running) end(t *testing.T) {
	t.Helper()
	r.cancel()
	if err := <-r.done; err != nil {
		t.Error(err)
	}
}

// health is the status of /healthz.
func (r running) health(t *testing.T) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	reply.Body.Close()
	return reply.StatusCode
}

// until polls, in real time, for at most ten seconds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		}
	}
}

func TestAcknowledgedIsThere(t *testing.T) {
	c := &Collector{}
	server := httptest.NewServer(c)
	defer server.Close()
	path := filepath.Join(t.TempDir(), "records")
	acked := uint64(0)
	for _, node := range []string{"worker-1", "worker-2", "worker-1"} {
		r := begin(t, path, server.URL, node)
		until(t, "20 acknowledgements", func() bool {
			tenures := c.Tenures()
			return len(tenures) > 0 && tenures[len(tenures)-1].Node == node && tenures[len(tenures)-1].To >= acked+20
		})
		if got := r.health(t); got != http.StatusOK {
			t.Errorf("/healthz says %d", got)
		}
		r.end(t)
		tenures := c.Tenures()
		newest := tenures[len(tenures)-1]
		if newest.From != newest.Found+1 || newest.Found < acked || newest.First > newest.Last || newest.Damage != "" {
			t.Errorf("%+v after %d acknowledged records", newest, acked)
		}
		acked = newest.To
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Read(content)
	if err != nil || got.Torn > 0 || uint64(len(got.Records)) < acked {
		t.Errorf("%d records, %d bytes torn, %d acknowledged: %v", len(got.Records), got.Torn, acked, err)
	}
	for _, tenure := range c.Tenures() {
		if r := got.Records[tenure.To-1]; r.Node != tenure.Node || r.Boot != tenure.Boot {
			t.Errorf("record %d is by %s", tenure.To, r.Node)
		}
	}
}

// TestWritesOnUnheard pins the dangerous case: a writer whose network is gone,
// and whose disk is not.
func TestWritesOnUnheard(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records")
	r := begin(t, path, "http://127.0.0.1:1", "worker-1")
	until(t, "100 records", func() bool {
		content, _ := os.ReadFile(path)
		got, _ := Read(content)
		return len(got.Records) > 100
	})
	r.end(t)
}

func TestTornTailIsCutOff(t *testing.T) {
	c := &Collector{}
	server := httptest.NewServer(c)
	defer server.Close()
	path := filepath.Join(t.TempDir(), "records")
	whole := file(1, 2, 3)
	if err := os.WriteFile(path, whole[:len(whole)-5], 0o600); err != nil {
		t.Fatal(err)
	}
	r := begin(t, path, server.URL, "worker-1")
	until(t, "an acknowledgement", func() bool { ts := c.Tenures(); return len(ts) == 1 && ts[0].To > 2 })
	r.end(t)
	if got := c.Tenures()[0]; got.Found != 2 || got.Torn != len(whole)/3-5 || got.From != 3 {
		t.Errorf("%+v", got)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Read(content); err != nil {
		t.Error(err)
	}
}

func TestDamageIsLeftAlone(t *testing.T) {
	c := &Collector{}
	server := httptest.NewServer(c)
	defer server.Close()
	path := filepath.Join(t.TempDir(), "records")
	damaged := file(1, 3)
	if err := os.WriteFile(path, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	r := begin(t, path, server.URL, "worker-1")
	until(t, "the report", func() bool { ts := c.Tenures(); return len(ts) == 1 && ts[0].Damage != "" })
	if got := r.health(t); got != http.StatusServiceUnavailable {
		t.Errorf("/healthz says %d", got)
	}
	r.end(t)
	if content, err := os.ReadFile(path); err != nil || string(content) != string(damaged) {
		t.Errorf("%q: %v", content, err)
	}
}

func TestFailingDiskEndsTheProgram(t *testing.T) {
	r := begin(t, filepath.Join(t.TempDir(), "missing", "records"), "http://127.0.0.1:1", "worker-1")
	if err := <-r.done; err == nil {
		t.Error("it runs without a file")
	}
	if os.Geteuid() == 0 { // /dev/full takes an open and a truncate, and no byte
		j := &journal{}
		var err error
		if j.file, err = os.OpenFile("/dev/full", os.O_WRONLY, 0); err != nil {
			t.Fatal(err)
		}
		defer j.close()
		if err := j.append(Record{Node: "n", Boot: "b"}); err == nil || j.last != 0 {
			t.Errorf("a record went to a full disk: %v, %d", err, j.last)
		}
	}
}

func TestCollectorRefusesNonsense(t *testing.T) {
	c := &Collector{}
	for path, body := range map[string]string{
		"/ack":   "{",
		"/start": strings.Repeat(" ", 5000) + "{}",
		"/else":  "{}",
	} {
		w := httptest.NewRecorder()
		c.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body)))
		if w.Code < 400 {
			t.Errorf("%s takes %.20q", path, body)
		}
	}
	if got := c.Tenures(); len(got) > 0 {
		t.Error(fmt.Sprint(got))
	}
}

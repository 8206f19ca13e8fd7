package metrics

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ask(t testing.TB, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func of(r *peerv1.StatusReply) Source { return func() *peerv1.StatusReply { return r } }

func TestReadyIsArmedOrSaysWhyNot(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status *peerv1.StatusReply
		ready  bool
		says   string
	}{
		{"starting", &peerv1.StatusReply{}, false, "nothing is decided yet"},
		{"armed", &peerv1.StatusReply{Phase: "Armed"}, true, "Armed"},
		{"armed, in an outage", &peerv1.StatusReply{Phase: "Armed", Reason: "Suspected", RollVia: "witness"}, true, "Armed Suspected"},
		{"unarmed, and everybody knows why", &peerv1.StatusReply{Phase: "Unarmed", Reason: "NoWatchdog", Published: true}, true, "Unarmed NoWatchdog"},
		{"unarmed, and nobody knows", &peerv1.StatusReply{Phase: "Unarmed", Reason: "NoRollYet"}, false, "does not know it yet"},
		{"unarmed without a reason", &peerv1.StatusReply{Phase: "Unarmed", Published: true}, false, "the node is Unarmed"},
		{"on its way", &peerv1.StatusReply{Phase: "Arming", Published: true}, false, "the node is Arming"},
		{"leaving", &peerv1.StatusReply{Phase: "Leaving", Reason: "Stopping", Published: true}, true, "Leaving Stopping"},
		{"resetting", &peerv1.StatusReply{Phase: "Latched", Reason: "Withheld", Published: true}, false, "resetting: Withheld"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := handler(of(tt.status))
			want := http.StatusServiceUnavailable
			if tt.ready {
				want = http.StatusOK
			}
			if code, body := ask(t, h, "/readyz"); code != want || !strings.Contains(body, tt.says) {
				t.Errorf("/readyz: %d %q, want %d and %q", code, body, want, tt.says)
			}
			// Whatever the node is, the process serves: nobody may restart it.
			if code, body := ask(t, h, "/healthz"); code != http.StatusOK {
				t.Errorf("/healthz: %d %q", code, body)
			}
		})
	}
}

func TestWhatIsServed(t *testing.T) {
	h := handler(of(armed()))
	code, body := ask(t, h, "/metrics")
	for _, want := range []string{`picket_agent_phase{phase="Armed"} 1`, "process_cpu_seconds_total", "process_resident_memory_bytes"} {
		if code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("/metrics: %d without %s", code, want)
		}
	}
	if code, _ := ask(t, h, "/debug/pprof/"); code != http.StatusNotFound {
		t.Errorf("/debug/pprof/: %d", code)
	}
}

func TestQuestionsAreLimited(t *testing.T) {
	h := limited(handler(of(armed())))
	for i := range atOnce {
		if code, _ := ask(t, h, "/healthz"); code != http.StatusOK {
			t.Fatalf("question %d: %d", i, code)
		}
	}
	refused := 0
	for range atOnce {
		if code, _ := ask(t, h, "/metrics"); code == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused < atOnce/2 {
		t.Errorf("%d of %d questions too many were refused", refused, atOnce)
	}
}

// fetch asks the address until it answers.
func fetch(t *testing.T, address string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	giveUp := time.NewTimer(30 * time.Second)
	defer giveUp.Stop()
	for {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := client.Do(req); err == nil {
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err == nil && resp.StatusCode == http.StatusOK {
				return string(body)
			}
		}
		select {
		case <-again.C:
		case <-giveUp.C:
			t.Fatal("no answer within 30 s")
		}
	}
}

// An address that somebody else has costs the agent nothing but its metrics, and
// those only as long as it is taken.
func TestServeWaitsForItsAddress(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var log bytes.Buffer
	done := make(chan struct{})
	go func() {
		defer close(done)
		persist(ctx, 5*time.Millisecond, taken.Addr().String(), of(armed()), slog.New(slog.NewTextHandler(&log, nil)))
	}()
	time.AfterFunc(50*time.Millisecond, func() { _ = taken.Close() })
	if got := fetch(t, taken.Addr().String()); got != "Armed\n" {
		t.Errorf("answer %q", got)
	}
	stop()
	<-done
	if n := strings.Count(log.String(), "nobody can scrape"); n != 1 {
		t.Errorf("it said %d times that it cannot listen:\n%s", n, log.String())
	}
}

// Whoever opens connections for the fun of it gets few of them.
func TestConnectionsAreBounded(t *testing.T) {
	free, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	_ = free.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		Serve(ctx, address, of(armed()), slog.New(slog.DiscardHandler))
	}()
	fetch(t, address)
	var open []net.Conn
	for n := range maxConns + 8 {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
		if err := answers(c); (err == nil) != (n < maxConns) {
			t.Errorf("connection %d, of %d at most: %v", n+1, maxConns, err)
		}
	}
	for _, c := range open {
		_ = c.Close()
	}
	fetch(t, address) // those that went made room
	stop()
	<-done
}

// answers returns nil if a question gets an answer, be it that there are too many;
// the connection stays open.
func answers(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: agent\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

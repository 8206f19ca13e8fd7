package gate

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const (
	remote = "https://example.com:6443"
	local  = "https://127.0.0.1:6443"
)

// A phase is how the API answers until some time after the gate began.
type phase struct {
	until  time.Duration
	answer http.HandlerFunc // nil: connections are refused
}

const ever = time.Hour

// An outcome is what a run came to.
type outcome struct {
	Reason Reason
	After  time.Duration
	Held   []string // the reasons of the holds that were logged
}

// A trial is one run of a gate against an API server.
type trial struct {
	*network
	mu    sync.Mutex // guards start
	start time.Time
	log   bytes.Buffer
	lines []string // the status lines
}

// run runs a gate in a bubble, and returns what it came to.
func run(t *testing.T, url string, phases []phase, change func(*Config), ctx context.Context) (outcome, *trial) { //nolint:revive // the context is rarely given
	t.Helper()
	r := &trial{network: newNetwork()}
	now := func() http.HandlerFunc {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, p := range phases {
			if time.Since(r.start) < p.until {
				return p.answer
			}
		}
		return nil
	}
	cut := r.cut
	r.cut = func(address string) bool { return now() == nil || cut(address) }
	s := serve(t, r.network, func(w http.ResponseWriter, q *http.Request) {
		if answer := now(); answer != nil {
			answer(w, q)
			return
		}
		panic(http.ErrAbortHandler) // cut while the connection was kept
	})
	defer s.Close()
	c := Default()
	c.Kubeconfigs = []string{"/nonexistent/kubelet.conf", kubeconfig(t, s, url)}
	if change != nil {
		change(&c)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	g := New(c, self(), slog.New(slog.NewJSONHandler(&r.log, nil)), func(line string) { r.lines = append(r.lines, line) })
	g.dial = r.dial
	r.mu.Lock()
	r.start = time.Now()
	r.mu.Unlock()
	v := g.Run(ctx)
	if v.Word != Open {
		t.Errorf("ended with %v", v)
	}
	o := outcome{Reason: v.Reason, After: time.Since(r.start)}
	for line := range strings.Lines(r.log.String()) {
		if _, after, ok := strings.Cut(line, `"msg":"holding the kubelet"`); ok {
			_, after, _ = strings.Cut(after, `"reason":"`)
			reason, _, _ := strings.Cut(after, `"`)
			o.Held = append(o.Held, reason)
		}
	}
	s.CloseClientConnections()
	return o, r
}

func TestGate(t *testing.T) {
	withheld := taints(quarantine(otherBoot, "NoSchedule"))
	decided := taints(quarantine(otherBoot, "NoSchedule"), quarantine(otherBoot, "NoExecute"))
	moving := taints(quarantine(otherBoot, "NoSchedule"), quarantine(otherBoot, "NoExecute"), outOfService)
	s := func(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
	for _, test := range []struct {
		name   string
		phases []phase
		change func(*Config)
		url    string
		want   outcome
	}{
		{name: "not fenced: no delay", phases: []phase{{ever, taints()}}, want: outcome{NotFenced, 0, nil}},
		{name: "own boot", phases: []phase{{ever, taints(quarantine(thisBoot, "NoSchedule"))}}, want: outcome{OwnBoot, 0, nil}},
		{
			name:   "a fence that goes its way",
			phases: []phase{{s(20.5), withheld}, {s(21.5), decided}, {ever, moving}},
			want:   outcome{FenceDecided, s(21), []string{"FenceUndecided"}},
		},
		{
			name:   "a fence that is decided between two questions",
			phases: []phase{{s(20.5), withheld}, {s(45), moving}, {ever, decided}},
			want:   outcome{FenceDecided, s(45), []string{"FenceUndecided", "VolumesMoving"}},
		},
		{
			name:   "a fence that is dropped",
			phases: []phase{{s(7), withheld}, {ever, taints(notReady)}},
			want:   outcome{NotFenced, s(7), []string{"FenceUndecided"}},
		},
		{name: "a fence that is never decided", phases: []phase{{ever, withheld}}, want: outcome{BoundPassed, s(180), []string{"FenceUndecided"}}},
		{name: "volumes that never move", phases: []phase{{ever, moving}}, want: outcome{BoundPassed, s(180), []string{"VolumesMoving"}}},
		{
			name: "a shorter bound", phases: []phase{{ever, withheld}}, change: func(c *Config) { c.Bound = s(30.5) },
			want: outcome{BoundPassed, s(30.5), []string{"FenceUndecided"}},
		},
		{name: "no node", phases: []phase{{ever, failing(apierrors.NewNotFound(nodes, nodeName))}}, want: outcome{NoNode, 0, nil}},
		{
			name:   "a node that is deleted while it is held",
			phases: []phase{{s(5), withheld}, {ever, failing(apierrors.NewNotFound(nodes, nodeName))}},
			want:   outcome{NoNode, s(5), []string{"FenceUndecided"}},
		},
		{name: "API refuses connections", want: outcome{Silent, s(20), []string{"NoAnswer"}}},
		{name: "API does not answer", phases: []phase{{ever, stall}}, want: outcome{Silent, s(20), []string{"NoAnswer"}}},
		{name: "401", phases: []phase{{ever, failing(apierrors.NewUnauthorized("expired"))}}, want: outcome{Silent, s(20), []string{"Refused"}}},
		{name: "403", phases: []phase{{ever, taints()}}, change: func(c *Config) { c.Node = "worker-2" }, want: outcome{Silent, s(20), []string{"Refused"}}},
		{name: "429", phases: []phase{{ever, failing(apierrors.NewTooManyRequests("busy", 1))}}, want: outcome{Silent, s(20), []string{"Refused"}}},
		{name: "500", phases: []phase{{ever, failing(apierrors.NewInternalError(http.ErrServerClosed))}}, want: outcome{Silent, s(20), []string{"Refused"}}},
		{name: "503 of a load balancer", phases: []phase{{ever, text(503, "<html>no backend</html>")}}, want: outcome{Silent, s(20), []string{"Refused"}}},
		{name: "garbage", phases: []phase{{ever, text(200, "hello")}}, want: outcome{Silent, s(20), []string{"NoAnswer"}}},
		{name: "an empty object is no node without taints", phases: []phase{{ever, text(200, "{}")}}, want: outcome{Silent, s(20), []string{"NoAnswer"}}},
		{
			name:   "API comes up, and the node is not fenced",
			phases: []phase{{s(3), nil}, {s(6), failing(apierrors.NewServiceUnavailable("starting"))}, {ever, taints()}},
			want:   outcome{NotFenced, s(6), []string{"NoAnswer", "Refused"}},
		},
		{
			name:   "API comes up just in time for the last question, and the node is fenced",
			phases: []phase{{s(19.5), nil}, {s(33), withheld}, {ever, decided}},
			want:   outcome{FenceDecided, s(33), []string{"NoAnswer", "FenceUndecided"}},
		},
		{
			name:   "silence counts from the last answer",
			phases: []phase{{s(10), nil}, {s(40.5), withheld}, {ever, nil}},
			want:   outcome{Silent, s(60), []string{"NoAnswer", "FenceUndecided", "NoAnswer"}},
		},
		{
			name:   "an answer now and then keeps the hold up to the bound",
			phases: flapping(withheld),
			want:   outcome{BoundPassed, s(180), nil},
		},
		{name: "API on this host", url: local, want: outcome{Silent, s(5), []string{"NoAnswer"}}},
		{
			name: "API on this host, and another one", url: local, change: func(c *Config) { c.Servers = []string{remote} },
			want: outcome{Silent, s(20), []string{"NoAnswer"}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				url := test.url
				if url == "" {
					url = remote
				}
				got, r := run(t, url, test.phases, test.change, t.Context())
				if test.want.Held == nil {
					got.Held = nil
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("outcome (-want +got):\n%s\n%s", diff, &r.log)
				}
				if last := r.lines[len(r.lines)-1]; !strings.HasPrefix(last, "Lets the kubelet start: ") {
					t.Errorf("the manager was told last: %s", last)
				}
			})
		})
	}
}

// flapping returns phases in which every tenth second brings an answer.
func flapping(answer http.HandlerFunc) []phase {
	var phases []phase
	for at := time.Duration(0); at < 4*time.Minute; at += 10 * time.Second {
		phases = append(phases, phase{at + time.Second, answer}, phase{at + 10*time.Second, nil})
	}
	return phases
}

func TestGateTellsForHowLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		phases := []phase{{2 * time.Second, nil}, {ever, taints(quarantine(otherBoot, "NoSchedule"))}}
		_, r := run(t, remote, phases, func(c *Config) { c.Bound, c.Silence = 4*time.Second, 4*time.Second }, t.Context())
		var got []string
		for _, line := range r.lines {
			got = append(got, line[:strings.Index(line, ":")])
		}
		want := []string{
			"Holds the kubelet for 4s at most", "Holds the kubelet for 3s at most",
			"Holds the kubelet for 2s at most", "Holds the kubelet for 1s at most",
			"Lets the kubelet start",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
	})
}

// Whoever reads the journal finds there what the API server said.
func TestGateQuotesTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		phases := []phase{
			{time.Second, failing(apierrors.NewUnauthorized("certificate expired"))},
			{ever, failing(apierrors.NewNotFound(nodes, nodeName))},
		}
		_, r := run(t, remote, phases, nil, t.Context())
		for _, want := range []string{"certificate expired", `nodes \"worker-1\" not found`} {
			if !strings.Contains(r.log.String(), want) {
				t.Errorf("no %s in\n%s", want, &r.log)
			}
		}
	})
}

func TestGateLetsGoWhenStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10500*time.Millisecond)
		defer cancel()
		got, _ := run(t, remote, []phase{{ever, taints(quarantine(otherBoot, "NoSchedule"))}}, nil, ctx)
		if diff := cmp.Diff(outcome{Stopped, 10500 * time.Millisecond, []string{"FenceUndecided"}}, got); diff != "" {
			t.Errorf("outcome (-want +got):\n%s", diff)
		}
	})
}

// One API server that is down must not keep the gate from asking the next one.
func TestGateAsksEveryServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newNetwork()
		r.cut = func(address string) bool { return address != "example.com:3" }
		s := serve(t, r, taints())
		defer s.Close()
		defer s.CloseClientConnections()
		c := Default()
		c.Kubeconfigs = []string{kubeconfig(t, s, "https://example.com:3")}
		c.Servers = []string{"https://example.com:1", "https://example.com:2"}
		g := New(c, self(), slog.New(slog.DiscardHandler), func(string) {})
		g.dial = r.dial
		start := time.Now()
		v := g.Run(t.Context())
		if diff := cmp.Diff(outcome{NotFenced, 2 * time.Second, nil}, outcome{v.Reason, time.Since(start), nil}); diff != "" {
			t.Errorf("outcome (-want +got):\n%s", diff)
		}
	})
}

// Trouble with the kubeconfig is the kubelet's as well: waiting cures nothing.
func TestGateThatCannotAskLetsGo(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		return writeFile(t, filepath.Join(dir, name), text)
	}
	for name, file := range map[string]string{
		"none":               filepath.Join(dir, "none"),
		"empty":              write("empty", ""),
		"garbage":            write("garbage", "{{{"),
		"no such credential": write("credential", strings.Replace(minimal, "token: t", "client-certificate: none, client-key: none", 1)),
		"no address":         write("address", strings.Replace(minimal, "https://example.com:6443", "https://%zz", 1)),
		"a directory":        dir,
	} {
		t.Run(name, func(t *testing.T) {
			c := Default()
			c.Kubeconfigs = []string{file}
			g := New(c, self(), slog.New(slog.DiscardHandler), func(string) {})
			g.dial = func(context.Context, string, string) (net.Conn, error) {
				t.Error("connects")
				return nil, net.ErrClosed
			}
			if v := g.Run(t.Context()); v.Word != Open || v.Reason != CannotAsk {
				t.Errorf("verdict %+v", v)
			}
		})
	}
}

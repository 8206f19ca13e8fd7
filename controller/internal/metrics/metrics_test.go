package metrics

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ask(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func at(seconds float64) timing.Instant {
	return timing.At(time.Hour + time.Duration(seconds*float64(time.Second)))
}

func aFence(uid string, reason plan.Reason, phase plan.Phase, blockers ...string) plan.Fence {
	return plan.Fence{UID: uid, Reason: reason, Status: plan.FenceStatus{Phase: phase, Blockers: blockers}}
}

// says fails for each line that /metrics does not have.
func says(t *testing.T, m *Metrics, want ...string) {
	t.Helper()
	_, body := ask(t, m.handler(nil, nil), "/metrics")
	for _, line := range want {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
	if strings.Contains(body, `phase=""`) {
		t.Error("a fence without a phase has a series")
	}
}

func TestMetrics(t *testing.T) {
	m := New()
	m.Leading(true)
	m.Planned(at(0), time.Millisecond, plan.World{Fences: []plan.Fence{
		aFence("a", plan.PeersLost, plan.Withheld), aFence("b", plan.PeersLost, plan.Withheld), aFence("c", "", ""),
	}})
	m.Planned(at(1), time.Millisecond, plan.World{Fences: []plan.Fence{
		aFence("a", plan.PeersLost, plan.Fenced), aFence("d", "SomebodysWord", plan.Blocked),
	}})
	m.Acted("PutTaints", "conflict")
	m.ReadRoll(nil)
	m.ReadRoll(errors.New("broken"))
	says(t, m,
		"picket_controller_leader 1",
		"picket_controller_plan_seconds_count 2",
		`picket_controller_actions_total{kind="PutTaints",result="conflict"} 1`,
		`picket_controller_roll_reads_total{result="error"} 1`,
		`picket_controller_roll_reads_total{result="ok"} 1`,
		`picket_controller_fences{phase="Fenced",reason="PeersLost"} 1`,
		`picket_controller_fences{phase="Withheld",reason="PeersLost"} 0`,
		`picket_controller_fences{phase="Blocked",reason="Requested"} 1`,
	)
}

// A fence is timed from end to end by a leader that saw both.
func TestFencesAreTimed(t *testing.T) {
	m := New()
	see := func(seconds float64, list ...plan.Fence) { m.Planned(at(seconds), 0, plan.World{Fences: list}) }
	old := aFence("old", plan.PeersLost, plan.Withheld) // of an earlier leader
	step := func(seconds float64, phase plan.Phase) { see(seconds, old, aFence("new", plan.PeersLost, phase)) }
	see(0, old)
	step(1, "")
	step(1.1, plan.Pending)
	step(2, plan.Suspected)
	step(5, plan.Withheld)
	step(6, plan.Withheld)
	old.Status.Phase = plan.Fenced
	step(26, plan.Fenced)
	old.Status.Phase = plan.Detached
	step(29, plan.Detached)
	step(60, plan.Recovered)
	see(61)
	says(t, m,
		"picket_controller_fence_wait_seconds_sum 21", "picket_controller_fence_wait_seconds_count 1",
		"picket_controller_failover_seconds_sum 25", "picket_controller_failover_seconds_count 1",
		"picket_controller_fence_detach_seconds_sum 6", "picket_controller_fence_detach_seconds_count 2",
		`picket_controller_fence_phases_total{phase="Fenced",reason="PeersLost"} 2`,
		`picket_controller_fence_phases_total{phase="Withheld",reason="PeersLost"} 1`,
		`picket_controller_fence_phases_total{phase="Recovered",reason="PeersLost"} 1`,
		`picket_controller_fences{phase="Recovered",reason="PeersLost"} 0`,
	)
	if n := len(m.fences.open); n != 0 {
		t.Errorf("%d fences are remembered that are gone", n)
	}
}

func TestBlockersAreCountedByKind(t *testing.T) {
	m := New()
	short := aFence("d", plan.PeersLost, plan.Withheld)
	short.Status.QuorumShort = true
	m.Planned(at(0), 0, plan.World{Fences: []plan.Fence{
		aFence("a", plan.PeersLost, plan.Blocked, "NotArmed: without …", "Paused: for the night"),
		aFence("b", plan.PeersLost, plan.Blocked, "NotArmed: without …"),
		aFence("c", plan.PeersLost, plan.Fenced, "pod db/db-0", "pod db/db-1 (finalizers [x])", "attached volume v", "volumeattachment w", "what?"),
		short,
	}})
	says(t, m,
		`picket_controller_fences_blocked{blocker="NotArmed"} 2`, `picket_controller_fences_blocked{blocker="Paused"} 1`,
		`picket_controller_fences_blocked{blocker="Pod"} 1`, `picket_controller_fences_blocked{blocker="Volume"} 1`,
		`picket_controller_fences_blocked{blocker="Other"} 1`, `picket_controller_fences_blocked{blocker="QuorumBlocked"} 1`,
	)
	m.Planned(at(1), 0, plan.World{})
	says(t, m, `picket_controller_fences_blocked{blocker="NotArmed"} 0`)
}

func TestNodesAreCounted(t *testing.T) {
	guard := func(boot string, armed bool, change func(*plan.GuardStatus)) plan.Guard {
		g := plan.Guard{Status: plan.GuardStatus{Boot: boot, Promise: timing.Promise{Armed: armed}}}
		if change != nil {
			change(&g.Status)
		}
		return g
	}
	w := plan.World{
		Policy: plan.Policy{Paused: "for the night", Observe: true},
		Roll:   &plan.Roll{Roll: roll.Roll{Epochs: []roll.Epoch{{Retiring: true}, {Witnesses: []string{"a", "b", "c"}}}}},
		Nodes:  map[string]plan.Node{"x": {Boot: "1", Excluded: true}, "a": {Boot: "1"}, "b": {Boot: "1"}, "c": {Boot: "1"}, "d": {Boot: "2"}, "e": {Boot: "1"}},
		Guards: map[string]plan.Guard{
			"a": guard("1", true, func(s *plan.GuardStatus) { s.Lost = []string{"d", "e", "gone"} }),
			"b": guard("1", true, func(s *plan.GuardStatus) { s.Lost = []string{"d"} }),
			"c": guard("1", false, func(s *plan.GuardStatus) { s.PeersLost, s.Lost = true, []string{"a", "b"} }),
			"d": guard("1", true, nil), // of the boot before
		},
	}
	m := New()
	m.Planned(at(0), 0, w)
	m.Planned(at(0.5), 0, plan.World{}) // too soon to count again
	says(t, m,
		"picket_controller_nodes 6", "picket_controller_nodes_excluded 1", "picket_controller_nodes_armed 2", "picket_controller_nodes_unarmed 1", "picket_controller_nodes_unheard 2",
		"picket_controller_nodes_lost 2", "picket_controller_nodes_peers_lost 1", "picket_controller_witnesses 3",
		"picket_controller_paused 1", "picket_controller_observe 1", "picket_controller_history_broken 0",
	)
	m.Planned(at(2), 0, plan.World{Roll: &plan.Roll{Broken: "it went back"}})
	says(t, m, "picket_controller_nodes 0", "picket_controller_paused 1", "picket_controller_observe 0", "picket_controller_history_broken 1")
}

type answers struct {
	code int
	err  error
}

func (a answers) RoundTrip(*http.Request) (*http.Response, error) {
	if a.err != nil {
		return nil, a.err
	}
	return &http.Response{StatusCode: a.code, Body: http.NoBody}, nil
}

func TestRequestsAreCounted(t *testing.T) {
	m := New()
	for _, a := range []answers{{code: 200}, {code: 200}, {code: 409}, {err: errors.New("reset by peer")}} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://127.0.0.1/", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := m.Transport(a).RoundTrip(req)
		if !errors.Is(err, a.err) || err == nil && resp.StatusCode != a.code {
			t.Errorf("%+v became %v, %v", a, resp, err)
		}
		if err == nil {
			_ = resp.Body.Close()
		}
	}
	says(t, m,
		`picket_controller_api_requests_total{code="200",method="PUT"} 2`,
		`picket_controller_api_requests_total{code="409",method="PUT"} 1`,
		`picket_controller_api_requests_total{code="error",method="PUT"} 1`,
	)
}

// names.txt is all that a controller exports, with types and labels: the rules
// and the dashboard of deploy/monitoring are held to it.
func TestNamesGolden(t *testing.T) {
	m := New()
	m.Acted("PutRoll", "ok")
	m.ReadRoll(nil)
	m.requests.WithLabelValues("GET", "200").Inc()
	m.Planned(at(0), 0, plan.World{Fences: []plan.Fence{aFence("a", plan.PeersLost, "")}})
	m.Planned(at(1), 0, plan.World{Fences: []plan.Fence{aFence("a", plan.PeersLost, plan.Blocked, "Paused: x")}})
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "go_") ||
			strings.HasPrefix(f.GetName(), "process_") && f.GetName() != "process_cpu_seconds_total" && f.GetName() != "process_resident_memory_bytes" {
			continue // which there are depends on Go and on the kernel
		}
		fmt.Fprintf(&got, "%s %s", f.GetName(), strings.ToLower(f.GetType().String()))
		for _, l := range f.GetMetric()[0].GetLabel() {
			fmt.Fprintf(&got, " %s", l.GetName())
		}
		fmt.Fprintln(&got)
	}
	const path = "testdata/names.txt"
	if *update {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got.String()); d != "" {
		t.Errorf("names (-want +got; -update writes them):\n%s", d)
	}
	_, body := ask(t, m.handler(nil, nil), "/metrics")
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "picket_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestHealth(t *testing.T) {
	fine := func() error { return nil }
	bad := func() error { return errors.New("stands still") }
	h := New().handler(bad, fine)
	if code, body := ask(t, h, "/healthz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "stands still") {
		t.Errorf("/healthz: %d %s", code, body)
	}
	if code, _ := ask(t, h, "/readyz"); code != http.StatusOK {
		t.Errorf("/readyz: %d", code)
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := New().Serve(ctx, "127.0.0.1:0", nil, nil); err != nil {
		t.Error(err)
	}
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if err := New().Serve(t.Context(), taken.Addr().String(), nil, nil); err == nil {
		t.Error("an address in use is no error")
	}
}

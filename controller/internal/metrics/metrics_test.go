package metrics

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/picket-dev/picket/controller/plan"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ask(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestMetrics(t *testing.T) {
	m := New()
	m.Leading(true)
	m.Planned(time.Millisecond, []plan.Fence{
		{Status: plan.FenceStatus{Phase: plan.Withheld}}, {Status: plan.FenceStatus{Phase: plan.Withheld}}, {},
	})
	m.Planned(time.Millisecond, []plan.Fence{{Status: plan.FenceStatus{Phase: plan.Fenced}}})
	m.Acted("PutTaints", "conflict")
	m.ReadRoll(nil)
	m.ReadRoll(errors.New("broken"))
	_, body := ask(t, m.handler(nil, nil), "/metrics")
	for _, want := range []string{
		"picket_controller_leader 1\n",
		"picket_controller_plan_seconds_count 2\n",
		`picket_controller_actions_total{kind="PutTaints",result="conflict"} 1` + "\n",
		`picket_controller_roll_reads_total{result="error"} 1` + "\n",
		`picket_controller_roll_reads_total{result="ok"} 1` + "\n",
		`picket_controller_fences{phase="Fenced"} 1` + "\n",
		`picket_controller_fences{phase="Withheld"} 0` + "\n",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("missing: %s", want)
		}
	}
	if strings.Contains(body, `phase=""`) {
		t.Error("a fence without a phase has a series")
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

package cli

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
)

// A real agent whose API is away is scraped and probed all the same: it lives,
// and is not ready, since nobody can know why it is unarmed.
func TestARealAgentIsScrapedWhileTheAPIIsDown(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	_ = l.Close()
	h := newHost(t, "r1-node-1")
	h.config.Metrics = at
	h.start(t, "r2-node-1", "127.0.0.1:1", strings.Repeat("ab", 32))
	until(t, h.run, "the neighbour is lost and the API has failed", func(r *peerv1.StatusReply) bool {
		return len(r.GetPeers()) == 1 && r.GetPeers()[0].GetLost() && r.GetEndpoints()[0].GetFailed() != nil && r.GetPhase() == "Unarmed"
	})
	for _, tt := range []struct {
		path string
		code int
		says []string
	}{
		{"/healthz", http.StatusOK, nil},
		{"/readyz", http.StatusServiceUnavailable, []string{"the node is Unarmed NoHolder, and the API server does not know it yet"}},
		{"/metrics", http.StatusOK, []string{
			`picket_agent_build_info{version="v0.3.0"} 1`,
			`picket_agent_phase{phase="Unarmed"} 1`, `picket_agent_reason_info{reason="NoHolder"} 1`, "picket_agent_status_published 0",
			`picket_agent_neighbour_lost{neighbour="r2-node-1"} 1`, "picket_agent_holder_up 0",
			`picket_agent_roll_reads_total{endpoint="https://127.0.0.1:1",outcome="ok"} 0`,
			`picket_agent_key_info{fingerprint="` + h.pin + `"} 1`,
		}},
	} {
		code, body := get(t, "http://"+at+tt.path)
		if code != tt.code {
			t.Errorf("%s: %d, want %d", tt.path, code, tt.code)
		}
		for _, says := range tt.says {
			if !strings.Contains(body, says) {
				t.Errorf("%s does not say %q:\n%s", tt.path, says, body)
			}
		}
		if strings.Contains(body, "picket_agent_pet_margin_seconds") {
			t.Error("a node that is unarmed has a margin")
		}
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

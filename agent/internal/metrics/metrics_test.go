package metrics

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/types/known/durationpb"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
)

var update = flag.Bool("update", false, "write the golden files")

func ms(n int) *durationpb.Duration { return durationpb.New(time.Duration(n) * time.Millisecond) }

func neighbour(name string) *peerv1.PeerStatus {
	return &peerv1.PeerStatus{
		Node: name, Neighbour: true, OutAge: ms(120), RollAge: ms(620), Pings: &peerv1.Pings{
			Sent: 120, Lost: 1, P50: ms(1), P95: ms(3), P99: ms(14), AllSent: 5000, AllLost: 7, AllTrips: ms(5250),
		},
	}
}

// armed is a node that is well.
func armed() *peerv1.StatusReply {
	lost := neighbour("node-3")
	lost.Lost, lost.RollAge = true, ms(9100)
	return &peerv1.StatusReply{
		Node: "node-1", Version: "v0.3.0", Fingerprint: strings.Repeat("ab", 32), Phase: "Armed", Published: true,
		PetLeft: ms(4600), ResetLeft: ms(15800), RollAge: ms(400), RollVia: "api", RollSerial: 4711,
		Promise: &peerv1.Promise{RollLife: ms(5000), PetDelay: ms(1000), Timeout: ms(10000), Kappa: 1020},
		Quorums: []*peerv1.Quorum{{Epoch: 3, Witnesses: 5, Needed: 3, Reached: 4}, {Epoch: 2, Retiring: true, Witnesses: 5, Needed: 3}},
		Watchdog: &peerv1.Watchdog{
			Device: "watchdog0", Driver: "i6300esb", Kind: "hardware", State: "Armed", Timeout: ms(10000), RealTimeout: ms(10200),
			WorstPetDelay: ms(3), Pets: 90210, Verified: true, Reachable: true,
		},
		Endpoints: []*peerv1.Endpoint{
			{Url: "https://10.0.1.10:6443", Answered: ms(400), RoundTrip: ms(4), Reads: map[string]uint64{"ok": 4000, "unreachable": 2, "refused": 1, "missing": 0}},
			{Url: "https://10.0.2.10:6443"},
		},
		Peers: []*peerv1.PeerStatus{
			neighbour("node-2"), lost, {Node: "node-4", Neighbour: true},
			{Node: "node-9", Witness: true, WithinReach: true}, {Node: "node-8", Caller: true, InAge: ms(100)},
		},
	}
}

// unarmed is one that is not.
func unarmed() *peerv1.StatusReply {
	return &peerv1.StatusReply{
		Node: "node-1", Version: "v0.3.0", Fingerprint: strings.Repeat("ab", 32), Phase: "Unarmed", Reason: "NoWatchdog",
		Published: true, Refutes: "f-1", RollAge: ms(900), RollVia: "witness",
		Conditions: []*peerv1.Condition{{Type: "PeersLost"}},
		Watchdog:   &peerv1.Watchdog{State: "Idle", Reachable: true},
		Peers:      []*peerv1.PeerStatus{neighbour("node-2")},
	}
}

// scraped returns the families of a status as Prometheus would get them.
func scraped(t *testing.T, r *peerv1.StatusReply) string {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collector{func() *peerv1.StatusReply { return r }})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// golden compares with a file of testdata, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got; -update writes it):\n%s", name, d)
	}
}

func TestScrapesGolden(t *testing.T) {
	for name, r := range map[string]*peerv1.StatusReply{
		"armed.prom": armed(), "unarmed.prom": unarmed(), "starting.prom": {Node: "node-1", Version: "v0.3.0"},
	} {
		golden(t, name, scraped(t, r))
	}
}

// names.txt is all that an agent exports, with types and labels: the rules and
// the dashboard of deploy/monitoring are held to it.
func TestNamesGolden(t *testing.T) {
	lines := make(map[string]bool)
	for _, r := range []*peerv1.StatusReply{armed(), unarmed()} {
		families, err := NewRegistry(func() *peerv1.StatusReply { return r }).Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, problem := range lint(t, r) {
			t.Error(problem)
		}
		for _, f := range families {
			if strings.HasPrefix(f.GetName(), "process_") && !slices.Contains([]string{"process_cpu_seconds_total", "process_resident_memory_bytes"}, f.GetName()) {
				continue // which there are depends on the kernel
			}
			line := []string{f.GetName(), strings.ToLower(f.GetType().String())}
			for _, l := range f.GetMetric()[0].GetLabel() {
				line = append(line, l.GetName())
			}
			lines[strings.Join(line, " ")] = true
		}
	}
	var all []string
	for l := range lines {
		all = append(all, l)
	}
	slices.Sort(all)
	golden(t, "names.txt", strings.Join(all, "\n")+"\n")
}

// lint returns what breaks Prometheus' conventions.
func lint(t *testing.T, r *peerv1.StatusReply) (all []string) {
	t.Helper()
	problems, err := promlint.New(strings.NewReader(scraped(t, r))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		all = append(all, p.Metric+": "+p.Text)
	}
	return all
}

// series returns the lines of a scrape that hold a value.
func series(text string) (all []string) {
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			all = append(all, line)
		}
	}
	return all
}

// What a node costs its monitoring depends on its neighbours, and not on how many
// nodes there are; who is no neighbour any more is in no series.
func TestSeriesAreBoundedByTheNeighbours(t *testing.T) {
	r := armed()
	few := len(series(scraped(t, r)))
	for i := range 5000 {
		r.Peers = append(r.Peers, &peerv1.PeerStatus{Node: fmt.Sprint("other-", i), Caller: true, Witness: i < 9, InAge: ms(100)})
	}
	if many := len(series(scraped(t, r))); many != few {
		t.Errorf("%d series with 5000 peers that are no neighbours, %d without", many, few)
	}
	r = armed()
	for i := range 8 {
		r.Peers = append(r.Peers, neighbour(fmt.Sprint("more-", i)))
	}
	more := len(series(scraped(t, r)))
	if each := (more - few) / 8; each > 8 {
		t.Errorf("%d series for each neighbour", each)
	}
	if more > 150 {
		t.Errorf("%d series of a node with 11 neighbours", more)
	}
	r.Peers[0].Neighbour = false
	if text := scraped(t, r); strings.Contains(text, r.Peers[0].GetNode()) {
		t.Errorf("%s is no neighbour any more, and has series", r.Peers[0].GetNode())
	}
}

// A driver may call itself anything; that must not cost the whole scrape.
func TestBytesThatAreNoTextAreReplaced(t *testing.T) {
	r := armed()
	r.Watchdog.Driver = "dog\xff\"\n"
	if text := scraped(t, r); !strings.Contains(text, `driver="dog`+"\uFFFD"+`\"\n"`) {
		t.Errorf("%s", text)
	}
}

// The agent's budget is 1 % of a core, for everything.
func BenchmarkScrape(b *testing.B) {
	r := armed()
	r.Peers = nil
	for i := range 8 {
		r.Peers = append(r.Peers, neighbour(fmt.Sprint("node-", i)))
	}
	h := handler(func() *peerv1.StatusReply { return r })
	b.ReportAllocs()
	for b.Loop() {
		if code, _ := ask(b, h, "/metrics"); code != 200 {
			b.Fatal(code)
		}
	}
}

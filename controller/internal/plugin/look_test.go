package plugin

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares a screen with testdata/golden/NAME.txt.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name+".txt")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil { //nolint:gosec // a golden file
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

// The fixtures are what a real API server held while test/cluster's scenarios
// power-cut and false-suspicion ran.
func TestScreensGolden(t *testing.T) {
	for _, tt := range []struct {
		fixture, line string
		code          int
	}{
		{"armed", "status", 0},
		{"armed", "status -o wide", 0},
		{"armed", "matrix", 0},
		{"armed", "explain-wait node-1", 0},
		{"armed", "timeline node-1", 0},
		{"armed", "where node-1", 0},
		{"suspected", "status", 2},
		{"suspected", "timeline node-1", 2},
		{"withheld", "status", 2},
		{"withheld", "timeline node-1", 2},
		{"withheld", "matrix", 1},
		{"fenced", "status", 1},
		{"fenced", "timeline node-1", 1},
		{"fenced", "where data-db-0", 0},
		{"recovered", "status", 0},
		{"recovered", "timeline node-1", 0},
		{"recovered", "timeline node-1 -o wide", 0},
		{"refuted", "timeline node-1", 0},
	} {
		for _, width := range []int{80, 120} {
			name := fmt.Sprintf("%s-%s-%d", tt.fixture, strings.ReplaceAll(strings.ReplaceAll(tt.line, " -", "-"), " ", "-"), width)
			t.Run(name, func(t *testing.T) {
				got := run(t, serve(t, tt.fixture).URL, width, "", tt.line)
				if got.code != tt.code {
					t.Errorf("exit code %d, want %d", got.code, tt.code)
				}
				golden(t, name, got.out)
			})
		}
	}
}

// --watch shows the answer again and again, and leaves with the newest verdict.
func TestWatch(t *testing.T) {
	s := serve(t, "withheld")
	var out strings.Builder
	looks := 0
	c := Command(Env{
		Getenv: func(string) string { return "" },
		Sleep: func(_ context.Context, d time.Duration) error {
			if looks++; looks == 3 {
				return context.Canceled
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.now = s.now.Add(d)
			return nil
		},
	})
	c.SetOut(&out)
	c.SetArgs([]string{"status", "--watch", "--kubeconfig", kubeconfig(t, s.URL)})
	code, _ := ExitCode(c.ExecuteContext(t.Context()))
	for _, left := range []string{"in 10 s", "in 8 s", "in 6 s"} {
		if strings.Count(out.String(), left) != 1 {
			t.Errorf("%q is not there once:\n%s", left, out.String())
		}
	}
	if code != exitCounting {
		t.Errorf("exit code %d", code)
	}
}

// What is for machines holds what the screens show, and can be read back.
func TestOutputForMachines(t *testing.T) {
	s := serve(t, "withheld")
	for _, line := range []string{"status", "timeline node-1", "matrix", "explain-wait node-2", "where node-2"} {
		asJSON, asYAML := run(t, s.URL, 80, "", line+" -o json"), run(t, s.URL, 80, "", line+" -o yaml")
		var a, b any
		if err := json.Unmarshal([]byte(asJSON.out), &a); err != nil {
			t.Errorf("%s: %v\n%s", line, err, asJSON.out)
		}
		if err := yaml.Unmarshal([]byte(asYAML.out), &b); err != nil {
			t.Errorf("%s: %v\n%s", line, err, asYAML.out)
		}
		if diff := cmp.Diff(a, b); diff != "" {
			t.Errorf("%s: JSON and YAML differ: %s", line, diff)
		}
		if asJSON.code != asYAML.code {
			t.Errorf("%s: exit codes %d and %d", line, asJSON.code, asYAML.code)
		}
	}
	var status struct {
		State string
		Nodes []struct {
			Name  string
			Armed bool
		}
		Fences []struct{ Node, Phase string }
	}
	if err := json.Unmarshal([]byte(run(t, s.URL, 80, "", "status -o json").out), &status); err != nil {
		t.Fatal(err)
	}
	if status.State != "CountingDown" || len(status.Nodes) != 5 || len(status.Fences) != 1 || status.Fences[0].Phase != "Withheld" {
		t.Errorf("%+v", status)
	}
}

// Two hundred nodes are judged and drawn within a second.
func TestMatrixOfManyNodes(t *testing.T) {
	const nodes, racks = 200, 10
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	var objects []map[string]any
	rack := func(i int) string { return fmt.Sprintf("r%d", i/(nodes/racks)+1) }
	for i := range nodes {
		name := fmt.Sprintf("node-%d", i+1)
		var watches []any
		var lost []any
		for k := range 8 {
			j := (i + 1 + k*k*7) % nodes
			other := fmt.Sprintf("node-%d", j+1)
			watches = append(watches, map[string]any{"node": other})
			if (rack(i) == "r4") != (rack(j) == "r4") {
				lost = append(lost, other)
			}
		}
		objects = append(objects, map[string]any{
			"kind": "Node", "metadata": map[string]any{"name": name, "labels": map[string]any{"topology.kubernetes.io/rack": rack(i)}},
			"status": map[string]any{"nodeInfo": map[string]any{"bootID": "b" + name}},
		}, map[string]any{
			"kind": "NodeGuard", "metadata": map[string]any{"name": name}, "spec": map[string]any{"neighbours": watches},
			"status": map[string]any{"bootID": "b" + name, "lost": lost},
		})
	}
	s := serveObjects(t, now, objects)
	for _, width := range []int{80, 120} {
		var got call
		best := time.Hour // of three: the machine may be busy with something else
		for range 3 {
			began := time.Now()
			got = run(t, s.URL, width, "", "matrix --failure-domain-label topology.kubernetes.io/rack")
			best = min(best, time.Since(began))
		}
		if t.Logf("200 nodes in %v", best); best > time.Second {
			t.Errorf("it took %v", best)
		}
		if got.code != exitDegraded || !strings.HasPrefix(got.out, "rack r4 cut off from r1–r3 and r5–r10: uplink, not hosts") {
			t.Errorf("exit code %d\n%s", got.code, got.out)
		}
		golden(t, fmt.Sprintf("racks-matrix-%d", width), got.out)
	}
	byNode := run(t, s.URL, 120, "", "matrix --by node --failure-domain-label topology.kubernetes.io/rack")
	for line := range strings.Lines(byNode.out) {
		if n := len([]rune(strings.TrimSpace(line))); n > 120 {
			t.Errorf("a line has %d columns: %s", n, line)
		}
	}
}

package monitoring

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// root is the top of the source tree.
const root = "../../.."

// A family is what one metric is exported as.
type family struct {
	kind   string
	labels []string
}

// exported returns the families of agents and controllers, by name, from what
// the tests of both keep beside their registries.
func exported(t *testing.T) map[string]family {
	t.Helper()
	all := make(map[string]family)
	for _, file := range []string{"agent/internal/metrics/testdata/names.txt", "controller/internal/metrics/testdata/names.txt"} {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			all[f[0]] = family{kind: f[1], labels: f[2:]}
		}
	}
	if len(all) < 40 {
		t.Fatalf("only %d families are exported", len(all))
	}
	return all
}

// target returns the labels that Prometheus itself, or the chart's PodMonitor,
// gives every series.
func target() []string { return []string{"job", "instance", "node", "namespace", "pod", "cluster"} }

// seriesLabels returns the labels of a series of that name; false if nobody
// exports it.
func seriesLabels(all map[string]family, name string) ([]string, bool) {
	if f, ok := all[name]; ok && f.kind != "histogram" {
		if f.kind == "summary" {
			return append(slices.Clone(f.labels), "quantile"), true
		}
		return f.labels, true
	}
	for suffix, extra := range map[string][]string{"_bucket": {"le"}, "_sum": nil, "_count": nil} {
		base, found := strings.CutSuffix(name, suffix)
		f, ok := all[base]
		if !found || !ok || f.kind != "histogram" && (f.kind != "summary" || suffix == "_bucket") {
			continue
		}
		return append(slices.Clone(f.labels), extra...), true
	}
	return nil, false
}

// check fails for each metric of the expression that nobody exports, and for
// each label that it cannot have.
func check(t *testing.T, all map[string]family, expr parser.Expr) {
	t.Helper()
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			known, ok := seriesLabels(all, n.Name)
			if !ok {
				t.Errorf("nobody exports %s", n.Name)
				return nil
			}
			for _, m := range n.LabelMatchers {
				if m.Name != labels.MetricName && !slices.Contains(known, m.Name) && !slices.Contains(target(), m.Name) {
					t.Errorf("%s has no label %s", n.Name, m.Name)
				}
			}
		case *parser.AggregateExpr:
			named(t, all, n.Grouping, n.Expr)
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				named(t, all, n.VectorMatching.MatchingLabels, n)
			}
		}
		return nil
	})
}

// named fails for a label by which series are grouped or matched that none of
// those of the expression can have.
func named(t *testing.T, all map[string]family, names []string, in parser.Expr) {
	t.Helper()
	possible := target()
	parser.Inspect(in, func(n parser.Node, _ []parser.Node) error {
		if v, ok := n.(*parser.VectorSelector); ok {
			known, _ := seriesLabels(all, v.Name)
			possible = append(possible, known...)
		}
		return nil
	})
	for _, l := range names {
		if !slices.Contains(possible, l) {
			t.Errorf("%s: nothing in it has a label %s", in, l)
		}
	}
}

// What the checks find must be found.
func TestTheChecksBite(t *testing.T) {
	all := exported(t)
	for _, tt := range []struct {
		expr string
		bad  bool
	}{
		{`picket_agent_phase{phase="Armed"}`, false},
		{`picket_agent_fase`, true},
		{`picket_agent_phase{fase="Armed"}`, true},
		{`sum by (neighbour) (picket_agent_neighbour_lost)`, false},
		{`sum by (peer) (picket_agent_neighbour_lost)`, true},
		{`picket_controller_failover_seconds_bucket{le="60.0"}`, false},
		{`picket_controller_failover_seconds`, true},
		{`picket_agent_ping_rtt_seconds{quantile="0.99"}`, false},
		{`picket_agent_ping_rtt_seconds_bucket`, true},
	} {
		expr, err := parser.NewParser(parser.Options{}).ParseExpr(tt.expr)
		if err != nil {
			t.Fatal(err)
		}
		probe := &testing.T{}
		check(probe, all, expr)
		if probe.Failed() != tt.bad {
			t.Errorf("%s: found wrong: %v", tt.expr, probe.Failed())
		}
	}
}

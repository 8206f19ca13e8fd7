package monitoring

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
)

// A dashboard is what Grafana reads, as far as it is checked here.
type dashboard struct {
	UID        string
	Title      string
	Templating struct {
		List []struct {
			Name, Type, Definition string
		}
	}
	Annotations struct {
		List []struct{ Name, Expr string }
	}
	Panels []panel
}

type panel struct {
	ID          int
	Type, Title string
	Datasource  struct{ Type, UID string }
	GridPos     struct{ H, W, X, Y int }
	Targets     []struct{ RefID, Expr, LegendFormat string }
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "deploy/monitoring/dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

var (
	variable = regexp.MustCompile(`\$\{?([A-Za-z_]+)\}?`)
	query    = regexp.MustCompile(`^label_values\((.+), ([a-z]+)\)$`)
)

// expand puts something in place of the dashboard's variables, as Grafana does.
func (d dashboard) expand(t *testing.T, expr string) string {
	t.Helper()
	return variable.ReplaceAllStringFunc(expr, func(v string) string {
		name := strings.Trim(v, "${}")
		if name == "__rate_interval" {
			return "1m"
		}
		for _, x := range d.Templating.List {
			if x.Name == name {
				return ".*"
			}
		}
		t.Errorf("%s: there is no variable %s", expr, v)
		return ".*"
	})
}

// Prometheus understands every expression, and somebody exports what it asks for.
func TestDashboardAsksForWhatThereIs(t *testing.T) {
	d := readDashboard(t)
	all := exported(t)
	parse := func(where, text string) {
		expr, err := parser.NewParser(parser.Options{}).ParseExpr(d.expand(t, text))
		if err != nil {
			t.Errorf("%s: %v", where, err)
			return
		}
		check(t, all, expr)
	}
	asked := 0
	for _, p := range d.Panels {
		for _, x := range p.Targets {
			parse(p.Title, x.Expr)
			asked++
		}
	}
	for _, a := range d.Annotations.List {
		parse(a.Name, a.Expr)
	}
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		q := query.FindStringSubmatch(v.Definition)
		if q == nil {
			t.Errorf("variable %s: %s is no query that is understood here", v.Name, v.Definition)
			continue
		}
		parse("variable "+v.Name, q[1])
	}
	if asked < 30 {
		t.Errorf("only %d expressions", asked)
	}
}

// Grafana draws it: every panel has an identity, a place of its own and the
// data source that was chosen.
func TestDashboardIsLaidOut(t *testing.T) {
	d := readDashboard(t)
	if d.UID == "" || d.Title == "" {
		t.Error("no identity")
	}
	ids := make(map[int]bool)
	taken := make(map[[2]int]string)
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 || p.Title == "" {
			t.Errorf("panel %d %q has no identity of its own", p.ID, p.Title)
		}
		ids[p.ID] = true
		if g := p.GridPos; g.W < 1 || g.H < 1 || g.X < 0 || g.X+g.W > 24 {
			t.Errorf("panel %q is outside of the screen: %+v", p.Title, g)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%q lies over %q", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
			t.Errorf("panel %q: data source %q, %d expressions", p.Title, p.Datasource.UID, len(p.Targets))
		}
	}
}

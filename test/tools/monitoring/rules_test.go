package monitoring

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
)

const (
	// scrape is the usual interval, at which the series are recorded and the
	// rules evaluated.
	scrape = 15 * time.Second
	// lasts is how long each recording is: longer than any alert waits.
	lasts = 75 * time.Minute
)

func rulesFile() string { return filepath.Join(root, "deploy/monitoring/alerts.yaml") }

// The file is one that Prometheus loads; each alert is complete, and is made of
// what is exported.
func TestRulesAreComplete(t *testing.T) {
	groups, errs := rulefmt.ParseFile(rulesFile(), false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	all := exported(t)
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			t.Run(r.Alert, func(t *testing.T) {
				if !strings.HasPrefix(r.Alert, "Picket") {
					t.Errorf("not an alert of ours: %q", r.Alert+r.Record)
				}
				if s := r.Labels["severity"]; !slices.Contains([]string{"critical", "warning", "info"}, s) {
					t.Errorf("severity %q", s)
				}
				for _, a := range []string{"summary", "description"} {
					if r.Annotations[a] == "" {
						t.Errorf("no %s", a)
					}
				}
				want := "https://github.com/picket-dev/picket/blob/main/deploy/RUNBOOK.md#" + strings.ToLower(r.Alert)
				if got := r.Annotations["runbook_url"]; got != want {
					t.Errorf("runbook_url %s, want %s", got, want)
				}
				expr, err := parser.NewParser(parser.Options{}).ParseExpr(r.Expr)
				if err != nil {
					t.Fatal(err)
				}
				check(t, all, expr)
			})
		}
	}
}

// A recording is series by name and labels, each with its values in the notation
// of promtool's tests.
type recording map[string]string

// steady is a value that stays.
func steady(v float64) string { return fmt.Sprintf("%g+0x%d", v, lasts/scrape) }

// rising is a counter that goes on by so much each scrape.
func rising(by float64) string { return fmt.Sprintf("0+%gx%d", by, lasts/scrape) }

// healthy is a cluster of three nodes and two controllers that are well.
func healthy() recording {
	r := recording{}
	for n := 1; n <= 3; n++ {
		at := fmt.Sprintf(`instance="10.0.0.%d:9464",job="picket-agent",node="node-%d"`, n, n)
		set := func(name, more, values string) {
			if more != "" {
				more = "," + more
			}
			r[fmt.Sprintf("picket_agent_%s{%s%s}", name, at, more)] = values
		}
		for _, p := range []string{"Unarmed", "Arming", "Leaving", "Latched"} {
			set("phase", `phase="`+p+`"`, steady(0))
		}
		set("phase", `phase="Armed"`, steady(1))
		set("build_info", `version="v0.3.0"`, steady(1))
		for _, c := range []string{"PeersLost", "HistoryBroken", "StorageUnreachable"} {
			set("condition", `condition="`+c+`"`, steady(0))
		}
		// A roll is up to a second old when it is renewed.
		set("pet_margin_seconds", "", strings.Repeat("4.9 4.2 4.6 3.9 ", int(lasts/scrape/4)))
		set("roll_life_seconds", "", steady(5))
		set("pet_delay_max_seconds", "", steady(0.003))
		set("pet_delay_limit_seconds", "", steady(1))
		set("holder_up", "", steady(1))
		for _, o := range []string{"unreachable", "refused", "missing"} {
			set("roll_reads_total", `endpoint="https://10.0.0.9:6443",outcome="`+o+`"`, rising(0))
		}
		set("roll_reads_total", `endpoint="https://10.0.0.9:6443",outcome="ok"`, rising(15))
		for m := 1; m <= 3; m++ {
			if m == n {
				continue
			}
			who := fmt.Sprintf(`neighbour="node-%d"`, m)
			set("neighbour_lost", who, steady(0))
			set("pings_total", who, rising(30))
			set("pings_lost_total", who, rising(0.1))
		}
	}
	for n := 1; n <= 2; n++ {
		leads := float64(n % 2)
		at := fmt.Sprintf(`instance="10.1.0.%d:8080",job="picket-controller"`, n)
		set := func(name, more string, values string) {
			if more != "" {
				more = "," + more
			}
			r[fmt.Sprintf("picket_controller_%s{%s%s}", name, at, more)] = values
		}
		set("leader", "", steady(leads))
		set("api_requests_total", `code="200",method="GET"`, rising(30))
		set("api_requests_total", `code="409",method="PUT"`, rising(1))
		set("api_requests_total", `code="error",method="GET"`, rising(0.5))
		for _, g := range []string{"nodes_unarmed", "nodes_unheard", "nodes_peers_lost", "observe", "paused", "history_broken"} {
			set(g, "", steady(0))
		}
		set("nodes", "", steady(3*leads))
		if n == 2 {
			continue // it has planned nothing
		}
		for _, p := range []string{"Pending", "Blocked", "Suspected", "Withheld", "Fenced", "Detached", "Recovered", "Refuted"} {
			set("fences", `phase="`+p+`",reason="PeersLost"`, steady(0))
			set("fence_phases_total", `phase="`+p+`",reason="PeersLost"`, steady(1))
		}
		set("fences_blocked", `blocker="NotArmed"`, steady(0))
		set("failover_seconds_count", "", steady(1))
		set("failover_seconds_bucket", `le="300.0"`, steady(1))
	}
	return r
}

// with returns the recording with other values for the series that match, which
// must be there unless they are new.
func (r recording) with(t *testing.T, change recording) recording {
	t.Helper()
	r = maps.Clone(r)
	for series, values := range change {
		name, fresh := strings.CutPrefix(series, "new ")
		matched := false
		for s := range r {
			if s == name {
				r[s], matched = values, true
			}
		}
		switch {
		case fresh && !matched:
			r[name] = values
		case !matched:
			t.Fatalf("there is no series %s", series)
		}
		if values == "" {
			delete(r, name)
		}
	}
	return r
}

// load writes the recording as Prometheus' tests take it.
func (r recording) load() string {
	var b strings.Builder
	fmt.Fprintf(&b, "load %s\n", model.Duration(scrape))
	for _, s := range slices.Sorted(maps.Keys(r)) {
		fmt.Fprintf(&b, "  %s %s\n", s, r[s])
	}
	return b.String()
}

// fired lets Prometheus evaluate all rules on the recording, and returns when
// each alert fired first and for whom, by its name.
func fired(t *testing.T, r recording) map[string]firing {
	t.Helper()
	store := promqltest.LoadedStorage(t, r.load())
	defer store.Close()
	engine := promqltest.NewTestEngineWithOpts(t, promql.EngineOpts{
		MaxSamples: 1_000_000, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, Parser: parser.NewParser(parser.Options{}),
	})
	m := rules.NewManager(&rules.ManagerOptions{
		QueryFunc: rules.EngineQueryFunc(engine, store), Appendable: store, Queryable: store, Context: t.Context(),
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {}, Parser: parser.NewParser(parser.Options{}),
	})
	groups, errs := m.LoadGroups(scrape, labels.EmptyLabels(), "", nil, false, rulesFile())
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	all := make(map[string]firing)
	for _, g := range groups {
		for at := time.Unix(0, 0); at.Before(time.Unix(0, 0).Add(lasts)); at = at.Add(scrape) {
			g.Eval(t.Context(), at)
			for _, r := range g.Rules() {
				if err := r.LastError(); err != nil {
					t.Fatalf("%s: %v", r.Name(), err)
				}
				note(all, r.(*rules.AlertingRule), time.Duration(at.Unix())*time.Second)
			}
		}
	}
	return all
}

// A firing is an alert's first one.
type firing struct {
	after   time.Duration
	who     []string // the label that tells its alerts apart
	summary string
}

func note(all map[string]firing, r *rules.AlertingRule, at time.Duration) {
	first, known := all[r.Name()]
	for _, a := range r.ActiveAlerts() {
		if a.State != rules.StateFiring || known && first.after != at {
			continue
		}
		if !known {
			first = firing{after: at, summary: a.Annotations.Get("summary")}
			known = true
		}
		who := ""
		for _, l := range []string{"neighbour", "node", "endpoint", "blocker", "phase", "instance"} {
			if v := a.Labels.Get(l); v != "" {
				who = v
				break
			}
		}
		first.who = append(first.who, who)
		slices.Sort(first.who)
	}
	if known {
		all[r.Name()] = first
	}
}

func TestAHealthyClusterIsSilent(t *testing.T) {
	if d := cmp.Diff(map[string]firing{}, fired(t, healthy()), cmp.AllowUnexported(firing{})); d != "" {
		t.Errorf("alerts (-want +got):\n%s", d)
	}
}

// from returns a series that is one thing until then, and another from then on.
func from(minute int, before, after float64) string {
	n := int(time.Duration(minute)*time.Minute/scrape) - 1
	return fmt.Sprintf("%g+0x%d %g+0x%d", before, n, after, int(lasts/scrape)-n)
}

// for a while, then well again.
func between(minute, until int, before, after float64) string {
	n, m := int(time.Duration(minute)*time.Minute/scrape)-1, int(time.Duration(until-minute)*time.Minute/scrape)-1
	return fmt.Sprintf("%g+0x%d %g+0x%d %g+0x%d", before, n, after, m, before, int(lasts/scrape)-n-m)
}

// agentSeries and controllerSeries are series of the first agent and of the leader.
func agentSeries(name, more string) string {
	return series("picket_agent_"+name, `instance="10.0.0.1:9464",job="picket-agent",node="node-1"`, more)
}

func controllerSeries(name, more string) string {
	return series("picket_controller_"+name, `instance="10.1.0.1:8080",job="picket-controller"`, more)
}

func series(name, at, more string) string {
	if more != "" {
		at += "," + more
	}
	return name + "{" + at + "}"
}

// Each alert fires on a recording of what it is about, at its time and for whom
// it should, and on none of what it is not about.
func TestEachAlertFires(t *testing.T) {
	min := func(n float64) time.Duration { return time.Duration(n * float64(time.Minute)) }
	node1 := []string{"node-1"}
	leader := []string{"10.1.0.1:8080"}
	all := []string{""}
	agents := func(r recording, name, more, values string) recording {
		for n := 1; n <= 3; n++ {
			r[series("picket_agent_"+name, fmt.Sprintf(`instance="10.0.0.%d:9464",job="picket-agent",node="node-%d"`, n, n), more)] = values
		}
		return r
	}
	covered := make(map[string]bool)
	for _, tt := range []struct {
		name   string
		change recording
		want   map[string]firing // summaries are compared where they are given
	}{
		{"a node is unarmed", recording{
			agentSeries("phase", `phase="Armed"`): from(10, 1, 0), agentSeries("phase", `phase="Unarmed"`): from(10, 0, 1),
			"new " + agentSeries("reason_info", `reason="NoWatchdog"`): "_x40 1+0x260", controllerSeries("nodes_unarmed", ""): from(10, 0, 1),
			agentSeries("pet_margin_seconds", ""): "4.6+0x38", agentSeries("roll_life_seconds", ""): "5+0x38",
		}, map[string]firing{
			"PicketNodeUnarmed":  {after: min(12), who: node1, summary: "Node node-1 cannot be fenced on time"},
			"PicketNodesUnarmed": {after: min(12), who: leader, summary: "1 nodes cannot be fenced on time"},
		}},
		{"an agent restarts", recording{
			agentSeries("phase", `phase="Armed"`): between(10, 11, 1, 0), controllerSeries("nodes_unarmed", ""): between(10, 11, 0, 1),
		}, nil},
		{"everybody observes", agents(agents(recording{
			controllerSeries("nodes_unarmed", ""): steady(3), controllerSeries("observe", ""): steady(1),
		}, "phase", `phase="Armed"`, steady(0)), "phase", `phase="Unarmed"`, steady(1)).and(agents(recording{}, "reason_info", `reason="Observe"`, steady(1)).fresh()), nil},
		{"everybody is uninstalled", agents(agents(recording{
			controllerSeries("nodes_unarmed", ""): steady(3), controllerSeries("observe", ""): steady(1),
		}, "phase", `phase="Armed"`, steady(0)), "phase", `phase="Unarmed"`, steady(1)).and(agents(recording{}, "reason_info", `reason="Uninstalled"`, steady(1)).fresh()), nil},
		{"a node without an agent", recording{controllerSeries("nodes_unheard", ""): from(10, 0, 1)}, map[string]firing{
			"PicketNodesUnheard": {after: min(15), who: leader, summary: "1 nodes have no agent that speaks"},
		}},
		{"rolls come late", recording{agentSeries("pet_margin_seconds", ""): from(10, 4.6, 1.5)}, map[string]firing{
			"PicketPetMarginLow": {after: min(11), who: node1, summary: "Node node-1 is 30% of a roll's life from its reset"},
		}},
		{"one roll came late", recording{agentSeries("pet_margin_seconds", ""): "4.6+0x38 1.5 4.6+0x400"}, nil},
		{"a pet came late", recording{agentSeries("pet_delay_max_seconds", ""): from(10, 0.003, 0.7)}, map[string]firing{
			"PicketPetsLate": {after: min(10), who: node1, summary: "A pet of node node-1 came 700ms late"},
		}},
		{"a pet came late long ago", recording{agentSeries("pet_delay_max_seconds", ""): steady(0.7)}, nil},
		{"no holder", recording{agentSeries("holder_up", ""): from(10, 1, 0)}, map[string]firing{
			"PicketHolderDown": {after: min(11), who: node1},
		}},
		{"one path is broken", recording{
			agentSeries("neighbour_lost", `neighbour="node-2"`): from(10, 0, 1), agentSeries("pings_lost_total", `neighbour="node-2"`): "0+0x39 0+30x441",
		}, map[string]firing{
			"PicketPathBroken": {after: min(15), who: []string{"node-2"}, summary: "1 agents do not hear node-2, and others do"},
		}},
		{"a node is dead", recording{
			agentSeries("neighbour_lost", `neighbour="node-2"`):                                                                      from(10, 0, 1),
			series("picket_agent_neighbour_lost", `instance="10.0.0.3:9464",job="picket-agent",node="node-3"`, `neighbour="node-2"`): from(10, 0, 1),
			controllerSeries("fences", `phase="Withheld",reason="PeersLost"`):                                                        between(10, 11, 0, 1),
			controllerSeries("fences", `phase="Fenced",reason="PeersLost"`):                                                          between(11, 12, 0, 1),
		}, map[string]firing{
			"PicketFencing": {after: min(10), who: []string{"Withheld"}, summary: "1 nodes are being fenced: Withheld, for PeersLost"},
		}},
		{"pings are lost", recording{agentSeries("pings_lost_total", `neighbour="node-2"`): rising(3)}, map[string]firing{
			"PicketPingsLost": {after: min(10.25), who: []string{"node-2"}, summary: "10% of the pings from node-1 to node-2 are lost"},
		}},
		{"no quorum of witnesses", recording{
			agentSeries("condition", `condition="PeersLost"`): from(10, 0, 1), controllerSeries("nodes_peers_lost", ""): from(10, 0, 1),
		}, map[string]firing{"PicketPeersLost": {after: min(11), who: node1}}},
		{"the agents' port is blocked (C12)", recording{controllerSeries("nodes_peers_lost", ""): from(10, 0, 2)}, map[string]firing{
			"PicketPeerPathBroken": {after: min(11), who: leader},
		}},
		{"the storage network is away (A10)", recording{agentSeries("condition", `condition="StorageUnreachable"`): from(10, 0, 1)}, map[string]firing{
			"PicketStorageUnreachable": {after: min(11), who: node1},
		}},
		{"an API server is away", agents(agents(recording{}, "roll_reads_total", `endpoint="https://10.0.0.9:6443",outcome="ok"`, "0+15x39 585+0x441"),
			"roll_reads_total", `endpoint="https://10.0.0.9:6443",outcome="unreachable"`, "0+0x39 0+15x441"), map[string]firing{
			"PicketRollReadsFail": {after: min(17.5), who: []string{"https://10.0.0.9:6443"}},
		}},
		{"the API fails the controller", recording{controllerSeries("api_requests_total", `code="error",method="GET"`): "0+0.5x39 20+15x441"}, map[string]firing{
			"PicketAPIErrors": {after: min(17.5), who: leader},
		}},
		{"nobody leads", recording{controllerSeries("leader", ""): from(10, 1, 0)}, map[string]firing{
			"PicketNoLeader": {after: min(11), who: all, summary: "Not exactly one controller leads"},
		}},
		{"two lead", recording{series("picket_controller_leader", `instance="10.1.0.2:8080",job="picket-controller"`, ""): from(10, 0, 1)}, map[string]firing{
			"PicketNoLeader": {after: min(11), who: all},
		}},
		{"no controller is there", recording{
			controllerSeries("leader", ""): "1+0x39", series("picket_controller_leader", `instance="10.1.0.2:8080",job="picket-controller"`, ""): "0+0x39",
		}, map[string]firing{"PicketNoLeader": {after: min(15.75), who: all}}}, // five minutes until the series is stale
		{"the Roll went back", recording{
			controllerSeries("history_broken", ""): from(10, 0, 1), controllerSeries("paused", ""): from(10, 0, 1),
		}, map[string]firing{
			"PicketHistoryBroken": {after: min(10), who: leader}, "PicketPaused": {after: min(70), who: leader},
		}},
		{"a fence does not begin (C9)", recording{
			controllerSeries("fences_blocked", `blocker="NotArmed"`): from(10, 0, 1), controllerSeries("fences", `phase="Blocked",reason="PeersLost"`): from(10, 0, 1),
		}, map[string]firing{
			"PicketFenceBlocked": {after: min(11), who: []string{"NotArmed"}, summary: "1 fences do not begin: NotArmed"},
		}},
		{"a fence waits for witnesses (C9)", recording{"new " + controllerSeries("fences_blocked", `blocker="QuorumBlocked"`): "_x40 1+0x260"}, map[string]firing{
			"PicketQuorumBlocked": {after: min(11), who: all},
		}},
		{"a fence was paused by a person (C9)", recording{"new " + controllerSeries("fences_blocked", `blocker="Paused"`): "_x40 1+0x260"}, nil},
		{"a pod does not go (C6)", recording{"new " + controllerSeries("fences_blocked", `blocker="Pod"`): "_x40 1+0x260"}, map[string]firing{
			"PicketDetachBlocked": {after: min(15), who: []string{"Pod"}},
		}},
		{"a failover was slow", recording{controllerSeries("failover_seconds_count", ""): from(10, 1, 2)}, map[string]firing{
			"PicketFailoverSlow": {after: min(10), who: all},
		}},
		{"a failover was quick", recording{
			controllerSeries("failover_seconds_count", ""): from(10, 1, 2), controllerSeries("failover_seconds_bucket", `le="300.0"`): from(10, 1, 2),
		}, nil},
		{"nodes are suspected and speak (C1)", recording{
			controllerSeries("fence_phases_total", `phase="Refuted",reason="PeersLost"`): "1+0x39 2+1x4 6+0x430",
		}, map[string]firing{"PicketFalseSuspicions": {after: min(10.5), who: all, summary: "3 suspicions were denied within an hour"}}},
		{"an upgrade stands still", recording{
			agentSeries("build_info", `version="v0.3.0"`): "1+0x19", "new " + agentSeries("build_info", `version="v0.4.0"`): "_x20 1+0x460",
		}, map[string]firing{"PicketVersions": {after: min(65), who: all}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := fired(t, healthy().with(t, tt.change))
			for name, f := range tt.want {
				covered[name] = true
				if f.summary == "" && got[name].summary != "" {
					f.summary = got[name].summary
					tt.want[name] = f
				}
			}
			if tt.want == nil {
				tt.want = map[string]firing{}
			}
			if d := cmp.Diff(tt.want, got, cmp.AllowUnexported(firing{})); d != "" {
				t.Errorf("alerts (-want +got):\n%s", d)
			}
		})
	}
	groups, errs := rulefmt.ParseFile(rulesFile(), false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			if !covered[r.Alert] {
				t.Errorf("nobody has seen %s fire", r.Alert)
			}
		}
	}
}

// and returns both recordings in one.
func (r recording) and(more recording) recording {
	maps.Copy(r, more)
	return r
}

// fresh marks all series as new ones.
func (r recording) fresh() recording {
	all := recording{}
	for s, v := range r {
		all["new "+s] = v
	}
	return all
}

package deploy

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// An alert is a rule of alerts.yaml, as far as people read it.
type alert struct {
	Alert       string
	Expr        string
	Labels      map[string]string
	Annotations map[string]string
}

func alerts(t *testing.T) []alert {
	t.Helper()
	text, err := os.ReadFile("monitoring/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct{ Rules []alert }
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	var all []alert
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) < 15 {
		t.Fatalf("only %d alerts", len(all))
	}
	return all
}

var word = regexp.MustCompile(`[A-Z][A-Za-z]+`)

// Whoever is woken up by an alert finds what it means, where it comes from, what
// to do, and how it looks; and the reasons and blockers that it names are ours.
func TestEveryAlertIsInTheRunbook(t *testing.T) {
	entries, said := runbook(t), words(t)
	for _, a := range alerts(t) {
		body := entries[a.Alert]
		for _, part := range []string{"**Means**", "**Cause**", "**Do**", "**Example**"} {
			if !strings.Contains(body, part) {
				t.Errorf("the entry %q of RUNBOOK.md has no %s", a.Alert, part)
			}
		}
		_, example, _ := strings.Cut(body, "**Example** ")
		if want := "`" + a.Alert; !strings.HasPrefix(example, want) {
			t.Errorf("the example of %s does not begin with %s: %.40q", a.Alert, want, example)
		}
		for _, m := range regexp.MustCompile(`(?:reason|blocker|condition)(?:=|!=|=~|!~)"([^"]+)"`).FindAllStringSubmatch(a.Expr, -1) {
			for _, w := range word.FindAllString(m[1], -1) {
				if said[w] == "" && w != "Pod" && w != "Volume" {
					t.Errorf("%s asks for %s, which nothing says", a.Alert, w)
				}
			}
		}
	}
}

// The probe asks where the agent listens, and never restarts it.
func TestAgentsAreProbedAndNeverRestarted(t *testing.T) {
	for metrics, host := range map[string]string{
		"127.0.0.1:9464": "127.0.0.1", ":9999": "127.0.0.1", "0.0.0.0:9464": "127.0.0.1", "[::1]:9464": "::1", "[::]:9464": "::1", "10.0.0.1:80": "10.0.0.1",
	} {
		t.Run(metrics, func(t *testing.T) {
			all := mustRender(t, "agent.metrics="+metrics)
			c := agentOf(t, all).Spec.Template.Spec.Containers[0]
			if c.LivenessProbe != nil || c.StartupProbe != nil {
				t.Error("a probe may restart a healthy agent")
			}
			if c.ReadinessProbe == nil || c.ReadinessProbe.HTTPGet == nil {
				t.Fatal("no readiness")
			}
			p := c.ReadinessProbe.HTTPGet
			_, port, _ := strings.Cut(metrics[strings.LastIndex(metrics, ":"):], ":")
			if p.Path != "/readyz" || p.Host != host || p.Port.String() != port {
				t.Errorf("probe of %s:%s%s", p.Host, p.Port.String(), p.Path)
			}
			if !slices.ContainsFunc(c.Ports, func(p core.ContainerPort) bool { return p.Name == "metrics" && p.HostPort == p.ContainerPort }) {
				t.Errorf("ports %v", c.Ports)
			}
			config := all["ConfigMap/picket/picket-agent"].(*core.ConfigMap).Data["agent.yaml"]
			if !strings.Contains(config, `metrics: "`+metrics+`"`) {
				t.Errorf("configuration without %s:\n%s", metrics, config)
			}
		})
	}
	all := mustRender(t, "agent.metrics=")
	if c := agentOf(t, all).Spec.Template.Spec.Containers[0]; c.ReadinessProbe != nil || len(c.Ports) != 1 {
		t.Error("an agent that serves nothing is probed")
	}
}

// By default an agent is reached from its own node alone.
func TestAgentsServeTheLoopback(t *testing.T) {
	c := parse(t)["DaemonSet/picket/picket-agent"].(*apps.DaemonSet).Spec.Template.Spec.Containers[0]
	if c.ReadinessProbe.HTTPGet.Host != "127.0.0.1" {
		t.Errorf("probed at %q", c.ReadinessProbe.HTTPGet.Host)
	}
}

func TestOptionMonitoring(t *testing.T) {
	for key := range mustRender(t) {
		if strings.HasPrefix(key, "PrometheusRule") || strings.HasPrefix(key, "PodMonitor") || strings.HasPrefix(key, "ConfigMap") && strings.Contains(key, "dashboard") {
			t.Errorf("%s is there without being asked for: a cluster may not have the kind", key)
		}
	}
	all := mustRender(t, "monitoring.rules=true", "monitoring.podMonitors=true", "monitoring.dashboard=true",
		"monitoring.labels.release=prometheus", "agent.metrics=:9464", "controller.rackLabel=example.org/rack")
	rule := *all["PrometheusRule/picket/picket"].(*map[string]any)
	want, err := os.ReadFile("monitoring/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var rules map[string]any
	if err := yaml.Unmarshal(want, &rules); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(rules, rule["spec"]); d != "" {
		t.Errorf("rules (-file +chart):\n%s", d)
	}
	if labels := rule["metadata"].(map[string]any)["labels"].(map[string]any); labels["release"] != "prometheus" {
		t.Errorf("labels %v", labels)
	}
	for _, who := range []string{"picket-agent", "picket-controller"} {
		monitor := *all["PodMonitor/picket/"+who].(*map[string]any)
		text, err := json.Marshal(monitor["spec"])
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{`"port":"metrics"`, `"app.kubernetes.io/name":"` + who + `"`} {
			if !strings.Contains(string(text), want) {
				t.Errorf("PodMonitor of %s without %s: %s", who, want, text)
			}
		}
	}
	config := all["ConfigMap/picket/picket-dashboard"].(*core.ConfigMap)
	var dashboard struct{ UID string }
	if err := json.Unmarshal([]byte(config.Data["picket.json"]), &dashboard); err != nil || dashboard.UID != "picket" || config.Labels["grafana_dashboard"] != "1" {
		t.Errorf("dashboard %q, labels %v, %v", dashboard.UID, config.Labels, err)
	}
	pod := all["Deployment/picket/picket-controller"].(*apps.Deployment).Spec.Template.Spec
	if !slices.Contains(pod.Containers[0].Command, "--rack-label=example.org/rack") {
		t.Errorf("%v", pod.Containers[0].Command)
	}
}

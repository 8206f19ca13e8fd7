package deploy

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	network "k8s.io/api/networking/v1"
)

// helm runs the pinned Helm that `make chart` has built.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	built, err := filepath.Glob(filepath.Join(cache, "picket", "tools-chart-????????????????", "helm"))
	if err != nil {
		t.Fatal(err)
	}
	if len(built) == 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("make check has not built Helm")
		}
		t.Skip("Helm is not built: run make chart once")
	}
	newest := slices.MaxFunc(built, func(a, b string) int { return builtAt(t, a).Compare(builtAt(t, b)) })
	cmd := exec.CommandContext(t.Context(), newest, args...)
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil {
		return problem.String(), err
	}
	return out.String(), nil
}

func builtAt(t *testing.T, file string) time.Time {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime()
}

// render returns what the chart makes of values, each key=value.
func render(t *testing.T, values ...string) (map[string]any, error) {
	t.Helper()
	args := []string{"template", "picket", "chart"}
	for _, v := range values {
		if strings.HasPrefix(v, "--") {
			args = append(args, v)
			continue
		}
		args = append(args, "--set", v)
	}
	out, err := helm(t, args...)
	if err != nil {
		return nil, &refusal{out}
	}
	docs, err := documents(out)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, docs), nil
}

// A refusal is what Helm says when it does not render.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

// The base is what the chart makes of its defaults, object by object.
func TestTheBaseIsTheChart(t *testing.T) {
	base, err := objects("base", func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	hooks, err := Uninstall(Image)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(decode(t, append(base, hooks...)), mustRender(t)); diff != "" {
		t.Error("run make chart", diff)
	}
}

// What is misspelt or impossible is refused, not ignored, and by a message that
// names it.
func TestChartRefuses(t *testing.T) {
	for value, want := range map[string]string{
		"agnet.port=9735":                         "agnet",
		"agent.prot=9735":                         "prot",
		"agent.port=0":                            "/agent/port",
		"agent.holder=systemd":                    "/agent/holder",
		"agent.limits.cpu=1":                      "limits",
		"agent.apiEndpoints={http://10.0.0.9}":    "/agent/apiEndpoints/0",
		"agent.kubeletRoots={/}":                  "/agent/kubeletRoots/0",
		"controller.limits.cpu=1":                 "limits",
		"controller.replicas=0":                   "/controller/replicas",
		"image.digest=latest":                     "/image/digest",
		"policy.mode=Enforcing":                   "/policy/mode",
		"policy.profil=fast":                      "profil",
		"policy.watchdog.driver=softdog":          "driver",
		"policy.storm.maxWithheldPercent=101":     "/policy/storm/maxWithheldPercent",
		"policy.pause.until=2030-01-01T00:00:00Z": "reason",
		"openshift=maybe":                         "/openshift",
		"agent.metrics=9464":                      "/agent/metrics",
		"agent.metrics=localhost:9464":            "/agent/metrics",
		"controller.rackLabel=a b":                "/controller/rackLabel",
		"monitoring.alerts=true":                  "alerts",
		"monitoring.podMonitors=true":             "set agent.metrics to :9464",
		"uninstall=true":                          "uninstall",
	} {
		t.Run(value, func(t *testing.T) {
			_, err := render(t, value)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("answer %v, want one that names %s", err, want)
			}
		})
	}
}

func agentOf(t *testing.T, all map[string]any) *apps.DaemonSet {
	t.Helper()
	set, ok := all["DaemonSet/picket/picket-agent"].(*apps.DaemonSet)
	if !ok {
		t.Fatal("no agent")
	}
	return set
}

// hostPath returns the host's directory at a mount of the agent, and whether it
// may write there.
func hostPath(set *apps.DaemonSet, at string) (path string, kind core.HostPathType, writes bool) {
	pod := set.Spec.Template.Spec
	for _, m := range pod.Containers[0].VolumeMounts {
		if m.MountPath != at {
			continue
		}
		for _, v := range pod.Volumes {
			if v.Name == m.Name && v.HostPath != nil {
				return v.HostPath.Path, *v.HostPath.Type, !m.ReadOnly
			}
		}
	}
	return "", "", false
}

func TestOptionOpenShift(t *testing.T) {
	all, err := render(t, "openshift=true")
	if err != nil {
		t.Fatal(err)
	}
	if all["SecurityContextConstraints/picket-agent"] == nil {
		t.Error("no SecurityContextConstraints")
	}
	s := all["Deployment/picket/picket-controller"].(*apps.Deployment).Spec.Template.Spec.SecurityContext
	if s.RunAsUser != nil || s.RunAsGroup != nil || !*s.RunAsNonRoot {
		t.Errorf("restricted-v2 refuses a user ID of ours: %+v", s)
	}
}

func TestOptionEtcSystemd(t *testing.T) {
	all, err := render(t, "agent.etcSystemd=true")
	if err != nil {
		t.Fatal(err)
	}
	path, kind, writes := hostPath(agentOf(t, all), "/host/etc/systemd/system")
	if path != "/etc/systemd/system" || kind != core.HostPathDirectory || !writes {
		t.Errorf("%q, %q, writes %v", path, kind, writes)
	}
}

func mustRender(t *testing.T, values ...string) map[string]any {
	t.Helper()
	all, err := render(t, values...)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Helm makes the namespace of its own release: it cannot be an object of it.
func TestOptionNamespace(t *testing.T) {
	if all := mustRender(t, "--namespace=picket"); all["Namespace/picket"] != nil {
		t.Error("the chart makes the release's own namespace")
	}
	all := mustRender(t, "namespace=fencing")
	for key := range all {
		if strings.Contains(key, "/picket/") || key == "Namespace/picket" {
			t.Errorf("%s is not in the namespace", key)
		}
	}
	text, err := helm(t, "template", "picket", "chart", "--set", "namespace=fencing")
	if err != nil {
		t.Fatal(text)
	}
	for _, left := range []string{"namespace: picket", "serviceaccount:picket:", "namespace=picket", "-n picket"} {
		if strings.Contains(text, left) {
			t.Errorf("left: %q", left)
		}
	}
}

func TestOptionsOfTheAgent(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0", 64)
	all := mustRender(t, "image.repository=registry.example/picket", "image.digest="+digest,
		"image.pullSecrets={theirs}", "agent.port=9999", "agent.storageInterfaces={eth1}",
		"agent.apiEndpoints={https://10.0.0.9:6443}", "agent.kubeletRoots={/data/kubelet}", "agent.requests.cpu=400m")
	pod := agentOf(t, all).Spec.Template.Spec
	if got := pod.Containers[0].Image; got != "registry.example/picket@"+digest {
		t.Errorf("image %s", got)
	}
	if d := cmp.Diff([]core.LocalObjectReference{{Name: "theirs"}}, pod.ImagePullSecrets); d != "" {
		t.Error(d)
	}
	if got := pod.Containers[0].Ports[0]; got.HostPort != 9999 || got.ContainerPort != 9999 {
		t.Errorf("port %v", got)
	}
	if got := pod.Containers[0].Resources.Requests; got.Cpu().String() != "400m" || got.Memory().String() != "48Mi" {
		t.Errorf("requests %v", got)
	}
	config := all["ConfigMap/picket/picket-agent"].(*core.ConfigMap).Data["agent.yaml"]
	for _, want := range []string{
		`listen: ":9999"`, `endpoints: ["https://10.0.0.9:6443"]`, `storageInterfaces: ["eth1"]`, `kubeletRoots: ["/data/kubelet"]`,
	} {
		if !strings.Contains(config, want) {
			t.Errorf("configuration without %s:\n%s", want, config)
		}
	}
}

func TestOptionsOfTheController(t *testing.T) {
	all := mustRender(t, "controller.failureDomainLabel=example.org/rack", "controller.nodeSelector.disk=ssd",
		"controller.networkPolicy.apiPorts={16443}", "controller.networkPolicy.metricsFrom[0].podSelector.matchLabels.app=prometheus")
	pod := all["Deployment/picket/picket-controller"].(*apps.Deployment).Spec.Template.Spec
	if !slices.Contains(pod.Containers[0].Command, "--failure-domain-label=example.org/rack") || pod.NodeSelector["disk"] != "ssd" {
		t.Errorf("%v, %v", pod.Containers[0].Command, pod.NodeSelector)
	}
	p := all["NetworkPolicy/picket/picket-controller"].(*network.NetworkPolicy).Spec
	if p.Egress[0].Ports[0].Port.IntValue() != 16443 || p.Ingress[0].From[0].PodSelector.MatchLabels["app"] != "prometheus" {
		t.Errorf("%+v", p)
	}
	if mustRender(t, "controller.networkPolicy.enabled=false")["NetworkPolicy/picket/picket-controller"] != nil {
		t.Error("a NetworkPolicy that nobody wants")
	}
}

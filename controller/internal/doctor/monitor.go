package doctor

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/picket-dev/picket/proto/finding"
	"github.com/picket-dev/picket/proto/matrix"
	"github.com/picket-dev/picket/proto/screen"
)

// A manager is a controller manager's flags, where a mirror pod shows them.
type manager struct {
	pod         string
	grace       time.Duration // node-monitor-grace-period
	period      time.Duration // node-monitor-period
	forceDetach bool
}

const (
	controllerManagerName = "kube-controller-manager"
	// defaultPeriod is that of node-monitor-period.
	defaultPeriod = 5 * time.Second
)

// defaultGrace is that of node-monitor-grace-period: 1.32 made it longer.
func (f *Facts) defaultGrace() time.Duration {
	if older(f.Server, 32) {
		return 40 * time.Second
	}
	return 50 * time.Second
}

// managers returns the controller managers that can be seen.
func (f *Facts) managers() []manager {
	var all []manager
	for _, p := range f.Pods {
		if !p.Static || !slices.ContainsFunc(p.Words, func(w string) bool { return path.Base(w) == controllerManagerName }) {
			continue
		}
		if flag(p.Words, "openshift-config") != "" {
			continue // its settings are in that file
		}
		m := manager{pod: p.Name, grace: f.defaultGrace(), period: defaultPeriod, forceDetach: flag(p.Words, "disable-force-detach-on-timeout") != "true"}
		if d, err := time.ParseDuration(flag(p.Words, "node-monitor-grace-period")); err == nil {
			m.grace = d
		}
		if d, err := time.ParseDuration(flag(p.Words, "node-monitor-period")); err == nil {
			m.period = d
		}
		all = append(all, m)
	}
	return all
}

// flag returns the value of the last flag of that name among the words of a command
// line, "true" for one without a value.
func flag(words []string, name string) string {
	value := ""
	for i, w := range words {
		bare, v, given := strings.Cut(strings.TrimLeft(w, "-"), "=")
		switch {
		case !strings.HasPrefix(w, "-") || strings.ReplaceAll(bare, "_", "-") != name:
		case given:
			value = v
		case i+1 < len(words) && !strings.HasPrefix(words[i+1], "-"):
			value = words[i+1]
		default:
			value = "true"
		}
	}
	return value
}

// grace returns the shortest grace of all controller managers, and whether it was
// seen.
func (f *Facts) grace() (time.Duration, bool) {
	all := f.managers()
	if len(all) == 0 {
		return f.defaultGrace(), false
	}
	least := all[0].grace
	for _, m := range all {
		least = min(least, m.grace)
	}
	return least, true
}

// controllerManager judges the flags by which Kubernetes guesses that nodes are
// dead.
func controllerManager(f *Facts) (string, []finding.Finding) {
	all := f.managers()
	if len(all) == 0 {
		return "its flags are not visible", one(finding.Finding{
			ID: ControllerManagerUnseen, Severity: finding.Note, What: "no mirror pod shows the kube-controller-manager's flags",
			Why: "--disable-force-detach-on-timeout, --node-monitor-grace-period and --node-monitor-period matter to Picket, and are not known",
			Fix: lines("# on a control-plane node (k3s: its configuration; managed: ask the provider):",
				"tr '\\0' '\\n' </proc/$(pgrep -o kube-controller)/cmdline | grep -E 'force-detach|node-monitor'"),
		})
	}
	var saw, forced []string
	for _, m := range all {
		saw = append(saw, fmt.Sprintf("%s: grace %v, period %v", m.pod, m.grace, m.period))
		if m.forceDetach {
			forced = append(forced, m.pod)
		}
	}
	if len(forced) == 0 {
		return strings.Join(saw, "; "), nil
	}
	return strings.Join(saw, "; "), one(finding.Finding{
		ID: ForceDetach, Severity: finding.Warning, What: some(forced) + " detaches by force after six minutes (no --disable-force-detach-on-timeout)",
		Why: "Kubernetes then guesses that a node is dead: one that Picket could not fence may still write to the volume that has moved",
		Fix: lines("# on each control-plane node of kubeadm; the kubelet starts it anew:",
			`sed -i '/^    - kube-controller-manager$/a\    - --disable-force-detach-on-timeout=true' /etc/kubernetes/manifests/kube-controller-manager.yaml`),
	})
}

// kubelets judges kubelets' own times: against the controller manager's grace, and
// against the time that the watchdog leaves a shutdown.
func kubelets(f *Facts) (string, []finding.Finding) {
	var found []finding.Finding
	for _, g := range f.Gaps {
		if g.Kind == ReadKubelets {
			found = append(found, finding.Finding{
				ID: KubeletsUnseen, Severity: finding.Note, What: "kubelets' configuration could not be seen: needs " + g.Needs + ": " + g.Why,
				Why: "nodeStatusUpdateFrequency and shutdownGracePeriod are not known",
				Fix: "grep -E 'nodeStatusUpdateFrequency|shutdownGracePeriod' /var/lib/kubelet/config.yaml    # on a node",
			})
		}
	}
	if len(found) == 0 && len(f.Kubelets) == 0 {
		found = append(found, finding.Finding{
			ID: KubeletsUnseen, Severity: finding.Note, What: "no kubelet told its configuration by way of the API server",
			Why: "nodeStatusUpdateFrequency and shutdownGracePeriod are not known",
			Fix: "kubectl get --raw /api/v1/nodes/NODE/proxy/configz",
		})
	}
	grace, seen := f.grace()
	long := f.profile().ShutdownTimeout
	var quick, slow []string
	var every, shutdown time.Duration
	for node, k := range f.Kubelets {
		beat := min(k.StatusEvery, k.LeaseDuration/4) // either is a sign of life
		if k.LeaseDuration == 0 {
			beat = k.StatusEvery
		}
		every = max(every, beat)
		if seen && grace < 3*beat {
			quick = append(quick, node)
		}
		if k.ShutdownGrace >= long {
			slow = append(slow, node)
			shutdown = max(shutdown, k.ShutdownGrace)
		}
	}
	if len(quick) > 0 {
		found = append(found, finding.Finding{
			ID: MonitorGraceShort, Severity: finding.Warning,
			What: fmt.Sprintf("--node-monitor-grace-period is %v, and kubelets speak every %v: %s", grace, every, matrix.Names(quick)),
			Why:  "two late beats make a healthy node NotReady, and Kubernetes evicts its pods",
			Fix:  "# raise --node-monitor-grace-period of the controller managers to 50s, Picket does not wait for it: /etc/kubernetes/manifests/kube-controller-manager.yaml",
		})
	}
	if len(slow) > 0 {
		found = append(found, finding.Finding{
			ID: ShutdownGraceLong, Severity: finding.Warning,
			What: fmt.Sprintf("shutdownGracePeriod is %v, and the watchdog resets a shutdown after %v: %s", shutdown, long, matrix.Names(slow)),
			Why:  "a host that shuts down is pinged once and no more: pods that take their whole grace are cut off by the reset",
			Fix:  fmt.Sprintf(`kubectl patch fencingpolicy default --type merge -p '{"spec":{"overrides":{"shutdownTimeout":"%v"}}}'`, shutdown+time.Minute),
		})
	}
	return screen.Count(len(f.Kubelets), "configuration", "configurations") + " read", found
}

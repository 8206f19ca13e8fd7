package deploy

import (
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
)

func TestAgentRunsEverywhereAndUnthrottled(t *testing.T) {
	set := parse(t)["DaemonSet/picket/picket-agent"].(*apps.DaemonSet)
	pod := set.Spec.Template.Spec
	if !pod.HostNetwork || !pod.HostPID || pod.PriorityClassName != "system-node-critical" {
		t.Errorf("hostNetwork %v, hostPID %v, priority %q", pod.HostNetwork, pod.HostPID, pod.PriorityClassName)
	}
	if d := cmp.Diff([]core.Toleration{{Operator: core.TolerationOpExists}}, pod.Tolerations); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]string{core.LabelOSStable: "linux"}, pod.NodeSelector); d != "" {
		t.Error(d)
	}
	if n := set.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable; n.IntValue() != 1 {
		t.Errorf("%v agents are updated at once", n)
	}
	agent := pod.Containers[0]
	if agent.Image != "picket:test" {
		t.Errorf("image %q", agent.Image)
	}
	if len(agent.Resources.Limits) != 0 {
		t.Errorf("limits %v: a throttled agent resets its node", agent.Resources.Limits)
	}
	if s := agent.SecurityContext; !*s.Privileged || !*s.ReadOnlyRootFilesystem {
		t.Errorf("security context %+v", s)
	}
}

// The agent finds each directory of the host below /host, and none brings
// mounts of volumes into the pod: those would keep devices busy.
func TestAgentsHostPathsAreNarrow(t *testing.T) {
	pod := parse(t)["DaemonSet/picket/picket-agent"].(*apps.DaemonSet).Spec.Template.Spec
	mounts := make(map[string]string)
	for _, m := range pod.Containers[0].VolumeMounts {
		mounts[m.Name] = m.MountPath
	}
	for _, v := range pod.Volumes {
		at, ok := mounts[v.Name]
		delete(mounts, v.Name)
		switch {
		case !ok:
			t.Errorf("volume %s is not mounted", v.Name)
		case v.HostPath == nil:
		case at != path.Join("/host", v.HostPath.Path):
			t.Errorf("%s of the host is at %s", v.HostPath.Path, at)
		case v.HostPath.Type == nil || *v.HostPath.Type == core.HostPathUnset:
			t.Errorf("%s has no type: what is missing would become anything", v.HostPath.Path)
		default:
			for _, wide := range []string{"/", "/run", "/var", "/var/lib", "/var/lib/kubelet", "/mnt"} {
				if v.HostPath.Path == wide {
					t.Errorf("%s holds the mounts of volumes", wide)
				}
			}
		}
	}
	if len(mounts) != 0 {
		t.Errorf("mounts without a volume: %v", mounts)
	}
}

func TestControllerHasNoPrivileges(t *testing.T) {
	d := parse(t)["Deployment/picket/picket-controller"].(*apps.Deployment)
	pod := d.Spec.Template.Spec
	if *d.Spec.Replicas != 2 || len(pod.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution) != 1 {
		t.Error("not two replicas on two nodes")
	}
	s := pod.Containers[0].SecurityContext
	if !*pod.SecurityContext.RunAsNonRoot || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem ||
		s.Privileged != nil || len(s.Capabilities.Drop) != 1 || len(pod.Volumes) != 0 || pod.HostNetwork || pod.HostPID {
		t.Errorf("security context %+v", s)
	}
	if cpu := pod.Containers[0].Resources.Limits.Cpu(); cpu.Cmp(resource.Quantity{}) != 0 {
		t.Errorf("CPU limit %v: a throttled leader loses its lease", cpu)
	}
}

// A drain waits until the other replica leads, and the agents' namespace admits pods
// that may do everything.
func TestNamespaceAndDisruptions(t *testing.T) {
	all := parse(t)
	budget := all["PodDisruptionBudget/picket/picket-controller"].(*policy.PodDisruptionBudget).Spec
	replicas := all["Deployment/picket/picket-controller"].(*apps.Deployment).Spec.Template.Labels
	if budget.MaxUnavailable.IntValue() != 1 || !labels.SelectorFromSet(budget.Selector.MatchLabels).Matches(labels.Set(replicas)) {
		t.Errorf("at most %v of %v may be away, of %v", budget.MaxUnavailable, budget.Selector.MatchLabels, replicas)
	}
	namespace := all["Namespace/picket"].(*core.Namespace)
	for _, mode := range []string{"enforce", "audit", "warn"} {
		if level := namespace.Labels["pod-security.kubernetes.io/"+mode]; level != "privileged" {
			t.Errorf("pod security: %s %q", mode, level)
		}
	}
}

// The image is empty but for the binaries: everything names one of them.
func TestCommandsAreInTheImage(t *testing.T) {
	all := parse(t)
	for _, pod := range []core.PodSpec{
		all["DaemonSet/picket/picket-agent"].(*apps.DaemonSet).Spec.Template.Spec,
		all["Deployment/picket/picket-controller"].(*apps.Deployment).Spec.Template.Spec,
	} {
		for _, c := range append(pod.InitContainers, pod.Containers...) {
			if len(c.Command) == 0 || !strings.HasPrefix(c.Command[0], "/usr/local/bin/picket-") {
				t.Errorf("%s runs %q", c.Name, c.Command)
			}
		}
		if all["ServiceAccount/picket/"+pod.ServiceAccountName] == nil {
			t.Errorf("no ServiceAccount %q", pod.ServiceAccountName)
		}
	}
}

package deploy

import (
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admission "k8s.io/api/admissionregistration/v1"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	flow "k8s.io/api/flowcontrol/v1"
	network "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	rbac "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// parse returns every object of the base, strictly decoded, by kind and name.
func parse(t *testing.T) map[string]any {
	t.Helper()
	raws, err := Base()
	if err != nil {
		t.Fatal(err)
	}
	running, err := Workloads("picket:test")
	if err != nil {
		t.Fatal(err)
	}
	leaving, err := Uninstall("picket:test")
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, slices.Concat(raws, running, leaving))
}

// decode returns objects, strictly decoded, by kind and name.
func decode(t *testing.T, raws [][]byte) map[string]any {
	t.Helper()
	all := make(map[string]any)
	for _, raw := range raws {
		var meta metav1.PartialObjectMetadata
		if err := yaml.Unmarshal(raw, &meta); err != nil {
			t.Fatal(err)
		}
		kinds := map[string]any{
			"Namespace":                        &core.Namespace{},
			"ServiceAccount":                   &core.ServiceAccount{},
			"ClusterRole":                      &rbac.ClusterRole{},
			"ClusterRoleBinding":               &rbac.ClusterRoleBinding{},
			"Role":                             &rbac.Role{},
			"RoleBinding":                      &rbac.RoleBinding{},
			"ValidatingAdmissionPolicy":        &admission.ValidatingAdmissionPolicy{},
			"ValidatingAdmissionPolicyBinding": &admission.ValidatingAdmissionPolicyBinding{},
			"PriorityLevelConfiguration":       &flow.PriorityLevelConfiguration{},
			"FlowSchema":                       &flow.FlowSchema{},
			"ConfigMap":                        &core.ConfigMap{},
			"DaemonSet":                        &apps.DaemonSet{},
			"Deployment":                       &apps.Deployment{},
			"Job":                              &batch.Job{},
			"PodDisruptionBudget":              &policy.PodDisruptionBudget{},
			"NetworkPolicy":                    &network.NetworkPolicy{},
			"FencingPolicy":                    &v1alpha1.FencingPolicy{},
			"SecurityContextConstraints":       &map[string]any{}, // OpenShift's types are not ours
			"PrometheusRule":                   &map[string]any{}, // nor the Prometheus operator's
			"PodMonitor":                       &map[string]any{},
		}
		into, ok := kinds[meta.Kind]
		if !ok {
			t.Fatalf("unexpected kind %q", meta.Kind)
		}
		if err := yaml.UnmarshalStrict(raw, into); err != nil {
			t.Errorf("%s %s: %v", meta.Kind, meta.Name, err)
		}
		key := path.Join(meta.Kind, meta.Namespace, meta.Name)
		if _, twice := all[key]; twice {
			t.Errorf("%s is there twice", key)
		}
		all[key] = into
	}
	return all
}

// A file that no kustomization names is applied by nobody.
func TestEveryFileIsListed(t *testing.T) {
	for _, dir := range []string{"crds", "base"} {
		entries, err := fs.ReadDir(files, dir)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := files.ReadFile(path.Join(dir, "kustomization.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Name() != "kustomization.yaml" && !strings.Contains(string(raw), "- "+e.Name()+"\n") {
				t.Errorf("%s/kustomization.yaml does not list %s", dir, e.Name())
			}
		}
	}
	crds, err := CRDs()
	if err != nil {
		t.Fatal(err)
	}
	if len(crds) != 5 {
		t.Errorf("%d CRDs, want 5", len(crds))
	}
}

// §9: agents read no secrets and write no Node, no Roll, no NodeFence.
func TestAgentMayDoNothingElse(t *testing.T) {
	all := parse(t)
	want := []rbac.PolicyRule{
		{APIGroups: []string{"picket.dev"}, Resources: []string{"rolls"}, ResourceNames: []string{"cluster"}, Verbs: []string{"get"}},
		{APIGroups: []string{"picket.dev"}, Resources: []string{"nodeguards"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{"picket.dev"}, Resources: []string{"nodeguards/status"}, Verbs: []string{"update"}},
		{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: []string{"get"}},
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list"}},
		{APIGroups: []string{""}, Resources: []string{"persistentvolumes"}, Verbs: []string{"get", "list"}},
		{APIGroups: []string{"storage.k8s.io"}, Resources: []string{"volumeattachments", "csidrivers"}, Verbs: []string{"get"}},
	}
	if diff := cmp.Diff(want, all["ClusterRole/picket-agent"].(*rbac.ClusterRole).Rules); diff != "" {
		t.Error(diff)
	}
	var roles []string
	for _, o := range all {
		var subjects []rbac.Subject
		var ref rbac.RoleRef
		switch b := o.(type) {
		case *rbac.ClusterRoleBinding:
			subjects, ref = b.Subjects, b.RoleRef
		case *rbac.RoleBinding:
			subjects, ref = b.Subjects, b.RoleRef
		}
		if slices.ContainsFunc(subjects, func(s rbac.Subject) bool { return s.Name == "picket-agent" }) {
			roles = append(roles, ref.Name)
		}
	}
	if diff := cmp.Diff([]string{"picket-agent"}, roles); diff != "" {
		t.Error("roles of the agent", diff)
	}
}

// No rule has a wildcard, and nobody of ours may impersonate, escalate, bind,
// read secrets or prove.
func TestNoRoleIsWide(t *testing.T) {
	for key, o := range parse(t) {
		var rules []rbac.PolicyRule
		switch r := o.(type) {
		case *rbac.ClusterRole:
			rules = r.Rules
		case *rbac.Role:
			rules = r.Rules
		}
		for _, rule := range rules {
			words := slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs)
			for _, bad := range []string{"*", "secrets", "impersonate", "escalate", "bind", "deletecollection"} {
				if slices.Contains(words, bad) {
					t.Errorf("%s has %q: %v", key, bad, rule)
				}
			}
			if slices.Contains(rule.Verbs, "prove") && key != "ClusterRole/picket-prover" {
				t.Errorf("%s may prove", key)
			}
		}
	}
}

// A policy without a binding, or one that fails open, is none.
func TestPoliciesDeny(t *testing.T) {
	all := parse(t)
	policies := 0
	for key, o := range all {
		admitted, ok := o.(*admission.ValidatingAdmissionPolicy)
		if !ok {
			continue
		}
		policies++
		if admitted.Name == "picket-keep" {
			continue // it guards against mistakes: TestNobodyDeletesWhatAgentsNeed
		}
		if admitted.Spec.FailurePolicy == nil || *admitted.Spec.FailurePolicy != admission.Fail {
			t.Errorf("%s does not fail closed", key)
		}
		binding, ok := all["ValidatingAdmissionPolicyBinding/"+admitted.Name].(*admission.ValidatingAdmissionPolicyBinding)
		if !ok {
			t.Errorf("%s has no binding", key)
			continue
		}
		if diff := cmp.Diff(admission.ValidatingAdmissionPolicyBindingSpec{
			PolicyName:        admitted.Name,
			ValidationActions: []admission.ValidationAction{admission.Deny},
		}, binding.Spec); diff != "" {
			t.Error(key, diff)
		}
		for _, c := range admitted.Spec.MatchConditions {
			_, account, ok := strings.Cut(c.Expression, "system:serviceaccount:")
			if !ok {
				continue
			}
			account, _, _ = strings.Cut(account, "'")
			if all["ServiceAccount/"+strings.ReplaceAll(account, ":", "/")] == nil {
				t.Errorf("%s is about %s, which is no ServiceAccount of ours", key, account)
			}
		}
	}
	if policies != 5 {
		t.Errorf("%d policies, want 5", policies)
	}
}

// §9: the Roll's reads have a priority level of their own.
func TestFlowSchemasUseOurLevel(t *testing.T) {
	schemas := 0
	for key, o := range parse(t) {
		if schema, ok := o.(*flow.FlowSchema); ok {
			schemas++
			if schema.Spec.PriorityLevelConfiguration.Name != "picket" {
				t.Errorf("%s uses the level %q", key, schema.Spec.PriorityLevelConfiguration.Name)
			}
			// Those for all ServiceAccounts match at 9000.
			if p := schema.Spec.MatchingPrecedence; p >= 9000 {
				t.Errorf("%s matches at %d, after the general ones", key, p)
			}
		}
	}
	if schemas != 3 {
		t.Errorf("%d flow schemas, want 3", schemas)
	}
}

// The plain YAML is the CRDs and the base, in that order.
func TestPlainYAMLIsTheBase(t *testing.T) {
	text, err := os.ReadFile("picket.yaml")
	if err != nil {
		t.Fatal(err)
	}
	crds, err := CRDs()
	if err != nil {
		t.Fatal(err)
	}
	base, err := objects("base", func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	got, err := documents(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(slices.Concat(crds, base), got); diff != "" {
		t.Error("run make chart", diff)
	}
}

// An agent that leaves says so in the API: nothing that it needs for that may go
// while there is a Roll; and where Helm keeps something, it is people's.
func TestNobodyDeletesWhatAgentsNeed(t *testing.T) {
	all := parse(t)
	keep := all["ValidatingAdmissionPolicy/picket-keep"].(*admission.ValidatingAdmissionPolicy).Spec
	if *keep.FailurePolicy != admission.Ignore || keep.ParamKind.Kind != "Roll" {
		t.Errorf("without a Roll, or its CRD, nothing could ever be deleted: %v, %v", *keep.FailurePolicy, keep.ParamKind)
	}
	binding := all["ValidatingAdmissionPolicyBinding/picket-keep"].(*admission.ValidatingAdmissionPolicyBinding).Spec
	allow := admission.AllowAction
	if diff := cmp.Diff(admission.ValidatingAdmissionPolicyBindingSpec{
		PolicyName:        "picket-keep",
		ParamRef:          &admission.ParamRef{Name: v1alpha1.RollName, ParameterNotFoundAction: &allow},
		ValidationActions: []admission.ValidationAction{admission.Deny},
	}, binding); diff != "" {
		t.Error(diff)
	}
	var kept []string
	for _, r := range keep.MatchConstraints.ResourceRules {
		if diff := cmp.Diff([]admission.OperationType{admission.Delete}, r.Operations); diff != "" {
			t.Error(diff)
		}
		for _, resource := range r.Resources {
			for _, name := range r.ResourceNames {
				kept = append(kept, path.Join(resource, name))
			}
		}
	}
	slices.Sort(kept)
	want := []string{"namespaces/picket"}
	for _, kind := range []string{"fencingpolicies", "nodefences", "nodeguards", "rolls"} {
		want = append(want, "customresourcedefinitions/"+kind+".picket.dev")
	}
	for _, kind := range []string{"clusterrolebindings", "clusterroles", "rolebindings", "roles", "serviceaccounts"} {
		want = append(want, kind+"/picket-agent", kind+"/picket-controller")
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, kept); diff != "" {
		t.Error(diff)
	}
	for key, o := range all {
		if m, ok := o.(metav1.Object); ok && m.GetAnnotations()["helm.sh/resource-policy"] != "" {
			t.Errorf("helm uninstall leaves %s", key)
		}
	}
}

// The Job comes before Helm deletes anything, after its rights, and nothing of it
// stays.
func TestUninstallIsAHook(t *testing.T) {
	raws, err := Uninstall(Image)
	if err != nil {
		t.Fatal(err)
	}
	for key, o := range decode(t, raws) {
		weight := "-5"
		if strings.HasPrefix(key, "Job/") {
			weight = "0"
		}
		if diff := cmp.Diff(map[string]string{
			"helm.sh/hook": "pre-delete", "helm.sh/hook-weight": weight,
			"helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded",
		}, o.(metav1.Object).GetAnnotations()); diff != "" {
			t.Error(key, diff)
		}
	}
}

// The controller is reached for its metrics alone, and reaches the API alone.
func TestControllerReachesTheAPIAlone(t *testing.T) {
	all := parse(t)
	p := all["NetworkPolicy/picket/picket-controller"].(*network.NetworkPolicy).Spec
	if d := cmp.Diff([]network.PolicyType{network.PolicyTypeIngress, network.PolicyTypeEgress}, p.PolicyTypes); d != "" {
		t.Error(d)
	}
	pod := all["Deployment/picket/picket-controller"].(*apps.Deployment).Spec.Template
	if d := cmp.Diff(p.PodSelector.MatchLabels["app.kubernetes.io/name"], pod.Labels["app.kubernetes.io/name"]); d != "" {
		t.Error(d)
	}
	ports := func(list []network.NetworkPolicyPort) (all []int) {
		for _, p := range list {
			all = append(all, p.Port.IntValue())
		}
		return all
	}
	if d := cmp.Diff([]int{int(pod.Spec.Containers[0].Ports[0].ContainerPort)}, ports(p.Ingress[0].Ports)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]int{443, 6443}, ports(p.Egress[0].Ports)); d != "" {
		t.Error(d)
	}
}

package main

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authzv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/test/cluster/fleet"
)

// rights are all that Picket's accounts may do beside what every account may: by
// account, and by "resource.group/subresource:name in namespace", what `kubectl auth
// can-i --list` says. A right that is not here is refused; one that no code needs
// must not be here.
func rights() map[string]map[string]string {
	return map[string]map[string]string{
		"picket-agent": {
			"rolls.picket.dev:cluster":         "get",            // rolls (§3)
			"nodeguards.picket.dev":            "get list watch", // its own, before it publishes and for its neighbours
			"nodeguards/status.picket.dev":     "update",         // publishes
			"nodes":                            "get",            // cordoned for a self-test, attached volumes
			"pods":                             "list",           // of its node: which volumes are in use (A14)
			"persistentvolumes":                "get list",       // what is mapped, and whose it is (A14)
			"volumeattachments.storage.k8s.io": "get",            // whether it is still attached here (A14)
			"csidrivers.storage.k8s.io":        "get",            // whether it attaches at all (A14)
		},
		"picket-controller": {
			"nodes":                                "get list patch watch",
			"pods":                                 "delete list patch",
			"pods/status":                          "patch", // Ready=False (C4)
			"volumeattachments.storage.k8s.io":     "list",
			"persistentvolumeclaims":               "get", // of retained pods (C6)
			"persistentvolumes":                    "get",
			"events":                               "create patch",
			"rolls.picket.dev":                     "create get update",
			"nodeguards.picket.dev":                "create delete get list update watch",
			"nodefences.picket.dev":                "create delete get list update watch",
			"nodefences/status.picket.dev":         "update",
			"fencingpolicies.picket.dev":           "get list watch",
			"fencingpolicies/status.picket.dev":    "update", // accepted, or why not
			"leases.coordination.k8s.io in picket": "create",
			"leases.coordination.k8s.io:picket-controller in picket": "get update",
			"leases.coordination.k8s.io in kube-node-lease":          "get", // the kubelet's sign of life (§3 step 7)
		},
		"picket-uninstall": {
			"fencingpolicies.picket.dev":                   "create delete get update", // the mark
			"nodeguards.picket.dev":                        "delete list",
			"nodefences.picket.dev":                        "delete list update", // its finalizer
			"rolls.picket.dev":                             "delete get update",  // its finalizer
			"nodes":                                        "list patch",
			"daemonsets.apps:picket-agent in picket":       "delete",
			"deployments.apps:picket-controller in picket": "delete",
			"pods in picket":                               "delete list",
			"leases.coordination.k8s.io:picket-controller in picket": "get", // whether somebody leads
		},
	}
}

// rightsAre compares what each account may do with the table.
func (a *access) rightsAre(t *testing.T) {
	nobody := a.may(t, "default")
	for account, want := range rights() {
		got := a.may(t, account)
		for what, verbs := range nobody {
			if got[what] == verbs {
				delete(got, what)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("what %s may do (-want +got):\n%s", account, diff)
		}
	}
}

// may is what an account of Picket's namespace may do, everywhere and in the
// namespaces where somebody could have given it more.
func (a *access) may(t *testing.T, account string) map[string]string {
	t.Helper()
	reviews := a.holding(t, a.token(t, account, "")).kube.AuthorizationV1().SelfSubjectRulesReviews()
	all := make(map[string]string)
	everywhere := make(map[string]string)
	for _, namespace := range []string{metav1.NamespaceDefault, fleet.Namespace, corev1.NamespaceNodeLease, metav1.NamespaceSystem, metav1.NamespacePublic} {
		r, err := reviews.Create(t.Context(), &authzv1.SelfSubjectRulesReview{
			Spec: authzv1.SelfSubjectRulesReviewSpec{Namespace: namespace},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		here := byResource(r.Status.ResourceRules)
		if namespace == metav1.NamespaceDefault { // nobody's: what holds there holds everywhere
			everywhere = here
			maps.Copy(all, here)
			continue
		}
		for what, verbs := range here {
			if everywhere[what] != verbs {
				all[what+" in "+namespace] = verbs
			}
		}
	}
	return all
}

// byResource joins rules to the verbs of each resource, sorted.
func byResource(rules []authzv1.ResourceRule) map[string]string {
	verbs := make(map[string][]string)
	for _, rule := range rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				what := resource
				if group != "" {
					what += "." + group
				}
				if len(rule.ResourceNames) == 0 {
					verbs[what] = append(verbs[what], rule.Verbs...)
				}
				for _, name := range rule.ResourceNames {
					verbs[what+":"+name] = append(verbs[what+":"+name], rule.Verbs...)
				}
			}
		}
	}
	all := make(map[string]string, len(verbs))
	for what, list := range verbs {
		slices.Sort(list)
		all[what] = strings.Join(slices.Compact(list), " ")
	}
	return all
}

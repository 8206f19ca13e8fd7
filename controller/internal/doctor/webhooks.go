package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/picket-dev/picket/proto/finding"
	"github.com/picket-dev/picket/proto/screen"
)

// A Selector selects objects by their labels.
type Selector struct{ labels.Selector }

// NewSelector returns the selector as an API object has it; nil selects all.
func NewSelector(s *metav1.LabelSelector) (*Selector, error) {
	if s == nil {
		return &Selector{labels.Everything()}, nil
	}
	parsed, err := metav1.LabelSelectorAsSelector(s)
	return &Selector{parsed}, err
}

// A write is one that a fence makes, or that an agent, or whoever mends a node.
type write struct {
	group, resource string
	operation       admissionv1.OperationType
	namespaced      bool
}

func (w write) String() string {
	return strings.ToLower(string(w.operation)) + " " + w.resource
}

// writes are those that must not be refused while a node dies.
func writes() []write {
	return []write{
		{"", "nodes", admissionv1.Update, false},
		{"", "pods", admissionv1.Delete, true},
		{"", "pods", admissionv1.Update, true},
		{"", "pods/status", admissionv1.Update, true},
		{"", "pods/eviction", admissionv1.Create, true},
		{"picket.dev", "rolls", admissionv1.Update, false},
		{"picket.dev", "nodeguards", admissionv1.Update, false},
		{"picket.dev", "nodeguards/status", admissionv1.Update, false},
		{"picket.dev", "nodefences", admissionv1.Create, false},
		{"picket.dev", "nodefences/status", admissionv1.Update, false},
		{"coordination.k8s.io", "leases", admissionv1.Update, true},
	}
}

// webhooks judges those that can keep the controller or an agent from writing.
func webhooks(f *Facts) (string, []finding.Finding) {
	closed := 0
	var found []finding.Finding
	for _, h := range f.Webhooks {
		if h.FailurePolicy != nil && *h.FailurePolicy != admissionv1.Fail {
			continue
		}
		var hit []string
		for _, w := range writes() {
			if f.matches(h, w) {
				hit = append(hit, w.String())
			}
		}
		if len(hit) == 0 {
			continue
		}
		closed++
		found = append(found, f.webhook(h, hit))
	}
	return fmt.Sprintf("%s, %d of them fail closed on what a fence writes", screen.Count(len(f.Webhooks), "webhook", "webhooks"), closed), found
}

// webhook judges one by where those who answer for it run.
func (f *Facts) webhook(h Webhook, hit []string) finding.Finding {
	on := f.answering(h.Service)
	x := finding.Finding{
		ID: WebhookBlocks, Severity: finding.Warning,
		What: fmt.Sprintf("%s of %s fails closed on %s, and answers from %s", h.Name, h.Config, strings.Join(hit, ", "), strings.Join(on, ", ")),
		Why: fmt.Sprintf("when one of these nodes dies, each call that goes to it fails, or takes %v first: the fence of that very node waits for it",
			h.Timeout),
		Fix: fmt.Sprintf(`kubectl patch %s %s --type json -p '[{"op":"replace","path":"/webhooks/%d/failurePolicy","value":"Ignore"}]'`, h.Resource, h.Config, h.Index) +
			"    # or leave out with its rules what Picket writes",
	}
	switch {
	case h.Service == nil:
		x.What = fmt.Sprintf("%s of %s fails closed on %s, and is reached by a URL", h.Name, h.Config, strings.Join(hit, ", "))
		x.Why = "where nobody answers there, no node is fenced"
	case len(on) == 0:
		x.ID, x.Severity = WebhookDown, finding.Error
		x.What = fmt.Sprintf("%s of %s fails closed on %s, and nobody answers for %s/%s", h.Name, h.Config, strings.Join(hit, ", "), h.Service.Namespace, h.Service.Name)
		x.Why = "these writes are refused now: no node is fenced"
	case len(on) == 1:
		x.Severity = finding.Error
		x.Why = "when that node dies nobody answers, so its own fence cannot be written: it waits until the webhook runs elsewhere, which waits for the fence"
	}
	if h.Conditions > 0 {
		x.Severity = finding.Warning
		x.Why += ". It has matchConditions, which may leave Picket out: they were not evaluated"
	}
	return x
}

// answering returns the nodes with ready endpoints of the service.
func (f *Facts) answering(s *admissionv1.ServiceReference) []string {
	if s == nil {
		return nil
	}
	nodes := make(map[string]bool)
	for i := range f.Slices {
		slice := &f.Slices[i]
		if slice.Namespace != s.Namespace || slice.Labels[discoveryv1.LabelServiceName] != s.Name {
			continue
		}
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready != nil && !*e.Conditions.Ready {
				continue
			}
			name := "outside the cluster"
			if e.NodeName != nil {
				name = *e.NodeName
			}
			nodes[name] = true
		}
	}
	return slices.Sorted(maps.Keys(nodes))
}

// matches reports whether the webhook is asked about the write, as far as its
// rules and selectors tell.
func (f *Facts) matches(h Webhook, w write) bool {
	if !slices.ContainsFunc(h.Rules, func(r admissionv1.RuleWithOperations) bool { return covered(r, w) }) {
		return false
	}
	if w.namespaced {
		return f.inNamespace(h, w)
	}
	if w.resource == "nodes" && h.Objects != nil {
		for i := range f.Snapshot.Nodes {
			if h.Objects.Matches(labels.Set(f.Snapshot.Nodes[i].Labels)) {
				return true
			}
		}
		return len(f.Snapshot.Nodes) == 0
	}
	return true
}

// inNamespace reports whether the webhook is asked in a namespace that matters: any
// for pods, the controller's own for its Lease.
func (f *Facts) inNamespace(h Webhook, w write) bool {
	for i := range f.Namespaces {
		n := &f.Namespaces[i]
		if w.resource == "leases" && n.Name != f.Namespace {
			continue
		}
		if h.Namespaces == nil || h.Namespaces.Matches(labels.Set(n.Labels)) {
			return true
		}
	}
	return false
}

// covered reports whether the rule is about the write.
func covered(r admissionv1.RuleWithOperations, w write) bool {
	has := func(list []string, word string) bool {
		return slices.Contains(list, word) || slices.Contains(list, "*")
	}
	if !slices.Contains(r.Operations, w.operation) && !slices.Contains(r.Operations, admissionv1.OperationAll) {
		return false
	}
	if !has(r.APIGroups, w.group) {
		return false
	}
	if r.Scope != nil && (*r.Scope == admissionv1.ClusterScope && w.namespaced || *r.Scope == admissionv1.NamespacedScope && !w.namespaced) {
		return false
	}
	name, sub, isSub := strings.Cut(w.resource, "/")
	return slices.ContainsFunc(r.Resources, func(s string) bool {
		switch {
		case s == "*/*" || s == w.resource:
			return true
		case !isSub:
			return s == "*"
		}
		return s == name+"/*" || s == "*/"+sub
	})
}

package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/picket-dev/picket/controller/internal/view"
	"github.com/picket-dev/picket/proto/finding"
)

// A check is one thing to look at, and the reads that it rests on.
type check struct {
	name  string
	needs []string
	judge func(*Facts) (saw string, found []finding.Finding)
}

// checks are those of Picket itself first, then those of what is around it.
func checks() []check {
	return []check{
		{"installed", []string{ReadObjects}, installed},
		{"controller", []string{ReadGuards, ReadDeployment, ReadLeases}, controller},
		{"policy", []string{ReadGuards}, policy},
		{"agents", []string{ReadGuards, ReadNodes}, agents},
		{"witnesses", []string{ReadGuards, ReadNodes}, witnesses},
		{"watchdogs", []string{ReadGuards}, watchdogs},
		{"api version", []string{ReadVersion}, apiVersion},
		{"reads", []string{ReadGuards}, reads},
		{"datastore", []string{ReadNodes, ReadPods}, datastore},
		{"controller-manager", []string{ReadPods}, controllerManager},
		{"kubelets", nil, kubelets},
		{"eviction", []string{ReadPods, ReadVolumes, ReadDrivers, ReadVersion}, eviction},
		{"tolerations", []string{ReadPods}, tolerations},
		{"storage", []string{ReadVolumes, ReadDrivers}, storage},
		{"webhooks", []string{ReadWebhooks, ReadSlices, ReadNamespaces}, webhooks},
		{"daemonsets", []string{ReadDaemonSets}, daemonSets},
	}
}

// Examine judges the facts of a cluster.
func Examine(f *Facts) *finding.Report {
	if f.Snapshot == nil {
		f.Snapshot = &view.Snapshot{}
	}
	slices.SortFunc(f.Gaps, func(a, b Gap) int { return strings.Compare(a.Kind, b.Kind) }) // they come as the reads end
	r := finding.New(f.Cluster)
	skipped := make(map[string][]string)
	for _, c := range checks() {
		missing := slices.DeleteFunc(slices.Clone(c.needs), f.has)
		for _, kind := range missing {
			skipped[kind] = append(skipped[kind], c.name)
		}
		if len(missing) > 0 {
			continue
		}
		if saw, found := c.judge(f); saw != "" {
			r.Add(c.name, saw, found...)
		}
	}
	r.Add("rights", rights(f), gaps(f, skipped)...)
	return r
}

// rights says whether everything could be read.
func rights(f *Facts) string {
	if len(f.Gaps) == 0 {
		return "everything could be read"
	}
	kinds := make([]string, 0, len(f.Gaps))
	for _, g := range f.Gaps {
		kinds = append(kinds, g.Kind)
	}
	return "not read: " + strings.Join(kinds, ", ")
}

// gaps makes a finding of each read that failed. The kubelets' configuration is
// seldom for everybody to read, and has a check of its own.
func gaps(f *Facts, skipped map[string][]string) []finding.Finding {
	var found []finding.Finding
	for _, g := range f.Gaps {
		if g.Kind == ReadKubelets {
			continue
		}
		found = append(found, finding.Finding{
			ID: CannotLook, Severity: finding.Warning, Unseen: true,
			What: fmt.Sprintf("could not look: needs %s: %s", g.Needs, g.Why),
			Why:  "without it these checks were not made: " + strings.Join(skipped[g.Kind], ", "),
			Fix:  grant(g.Kind),
		})
	}
	return found
}

// grant is how somebody who administers the cluster gives the right to read a kind.
func grant(kind string) string {
	role, first := "picket-doctor-"+kind, ""
	switch resources := resources(kind); {
	case kind == ReadGuards:
		role = "picket-viewer" // comes with Picket
	case resources == "":
		return "kubectl get --raw /" + kind
	default:
		first = fmt.Sprintf("kubectl create clusterrole %s --verb=get,list --resource=%s\n", role, resources)
	}
	return fmt.Sprintf("# whoever administers the cluster:\n%skubectl create clusterrolebinding %s-YOU --clusterrole=%s --user=YOU", first, role, role)
}

// resources are those that a kind of read is about; nothing for what is none.
func resources(kind string) string {
	const admission = ".admissionregistration.k8s.io"
	switch kind {
	case ReadNodes, ReadPods, ReadVolumes, ReadNamespaces:
		return kind
	case ReadLeases:
		return "leases.coordination.k8s.io"
	case ReadDrivers:
		return "csidrivers.storage.k8s.io"
	case ReadWebhooks:
		return "validatingwebhookconfigurations" + admission + ",mutatingwebhookconfigurations" + admission
	case ReadSlices:
		return "endpointslices.discovery.k8s.io"
	case ReadDaemonSets, ReadDeployment:
		return kind + ".apps"
	case ReadObjects:
		return "customresourcedefinitions.apiextensions.k8s.io,validatingadmissionpolicies" + admission + ",validatingadmissionpolicybindings" + admission +
			",flowschemas.flowcontrol.apiserver.k8s.io,prioritylevelconfigurations.flowcontrol.apiserver.k8s.io"
	}
	return ""
}

func one(f finding.Finding) []finding.Finding { return []finding.Finding{f} }

// lines joins the lines of a fix.
func lines(all ...string) string { return strings.Join(all, "\n") }

// some names up to three of many.
func some(names []string) string {
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) <= 3 {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:3], ", "), len(names)-3)
}

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
			Fix:  lines("# whoever administers the cluster:", role, "kubectl create clusterrolebinding picket-doctor --clusterrole=picket-doctor --user=YOU"),
		})
	}
	return found
}

// role makes a ClusterRole of all that a doctor reads.
const role = "kubectl create clusterrole picket-doctor --verb=get,list --resource=" +
	"nodes,pods,persistentvolumes,namespaces,daemonsets.apps,deployments.apps,csidrivers.storage.k8s.io," +
	"leases.coordination.k8s.io,endpointslices.discovery.k8s.io," +
	"validatingwebhookconfigurations.admissionregistration.k8s.io,mutatingwebhookconfigurations.admissionregistration.k8s.io," +
	"validatingadmissionpolicies.admissionregistration.k8s.io,validatingadmissionpolicybindings.admissionregistration.k8s.io," +
	"customresourcedefinitions.apiextensions.k8s.io,flowschemas.flowcontrol.apiserver.k8s.io,prioritylevelconfigurations.flowcontrol.apiserver.k8s.io," +
	"nodeguards.picket.dev,nodefences.picket.dev,rolls.picket.dev,fencingpolicies.picket.dev"

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

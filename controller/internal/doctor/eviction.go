package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/picket-dev/picket/proto/finding"
	"github.com/picket-dev/picket/proto/screen"
)

const outOfServiceKey = "node.kubernetes.io/out-of-service"

// taints of a fenced node, and the one by which Kubernetes evicts by itself.
func outOfService() corev1.Taint {
	return corev1.Taint{Key: outOfServiceKey, Value: "nodeshutdown", Effect: corev1.TaintEffectNoExecute}
}

func quarantine() corev1.Taint {
	return corev1.Taint{Key: "picket.dev/fenced", Value: "BOOT", Effect: corev1.TaintEffectNoExecute}
}

// tolerates returns the toleration that covers the taint, or nil. Of several that do,
// Kubernetes goes by the first.
func tolerates(all []corev1.Toleration, t corev1.Taint) *corev1.Toleration {
	for i := range all {
		x := &all[i]
		switch {
		case x.Effect != "" && x.Effect != t.Effect:
		case x.Operator == corev1.TolerationOpExists && (x.Key == "" || x.Key == t.Key):
			return x
		case (x.Operator == "" || x.Operator == corev1.TolerationOpEqual) && x.Key == t.Key && x.Value == t.Value:
			return x
		}
	}
	return nil
}

// endures reports whether a pod with these tolerations stays under the taint for ever.
func endures(all []corev1.Toleration, t corev1.Taint) bool {
	x := tolerates(all, t)
	return x != nil && x.TolerationSeconds == nil
}

// ungated returns the volumes that no attachment holds back, by claim, with what
// they are.
func (f *Facts) ungated() map[string]string {
	byClaim := make(map[string]string)
	for i := range f.Volumes {
		v := &f.Volumes[i]
		if v.Spec.ClaimRef == nil || !single(v) {
			continue
		}
		if what := f.withoutAttach(v); what != "" {
			byClaim[v.Spec.ClaimRef.Namespace+"/"+v.Spec.ClaimRef.Name] = what
		}
	}
	return byClaim
}

// single reports whether one node at a time may have the volume.
func single(v *corev1.PersistentVolume) bool {
	return slices.ContainsFunc(v.Spec.AccessModes, func(m corev1.PersistentVolumeAccessMode) bool {
		return m == corev1.ReadWriteOnce || m == corev1.ReadWriteOncePod
	})
}

// withoutAttach names the kind of a volume that nobody attaches, or nothing. A
// volume that cannot leave its node is none of ours.
func (f *Facts) withoutAttach(v *corev1.PersistentVolume) string {
	s := v.Spec.PersistentVolumeSource
	switch {
	case s.CSI != nil:
		for i := range f.Drivers {
			d := &f.Drivers[i]
			if d.Name == s.CSI.Driver && d.Spec.AttachRequired != nil && !*d.Spec.AttachRequired && !onNode(v) {
				return d.Name
			}
		}
	case s.ISCSI != nil:
		return "in-tree iscsi"
	case s.FC != nil:
		return "in-tree fc"
	case s.NFS != nil:
		return "in-tree nfs"
	}
	return ""
}

// onNode reports whether the volume is bound to one node: it can move nowhere.
func onNode(v *corev1.PersistentVolume) bool {
	if v.Spec.NodeAffinity == nil || v.Spec.NodeAffinity.Required == nil {
		return false
	}
	for _, term := range v.Spec.NodeAffinity.Required.NodeSelectorTerms {
		for _, e := range term.MatchExpressions {
			if e.Key == corev1.LabelHostname || strings.HasPrefix(e.Key, "topology.") && strings.HasSuffix(e.Key, "/node") {
				return true
			}
		}
	}
	return false
}

// eviction judges whether Kubernetes replaces a pod by itself before the fence of
// its node can be done. Where an attachment holds the volume back, that only makes
// a second pod wait.
func eviction(f *Facts) (string, []finding.Finding) {
	grace, seen := f.grace()
	failover := f.failover()
	ungated := f.ungated()
	early := make(map[time.Duration][]string)
	for _, p := range f.Pods {
		if p.Static || p.DaemonSet || !exposed(p, ungated) {
			continue
		}
		stays := time.Duration(0)
		t := tolerates(p.Tolerations, corev1.Taint{Key: corev1.TaintNodeUnreachable, Effect: corev1.TaintEffectNoExecute})
		if t != nil && t.TolerationSeconds == nil {
			continue // it is never evicted
		}
		if t != nil {
			stays = time.Duration(max(*t.TolerationSeconds, 0)) * time.Second
		}
		if grace+stays < failover {
			early[stays] = append(early[stays], p.String())
		}
	}
	from := "by default"
	if seen {
		from = "as it is set"
	}
	saw := fmt.Sprintf("NotReady after %v %s; a fence takes %s at most", grace, from, screen.Seconds(failover))
	var found []finding.Finding
	for _, stays := range sorted(early) {
		names := early[stays]
		found = append(found, finding.Finding{
			ID: EvictedBeforeFence, Severity: finding.Error,
			What: fmt.Sprintf("%s would be replaced %v after their node falls silent, before its fence is done (%s): %s",
				screen.Count(len(names), "pod", "pods"), grace+stays, screen.Seconds(failover), some(names)),
			Why: "their volumes have no attachment that would hold them back, so the new pod writes beside the old one",
			Fix: tolerateLonger(failover - grace),
		})
	}
	return saw, found
}

// defaultStay is the tolerationSeconds that Kubernetes gives pods which name none.
const defaultStay = 300

// tolerateLonger makes a workload's pods stay on an unreachable node for longer than
// that, and no shorter than by default. Nobody reads the templates here, and a JSON
// patch cannot ask, hence one for those with tolerations, which keep theirs, and one
// for those without, which is refused by all others. Of several that match,
// Kubernetes goes by the first one.
func tolerateLonger(than time.Duration) string {
	const patch = "kubectl -n NAMESPACE patch KIND NAME --type json -p '[%s]'"
	const path = "/spec/template/spec/tolerations"
	enough := int(than.Seconds()) + 1
	value := fmt.Sprintf(`{"key":"%s","operator":"Exists","effect":"NoExecute","tolerationSeconds":%d}`, corev1.TaintNodeUnreachable, max(enough, defaultStay))
	return lines(
		fmt.Sprintf("# in the template of each: tolerationSeconds for %s of %d or more, or none at all; the first one that matches counts:", corev1.TaintNodeUnreachable, enough),
		fmt.Sprintf(patch, `{"op":"add","path":"`+path+`/0","value":`+value+`}`),
		"# the same for a template that has no tolerations at all:",
		fmt.Sprintf(patch, `{"op":"test","path":"`+path+`","value":null},{"op":"add","path":"`+path+`","value":[`+value+`]}`))
}

// exposed reports whether the pod has a volume that nothing holds back.
func exposed(p Pod, ungated map[string]string) bool {
	return len(p.Direct) > 0 || slices.ContainsFunc(p.Claims, func(c string) bool { return ungated[p.Namespace+"/"+c] != "" })
}

func sorted(early map[time.Duration][]string) []time.Duration {
	var all []time.Duration
	for d := range early {
		all = append(all, d)
	}
	slices.Sort(all)
	return all
}

// tolerations judges pods that stay on a node that is out of service.
func tolerations(f *Facts) (string, []finding.Finding) {
	var names []string
	for _, p := range f.Pods {
		if p.Static || p.DaemonSet || p.Retained || len(p.Claims) == 0 {
			continue
		}
		if endures(p.Tolerations, outOfService()) {
			names = append(names, p.String())
		}
	}
	saw := screen.Count(len(f.Pods), "pod", "pods") + " looked at"
	if len(names) == 0 {
		return saw, nil
	}
	return saw, one(finding.Finding{
		ID: ToleratesOutOfService, Severity: finding.Warning,
		What: fmt.Sprintf("%s with volumes %s the out-of-service taint: %s", screen.Count(len(names), "pod", "pods"), plural(len(names), "tolerates", "tolerate"), some(names)),
		Why:  "a fence neither deletes them nor waits for their volumes: they stay on the dead node until it is back",
		Fix: lines("# take the toleration out of their templates (a bare operator: Exists tolerates everything), or say that you want it so:",
			"kubectl -n NAMESPACE annotate pod NAME picket.dev/on-fence=retain"),
	})
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// storage judges drivers whose volumes nothing but the fence protects.
func storage(f *Facts) (string, []finding.Finding) {
	one, many := make(map[string][]string), make(map[string]int)
	for i := range f.Volumes {
		v := &f.Volumes[i]
		what := f.withoutAttach(v)
		switch {
		case what == "" || v.Status.Phase != corev1.VolumeBound:
		case single(v):
			one[what] = append(one[what], v.Name)
		default:
			many[what]++
		}
	}
	var kinds []string
	for what := range one {
		kinds = append(kinds, what)
	}
	slices.Sort(kinds)
	var found []finding.Finding
	for _, what := range kinds {
		found = append(found, finding.Finding{
			ID: DriverWithoutAttach, Severity: finding.Warning,
			What: fmt.Sprintf("%s attaches nothing, and %s for one node at a time: %s", what, screen.Count(len(one[what]), "of its volumes in use is", "of its volumes in use are"), some(one[what])),
			Why:  "no attachment holds them back: once a pod is deleted or evicted (after some 350 s even without Picket) its successor writes beside it. Only the fence of an armed node protects them",
			Fix: lines("# keep every node armed that runs them, or use a driver that attaches (attachRequired: true):",
				"kubectl get csidrivers -o custom-columns=NAME:.metadata.name,ATTACH:.spec.attachRequired"),
		})
	}
	shared := 0
	for _, n := range many {
		shared += n
	}
	return fmt.Sprintf("%s, %d shared ones without attach", screen.Count(len(f.Volumes), "volume", "volumes"), shared), found
}

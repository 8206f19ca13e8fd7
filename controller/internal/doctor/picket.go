package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/picket-dev/picket/controller/internal/view"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/finding"
	"github.com/picket-dev/picket/proto/matrix"
	"github.com/picket-dev/picket/proto/screen"
)

// installed judges whether Picket's own objects are there, and of this version.
func installed(f *Facts) (string, []finding.Finding) {
	if !f.Installed {
		return "no", one(finding.Finding{
			ID: NotInstalled, Severity: finding.Error, What: "the API server does not know Picket's objects",
			Why: "nothing is guarded; all that can be said yet is whether the cluster is ready for Picket",
			Fix: "helm install picket deploy/chart --set policy.mode=Observe    # watch first: deploy/README.md",
		})
	}
	var missing, other []string
	for _, o := range f.Objects {
		switch {
		case o.Live == nil:
			missing = append(missing, o.Kind+" "+o.Name)
		case !covers(o.Live, o.Want):
			other = append(other, o.Kind+" "+o.Name)
		}
	}
	var found []finding.Finding
	if len(missing) > 0 {
		found = append(found, finding.Finding{
			ID: ManifestMissing, Severity: finding.Error, What: "not there: " + strings.Join(missing, ", "),
			Why: "without an admission policy one node's agent can speak for another; without the flow schemas a busy API server delays rolls",
			Fix: lines("kubectl apply -f crds.yaml", "helm upgrade picket deploy/chart --reset-then-reuse-values    # or: kubectl apply -f picket.yaml"),
		})
	}
	if len(other) > 0 {
		found = append(found, finding.Finding{
			ID: ManifestDiffers, Severity: finding.Warning, What: "not as this version of kubectl-picket has them: " + strings.Join(other, ", "),
			Why: "a CRD that is older than the agents prunes what they say, which keeps them unarmed (FieldPruned); a changed admission policy may let through what must not pass",
			Fix: lines("# the same version of everything; first the CRDs, which Helm never changes:", "kubectl apply -f crds.yaml",
				"helm upgrade picket deploy/chart --reset-then-reuse-values"),
		})
	}
	return fmt.Sprintf("yes; %d objects missing, %d of another version", len(missing), len(other)), found
}

// covers reports whether live has all that want has. What an API server adds to an
// object by its defaults is none of Picket's.
func covers(live, want any) bool {
	switch w := want.(type) {
	case nil:
		return true
	case map[string]any:
		l, ok := live.(map[string]any)
		for k, v := range w {
			ok = ok && covers(l[k], v)
		}
		return ok
	case []any:
		l, ok := live.([]any)
		ok = ok && len(l) == len(w)
		for i := 0; ok && i < len(w); i++ {
			ok = covers(l[i], w[i])
		}
		return ok
	}
	return live == want
}

// controller judges who leads, and who would take over.
func controller(f *Facts) (string, []finding.Finding) {
	if !f.Installed {
		return "", nil
	}
	var found []finding.Finding
	leader := f.Snapshot.Status().Controller.Leader
	if leader == "" {
		found = append(found, finding.Finding{
			ID: NoLeader, Severity: finding.Error, What: "no picket-controller leads",
			Why: "nobody is fenced; nodes stay up and armed by the roll that is there",
			Fix: fmt.Sprintf("kubectl -n %s get pods,lease; kubectl -n %s logs deployment/picket-controller", f.Namespace, f.Namespace),
		})
	}
	ready, wanted := int32(0), int32(0)
	for _, d := range f.Deployments {
		if d.Name == "picket-controller" {
			ready, wanted = d.Status.ReadyReplicas, 1
			if d.Spec.Replicas != nil {
				wanted = *d.Spec.Replicas
			}
		}
	}
	if ready < 2 {
		found = append(found, finding.Finding{
			ID: ControllerAlone, Severity: finding.Warning, What: fmt.Sprintf("%d of %d picket-controllers are ready, and it takes two", ready, wanted),
			Why: "one that dies with its node fences nobody, that node included, until another one is scheduled and started",
			Fix: lines(fmt.Sprintf("kubectl -n %s scale deployment picket-controller --replicas=2", f.Namespace),
				fmt.Sprintf("kubectl -n %s get pods -o wide -l app.kubernetes.io/name=picket-controller", f.Namespace)),
		})
	}
	return fmt.Sprintf("%d ready, %q leads", ready, leader), found
}

// policy judges whether fences can begin.
func policy(f *Facts) (string, []finding.Finding) {
	if !f.Installed {
		return "", nil
	}
	s := f.Snapshot.Status().Fencing
	var found []finding.Finding
	if s.Refused != "" {
		found = append(found, finding.Finding{
			ID: InvalidPolicy, Severity: finding.Error, What: "the FencingPolicy is not in force: " + s.Refused,
			Why: "the last good times stay in force, which is not what was asked for", Fix: "kubectl edit fencingpolicy default",
		})
	}
	if f.Snapshot.Broken() {
		found = append(found, finding.Finding{
			ID: HistoryBroken, Severity: finding.Error, What: "fencing is off: the Roll's history is broken: " + f.Snapshot.Roll.Spec.Broken,
			Why: "the Roll was deleted, restored or went back; nobody is fenced until a person has looked", Fix: "kubectl picket resume",
		})
	}
	switch s.Mode {
	case string(v1alpha1.Observe):
		found = append(found, finding.Finding{
			ID: FencingOff, Severity: finding.Note, What: "fencing is off: " + s.Off,
			Why: "no new fence begins, as somebody has decided", Fix: mode(v1alpha1.Enforce),
		})
	case string(v1alpha1.Uninstall):
		found = append(found, finding.Finding{
			ID: FencingOff, Severity: finding.Note, What: "Picket is being uninstalled: " + s.Off,
			Why: "no new fence begins, as somebody has decided; a node in its way keeps the uninstall from its end",
			Fix: lines(fmt.Sprintf("kubectl -n %s logs job/picket-uninstall    # how far it is, and what is in its way", f.Namespace),
				"# to call it off, and to arm again the nodes that have left, set the mode back:", mode(v1alpha1.Enforce)),
		})
	}
	if s.Paused != "" {
		found = append(found, finding.Finding{
			ID: FencingOff, Severity: finding.Warning, What: "fencing is paused: " + s.Paused,
			Why: "no new fence begins, as somebody has decided", Fix: "kubectl picket resume",
		})
	}
	return fmt.Sprintf("%s, %s; power cut to taint within %s", s.Mode, s.Profile, screen.Seconds(f.failover())), found
}

// mode is the command that puts the policy into a mode.
func mode(m v1alpha1.Mode) string {
	return fmt.Sprintf(`kubectl patch fencingpolicy default --type merge -p '{"spec":{"mode":"%s"}}'`, m)
}

// agents judges whether every node has one that speaks, all of the same version.
func agents(f *Facts) (string, []finding.Finding) {
	if !f.Installed {
		return "", nil
	}
	s := f.Snapshot.Status()
	var found []finding.Finding
	for _, r := range s.Reasons {
		found = append(found, f.unarmed(r))
	}
	versions := make(map[string][]string)
	for _, n := range s.Nodes {
		if n.Version != "" {
			versions[n.Version] = append(versions[n.Version], n.Name)
		}
	}
	if len(versions) > 1 {
		var all []string
		for v, names := range versions {
			all = append(all, fmt.Sprintf("%s on %s", v, matrix.Names(names)))
		}
		slices.Sort(all)
		found = append(found, finding.Finding{
			ID: AgentVersionsDiffer, Severity: finding.Warning, What: "agents are of different versions: " + strings.Join(all, "; "),
			Why: "neighbouring versions work together, but a rollout that has stopped leaves nodes without the newest mends",
			Fix: fmt.Sprintf("kubectl -n %s rollout status daemonset/picket-agent", f.Namespace),
		})
	}
	return fmt.Sprintf("%d armed, %d not", s.Armed, s.Unarmed), found
}

// unarmed says why some nodes are not guarded. What people have decided is no fault.
func (f *Facts) unarmed(r view.Reason) finding.Finding {
	x := finding.Finding{
		ID: Unarmed, Severity: finding.Error,
		What: strings.TrimSuffix(fmt.Sprintf("%s unarmed, %s: %s: %s", screen.Count(len(r.Nodes), "node is", "nodes are"), matrix.Names(r.Nodes), r.Reason, r.Message), ": "),
		Why:  "an unarmed node promises nothing, so it cannot be fenced on time (A12, C9)",
		Fix:  "# on the node, or in its agent's pod:\npicket-agent doctor",
	}
	switch r.Reason {
	case "NoGuard", "NoAgent", "OldBoot", "Silent":
		x.ID = AgentMissing
		x.What = strings.TrimSuffix(fmt.Sprintf("no agent speaks for %s: %s: %s", matrix.Names(r.Nodes), r.Reason, r.Message), ": ")
		x.Why = "nobody watches that node's storage, and nothing of it can be fenced on time"
		x.Fix = fmt.Sprintf("kubectl -n %s get pods -o wide -l app.kubernetes.io/name=picket-agent", f.Namespace)
	case "Dead":
		x.Severity = finding.Warning
		x.Why = "its last boot is proven dead; it comes back by a new one"
		x.Fix = "kubectl picket timeline " + r.Nodes[0]
	case "", "Arming":
		x.Severity = finding.Warning
		x.What = fmt.Sprintf("%s on the way to being armed: %s", screen.Count(len(r.Nodes), "node is", "nodes are"), matrix.Names(r.Nodes))
		x.Why = "that takes some seconds after a start or an upgrade; until then nothing guards them (A12)"
		x.Fix = "# wait, and look again; one that stays so says why:\nkubectl picket status"
	case "Observe", "Excluded", "BreakGlass", "SelfTest", "Stopping", "ShuttingDown", "Uninstall", "Uninstalled":
		x.Severity = finding.Note
	}
	return x
}

// witnesses judges whether an API outage would leave the nodes a roll.
func witnesses(f *Facts) (string, []finding.Finding) {
	if n := len(f.Snapshot.Nodes); n < 3 {
		return screen.Count(n, "node", "nodes"), one(finding.Finding{
			ID: TooFewNodes, Severity: finding.Error, What: fmt.Sprintf("the cluster has %s", screen.Count(n, "node", "nodes")),
			Why: "with fewer than three nobody can tell a dead neighbour from a cut cable, and nobody arms unless the policy accepts it",
			Fix: lines("# add nodes, or accept that an API outage which also cuts the peers resets nodes:",
				`kubectl patch fencingpolicy default --type merge -p '{"spec":{"acceptTwoNodes":true}}'`),
		})
	}
	if !f.Installed {
		return "", nil
	}
	roll := f.Snapshot.Status().Roll
	var saw []string
	var found []finding.Finding
	for _, e := range roll.Epochs {
		saw = append(saw, fmt.Sprintf("epoch %d: %d of %d speak, %d must", e.Number, e.Speaking, len(e.Witnesses), e.Quorum))
		if e.Speaking < e.Quorum {
			found = append(found, finding.Finding{
				ID: WitnessesMute, Severity: finding.Error,
				What: fmt.Sprintf("only %d of the %d witnesses of epoch %d can speak, and %d must", e.Speaking, len(e.Witnesses), e.Number, e.Quorum),
				Why:  "an API outage would now reset nodes, and no fence gets its acknowledgements", Fix: "kubectl picket status; kubectl picket matrix",
			})
		}
	}
	if !roll.Exists || len(roll.Epochs) == 0 {
		return "none", one(finding.Finding{
			ID: WitnessesMute, Severity: finding.Error, What: "the Roll names no witnesses",
			Why: "no node arms before it does", Fix: fmt.Sprintf("kubectl -n %s logs deployment/picket-controller", f.Namespace),
		})
	}
	return strings.Join(saw, "; "), found
}

// watchdogs judges how the devices are known to work.
func watchdogs(f *Facts) (string, []finding.Finding) {
	if !f.Installed {
		return "", nil
	}
	var untested []string
	tested := 0
	for i := range f.Snapshot.Guards {
		g := &f.Snapshot.Guards[i]
		switch {
		case g.Status.Watchdog.Verified:
			tested++
		case g.Status.Watchdog.Driver != "":
			untested = append(untested, g.Name)
		}
	}
	saw := fmt.Sprintf("%d tested, %d not", tested, len(untested))
	if len(untested) == 0 {
		return saw, nil
	}
	x := finding.Finding{
		ID: WatchdogUntested, Severity: finding.Note, What: "no self-test has seen the watchdog reset " + matrix.Names(untested),
		Why: "some are wired to nothing, or act late: that they reset in time is an assumption until it was seen",
		Fix: lines("kubectl drain "+untested[0]+" --ignore-daemonsets --delete-emptydir-data", "# on it, or in its agent's pod; it resets the node:", "picket-agent watchdog self-test --yes"),
	}
	if p := f.Snapshot.Policy; p != nil && p.Spec.RequireVerified {
		x.Severity = finding.Error
		x.Why = "the policy requires it (requireVerified): these nodes are not fenced on time (C9)"
	}
	return saw, one(x)
}

// reads judges whether the API answers from the past: a Roll that is older than
// what an agent had acknowledged before it was asked for, or than the last answer.
func reads(f *Facts) (string, []finding.Finding) {
	if !f.Installed {
		return "", nil
	}
	var found []finding.Finding
	if len(f.Reads) > 0 {
		if what := stale(f.Snapshot.Guards, f.Reads); what != "" {
			found = append(found, finding.Finding{
				ID: StaleReads, Severity: finding.Error, What: what,
				Why: "a roll must be as new as its answer: a cache, or a replica of the datastore, shows a withheld node the Roll of before, and it pets on while another one writes",
				Fix: lines("# agents must reach the API servers themselves, not a proxy that caches, and the datastore must have no read replicas:",
					"helm upgrade picket deploy/chart --reuse-values --set 'agent.apiEndpoints={https://SERVER1:6443,https://SERVER2:6443}'"),
			})
		}
	}
	var broken []string
	for i := range f.Snapshot.Guards {
		for _, c := range f.Snapshot.Guards[i].Status.Conditions {
			if c.Type == v1alpha1.ConditionHistoryBroken && c.Status == "True" {
				broken = append(broken, f.Snapshot.Guards[i].Name)
			}
		}
	}
	if len(broken) > 0 {
		found = append(found, finding.Finding{
			ID: HistoryBroken, Severity: finding.Error, What: "agents have seen the Roll go back: " + matrix.Names(broken),
			Why: "it was deleted or restored, or some API server answers from the past", Fix: "kubectl picket resume    # once you know which",
		})
	}
	return screen.Count(len(f.Reads), "read", "reads") + " of the Roll, compared with what agents had acknowledged", found
}

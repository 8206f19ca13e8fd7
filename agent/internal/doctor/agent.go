package doctor

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/picket-dev/picket/proto/finding"
)

// agent judges whether the node is guarded, by the agent's own word.
func agent(f Facts) (string, []finding.Finding) {
	s := f.Agent.Status
	if s == nil {
		return "does not answer", one(cannot("what the agent knows", f.Agent.Trouble,
			"kubectl -n picket get pods -o wide --field-selector spec.nodeName="+f.Node))
	}
	saw := strings.TrimSpace(fmt.Sprintf("%s, %s %s", s.GetVersion(), cmp.Or(s.GetPhase(), "starting"), s.GetReason()))
	var found []finding.Finding
	if s.GetPhase() != "Armed" {
		found = append(found, unarmed(f))
	}
	for _, c := range s.GetConditions() {
		if c.GetType() == string(HistoryBroken) {
			found = append(found, finding.Finding{
				ID: HistoryBroken, Severity: finding.Error, What: "the Roll was seen to go back: " + c.GetMessage(),
				Why: "either it was deleted or restored, or an API server, proxy or datastore answers from an old copy: then two nodes could write",
				Fix: lines("kubectl picket doctor    # StaleReads tells the second case", "kubectl picket resume    # once you know that it was the first"),
			})
		}
	}
	return saw, found
}

// unarmed says why the node is not guarded. What people have decided is no fault.
func unarmed(f Facts) finding.Finding {
	s := f.Agent.Status
	x := finding.Finding{
		ID: Unarmed, Severity: finding.Error,
		What: strings.TrimSuffix(fmt.Sprintf("the node is %s: %s: %s", cmp.Or(s.GetPhase(), "starting"), cmp.Or(s.GetReason(), "no reason yet"), s.GetMessage()), ": "),
		Why:  "an unarmed node promises nothing, so it cannot be fenced on time (A12, C9)",
		Fix:  lines("picket-agent why", "# RUNBOOK.md has an entry "+cmp.Or(s.GetReason(), "NoRollYet")),
	}
	switch s.GetReason() {
	case "Observe":
		x.Severity = finding.Note
		x.Fix = `kubectl patch fencingpolicy default --type merge -p '{"spec":{"mode":"Enforce"}}'`
	case "Excluded":
		x.Severity = finding.Note
		x.Fix = "kubectl label node " + f.Node + " picket.dev/exclude-"
	case "BreakGlass", "SelfTest", "Stopping", "ShuttingDown", "Uninstall", "Uninstalled":
		x.Severity = finding.Note
	}
	return x
}

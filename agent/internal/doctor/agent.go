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

// unarmed says why the node is not armed for good: not yet, not for long, or not at
// all.
func unarmed(f Facts) finding.Finding {
	s := f.Agent.Status
	is := func(phase string) string {
		return strings.TrimSuffix(fmt.Sprintf("the node is %s: %s: %s", phase, cmp.Or(s.GetReason(), "no reason yet"), s.GetMessage()), ": ")
	}
	why := lines("picket-agent why", "# RUNBOOK.md has an entry "+cmp.Or(s.GetReason(), "NoRollYet"))
	switch s.GetPhase() {
	case "", "Arming":
		return finding.Finding{
			ID: Unarmed, Severity: finding.Warning, What: strings.TrimSuffix("the node is "+cmp.Or(s.GetPhase(), "starting")+": "+s.GetMessage(), ": "),
			Why: "that takes some seconds after a start or an upgrade; until then nothing guards it (A12)",
			Fix: lines("# wait, and look again; if it stays so:", "picket-agent why"),
		}
	case "Latched": // what it latched for has the entry, and is no want of an arm
		return finding.Finding{
			ID: finding.ID(cmp.Or(s.GetReason(), string(Unarmed))), Severity: finding.Error, What: is("resetting"),
			Why: "nothing pets its watchdog any more and nothing stops that, not even a new roll; it comes back by a new boot (A1, A6)",
			Fix: why,
		}
	case "Leaving":
		return decided(f, finding.Finding{
			ID: Unarmed, Severity: finding.Error, What: is("leaving"),
			Why: "it lives by the roll until nobody counts on its promise, and is unarmed then: it cannot be fenced on time (A13, C9)",
			Fix: why,
		})
	}
	return decided(f, finding.Finding{
		ID: Unarmed, Severity: finding.Error, What: is(s.GetPhase()),
		Why: "an unarmed node promises nothing, so it cannot be fenced on time (A12, C9)",
		Fix: why,
	})
}

// decided takes what people have decided for no fault.
func decided(f Facts, x finding.Finding) finding.Finding {
	switch f.Agent.Status.GetReason() {
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

package view

import (
	"fmt"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/matrix"
	"github.com/picket-dev/picket/proto/screen"
)

// Health is the exit code's reason.
func (v *Status) Health() Health { return v.State }

// JSON is the status itself.
func (v *Status) JSON() any { return v }

// judge finds what is not as it should be.
func (v *Status) judge() {
	v.State = Fine
	counting := func(format string, args ...any) { v.problem(Counting, format, args...) }
	degraded := func(format string, args ...any) { v.problem(Degraded, format, args...) }
	for _, f := range v.Fences {
		switch f.Phase {
		case v1alpha1.FenceSuspected, v1alpha1.FenceWithheld, v1alpha1.FencePending, "":
			counting("%s is being fenced (%s): %s", f.Node, f.Reason, f.Next)
		case v1alpha1.FenceBlocked, v1alpha1.FenceFenced, v1alpha1.FenceDetached:
			degraded("%s is %s: %s", f.Node, f.Phase, f.Next)
		case v1alpha1.FenceRecovered, v1alpha1.FenceRefuted:
		default:
			degraded("%s is %s: %s", f.Node, f.Phase, f.Next)
		}
	}
	if v.Controller.Known && v.Controller.Leader == "" {
		degraded("no picket-controller leads: nobody is fenced; kubectl -n picket get pods")
	}
	if !v.Roll.Exists {
		degraded("there is no Roll: no node can be armed until a picket-controller has made it")
	}
	if v.Fencing.Off != "" {
		degraded("fencing is off: %s", v.Fencing.Off)
	}
	if v.Fencing.Refused != "" {
		degraded("the FencingPolicy is not in force: %s", v.Fencing.Refused)
	}
	for _, e := range v.Roll.Epochs {
		if e.Speaking < e.Quorum {
			degraded("only %d of the %d witnesses of epoch %d can speak, %d must: an API outage would now reset nodes",
				e.Speaking, len(e.Witnesses), e.Number, e.Quorum)
		}
	}
	if len(v.Nodes) == 0 {
		degraded("there is no node and no NodeGuard")
	}
	for _, r := range v.Reasons {
		why := ""
		if r.Message != "" {
			why = " (" + r.Message + ")"
		}
		degraded("%s unarmed, %s: %s%s", screen.Count(len(r.Nodes), "node", "nodes"), r.Reason, matrix.Names(r.Nodes), why)
	}
	for i, f := range v.findings {
		if i == maxFindings {
			degraded("%d more findings: kubectl picket matrix", len(v.findings)-i)
			break
		}
		degraded("%s", f.Text)
	}
	v.judgeConditions()
}

// judgeConditions finds what agents say of themselves, but what the findings say
// already.
func (v *Status) judgeConditions() {
	for _, kind := range []string{v1alpha1.ConditionHistoryBroken, v1alpha1.ConditionPeersLost, v1alpha1.ConditionStorageUnreachable} {
		var names []string
		for _, n := range v.Nodes {
			for _, c := range n.Conditions {
				if c == kind && n.Reason != kind {
					names = append(names, n.Name)
				}
			}
		}
		if len(names) > 0 {
			v.problem(Degraded, "%s on %s", kind, matrix.Names(names))
		}
	}
}

func (v *Status) problem(h Health, format string, args ...any) {
	v.State = max(v.State, h)
	v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
}

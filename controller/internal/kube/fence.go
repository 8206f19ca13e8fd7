package kube

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// FenceFinalizer keeps a NodeFence that somebody deletes until the fence has
// come to an end that leaves nothing behind.
const FenceFinalizer = "picket.dev/fence"

// The contract with medik8s' node-healthcheck-operator (NHC).
const (
	nhcKind       = "NodeHealthCheck"
	nhcNode       = "remediation.medik8s.io/node-name"
	nhcPartOf     = "app.kubernetes.io/part-of"
	nhcController = "node-healthcheck-controller"
)

// fenceOf returns what the planner knows of a NodeFence.
func fenceOf(f *v1alpha1.NodeFence) plan.Fence {
	v := plan.Fence{
		Name:     f.Name,
		UID:      string(f.UID),
		Version:  f.ResourceVersion,
		Node:     fencedNode(f),
		Reason:   plan.Reason(f.Spec.Reason),
		Foreign:  foreign(f),
		Deleting: f.DeletionTimestamp != nil,
		Status:   fenceStatusOf(f),
	}
	if v.Reason == "" {
		v.Reason = plan.Requested
	}
	if p := f.Spec.Proof; p != nil {
		v.Proof, v.ProofBy = p.BootID, p.Kind+" by "+p.By
	}
	return v
}

// fencedNode returns the name of the node that is to be fenced.
func fencedNode(f *v1alpha1.NodeFence) string {
	if f.Spec.Node != "" {
		return f.Spec.Node
	}
	if n := f.Annotations[nhcNode]; n != "" {
		return n
	}
	return f.Name
}

// foreign reports whether NHC made the fence: then NHC deletes it, too.
func foreign(f *v1alpha1.NodeFence) bool {
	return f.Labels[nhcPartOf] == nhcController ||
		slices.ContainsFunc(f.OwnerReferences, func(o metav1.OwnerReference) bool { return o.Kind == nhcKind })
}

func fenceStatusOf(f *v1alpha1.NodeFence) plan.FenceStatus {
	s := f.Status
	v := plan.FenceStatus{
		Node:         s.Node,
		NodeUID:      s.NodeUID,
		Boot:         s.BootID,
		MachineID:    s.MachineID,
		SystemUUID:   s.SystemUUID,
		Fence:        s.Fence,
		Attempt:      attempt(s.Fence),
		Phase:        plan.Phase(s.Phase),
		WaitsFor:     s.WaitsFor,
		DeadlineIn:   deadlineMark(f),
		Acknowledged: clone(s.Acknowledged),
		Blockers:     clone(s.Blockers),
		QuorumShort:  meta.IsStatusConditionTrue(s.Conditions, v1alpha1.ConditionQuorumBlocked),
	}
	for _, t := range s.Timeline {
		v.Steps = append(v.Steps, plan.Step{Rule: plan.Rule(t.Rule), What: t.What})
	}
	return v
}

// attempt returns the number at the end of a fence's ID, so that the next one
// was never used before, whoever leads.
func attempt(fence string) int {
	n, err := strconv.Atoi(fence[strings.LastIndexByte(fence, '.')+1:])
	if err != nil {
		return 0
	}
	return n
}

// deadlineMark stands for the deadline that the API holds. The planner counts
// on its own clocks and only hands the mark back; whoever writes the status
// sees by it that the deadline did not change.
func deadlineMark(f *v1alpha1.NodeFence) time.Duration {
	if f.Status.Deadline == nil {
		return 0
	}
	return max(1, f.Status.Deadline.Sub(f.CreationTimestamp.Time))
}

// apiFenceStatus returns s as it is written at that time over the status that
// f has.
func apiFenceStatus(f *v1alpha1.NodeFence, s plan.FenceStatus, now time.Time) v1alpha1.NodeFenceStatus {
	v := v1alpha1.NodeFenceStatus{
		Node:         s.Node,
		NodeUID:      s.NodeUID,
		BootID:       s.Boot,
		MachineID:    s.MachineID,
		SystemUUID:   s.SystemUUID,
		Fence:        s.Fence,
		Phase:        v1alpha1.NodeFencePhase(s.Phase),
		WaitsFor:     s.WaitsFor,
		Acknowledged: clone(s.Acknowledged),
		Blockers:     clone(s.Blockers),
		Timeline:     timeline(f.Status.Timeline, s.Steps, now),
		Conditions:   slices.Clone(f.Status.Conditions),
	}
	switch s.DeadlineIn {
	case 0:
	case deadlineMark(f):
		v.Deadline = f.Status.Deadline
	default:
		v.Deadline = &metav1.Time{Time: now.Add(s.DeadlineIn)}
	}
	for _, c := range fenceConditions(s) {
		c.ObservedGeneration = f.Generation
		c.LastTransitionTime = metav1.NewTime(now)
		meta.SetStatusCondition(&v.Conditions, c)
	}
	return v
}

// timeline gives each step the time that it has already, or else now.
func timeline(old []v1alpha1.Step, steps []plan.Step, now time.Time) []v1alpha1.Step {
	var list []v1alpha1.Step
	for i, s := range steps {
		t := v1alpha1.Step{At: metav1.NewMicroTime(now), Rule: string(s.Rule), What: s.What}
		if i < len(old) && old[i].Rule == t.Rule && old[i].What == t.What {
			t.At = old[i].At
		}
		list = append(list, t)
	}
	return list
}

// fenceConditions returns the conditions of a fence. NHC escalates at once when
// Succeeded is False, and never times a fence out of which it is True: a fence
// has succeeded once nothing of the node is attached any more, and failed once
// it was dropped because it could not be proven.
func fenceConditions(s plan.FenceStatus) []metav1.Condition {
	processing := metav1.Condition{Type: v1alpha1.ConditionProcessing, Status: metav1.ConditionTrue}
	succeeded := metav1.Condition{Type: v1alpha1.ConditionSucceeded, Status: metav1.ConditionUnknown}
	switch s.Phase {
	case plan.Detached, plan.Recovered:
		processing.Status, succeeded.Status = metav1.ConditionFalse, metav1.ConditionTrue
	case plan.Refuted:
		processing.Status, succeeded.Status = metav1.ConditionFalse, metav1.ConditionFalse
	case plan.Blocked:
		processing.Status = metav1.ConditionFalse
	case plan.Pending, plan.Suspected, plan.Withheld, plan.Fenced:
	}
	quorum := metav1.Condition{Type: v1alpha1.ConditionQuorumBlocked, Status: metav1.ConditionFalse}
	if s.QuorumShort {
		quorum.Status = metav1.ConditionTrue
	}
	conditions := []metav1.Condition{processing, succeeded, quorum}
	for i := range conditions {
		conditions[i].Reason = string(s.Phase)
		if s.Phase == "" {
			conditions[i].Reason = string(plan.Pending)
		}
		conditions[i].Message = s.WaitsFor
	}
	return conditions
}

package world

import (
	"fmt"
	"time"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/agent/seam"
	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/timing"
)

// limit is how long everything may take to come to its end: two fences one
// after the other, silences, and what waits for half a minute.
func (w *World) limit() time.Duration {
	worst := timing.Promise{
		Armed: true, RollLife: 2 * w.longestLife(), PetDelay: w.Profile.PetDelay, Kappa: 2000,
		Timeout: 2 * max(w.Profile.ShutdownTimeout, w.Profile.RealTimeout), Ungated: 1,
	}
	return 3*timing.Wait(worst, w.Profile) + 2*time.Minute + 40*w.Profile.RollInterval
}

// unsettled returns what has not come to its end yet, or nothing.
func (w *World) unsettled() string {
	r := w.store.roll
	switch {
	case r == nil:
		return "there is no Roll"
	case r.Broken != "":
		return "the Roll is broken: " + r.Broken
	case len(r.Epochs) > 1 && !w.mourns():
		return "a change of witnesses does not end"
	}
	for _, m := range w.machines {
		if why := m.unsettled(); why != "" {
			return m.name + " " + why
		}
	}
	for k := range w.store.fences {
		if f := w.store.fences[k].value; f != nil {
			if why := w.open(f); why != "" {
				return fmt.Sprintf("fence %s of %s in phase %q %s", f.Name, f.Node, f.Status.Phase, why)
			}
		}
	}
	for _, e := range r.Entries {
		if m := w.machines[nodeIndex(e.Node)]; w.quorate() && (!m.gone || !w.answered(e.Fence)) {
			return "the Roll still lists " + e.Boot
		}
	}
	return ""
}

// unsettled returns why the machine is not as it should be.
func (m *machine) unsettled() string {
	n, g := m.store.nodes[m.i].value, m.store.guards[m.i].value
	switch {
	case m.gone && !m.on:
		return m.dead(n, g)
	case !m.on:
		return "is off"
	case m.hung:
		return "hangs"
	case m.agent == nil || m.holder == nil:
		return "has no agent or no holder"
	case m.Seed%16 > 0 && !m.quorate():
		return "" // what follows takes half a minute, and little happens in it
	case n == nil || g == nil:
		return "has no Node or no NodeGuard"
	case n.Boot != m.boot:
		return "has a Node of an earlier boot"
	case m.quorate() && (len(n.Taints) > 0 || n.Fence != "" || n.OutOfService != ""):
		return fmt.Sprintf("is still marked: %v %q %q", n.Taints, n.Fence, n.OutOfService)
	case g.Status.Boot != m.boot:
		return "has a NodeGuard of an earlier boot"
	}
	v := &m.agent.v
	if m.Forbidden || g.Spec.Unarmed != "" || !m.quorate() && v.Phase == decide.Unarmed {
		if v.Phase != decide.Unarmed || v.Reason == decide.ReasonNone || g.Status.Promise.Armed {
			return fmt.Sprintf("must not be armed: %v %s", v.Phase, v.Reason)
		}
		return ""
	}
	var s seam.Status
	m.holder.core.Report(&s)
	if v.Phase != decide.Armed || !g.Status.Promise.Armed || s.State != seam.Armed {
		return fmt.Sprintf("is not armed: %v %s %s; published %v, holder %v", v.Phase, v.Reason, v.Message, g.Status.Promise.Armed, s.State)
	}
	if p := m.judge.profile(m.Profile); g.Status.Promise.RollLife != p.RollLife {
		return fmt.Sprintf("promises L %v, and the policy wants %v", g.Status.Promise.RollLife, p.RollLife)
	}
	return ""
}

// quorate reports whether enough witnesses of some epoch run: else nobody can be
// armed, or fenced.
func (w *World) quorate() bool {
	for _, e := range w.store.roll.Epochs {
		run := 0
		for _, name := range e.Witnesses {
			if m := w.machines[nodeIndex(name)]; m.on && !m.hung {
				run++
			}
		}
		if run >= e.Quorum() {
			return true
		}
	}
	return false
}

// dead returns what is missing to a machine that is off for good: it is fenced
// to the end, or it is said why not.
func (m *machine) dead(n *plan.Node, g *plan.Guard) string {
	if n == nil || g == nil || n.Boot == "" || m.boots == 0 || !m.quorate() {
		return ""
	}
	for k := range m.store.fences {
		f := m.store.fences[k].value
		if f == nil || f.Node != m.name {
			continue
		}
		if f.Status.Phase == plan.Detached && n.OutOfService == f.Status.Fence {
			return "is still tainted out-of-service"
		}
		if f.Status.Boot == n.Boot && (f.Status.Phase == plan.Detached || said(f)) {
			return ""
		}
	}
	if !g.Status.Promise.Armed || g.Status.Boot != n.Boot || m.judge.said[m.name] == "NotFenced" {
		return ""
	}
	return "is dead, and nobody says anything"
}

// said reports whether the fence says what keeps it from going on.
func said(f *plan.Fence) bool { return len(f.Status.Blockers) > 0 || f.Status.QuorumShort }

// open returns why a fence ought to be closed.
func (w *World) open(f *plan.Fence) string {
	m := w.machines[nodeIndex(f.Node)]
	switch {
	case f.Status.Phase == plan.Recovered || f.Status.Phase == plan.Refuted:
		return ""
	case said(f), !w.quorate():
		return ""
	case !m.gone:
		return "is open, and its node is back: " + f.Status.WaitsFor
	case f.Status.Phase != plan.Detached:
		return "goes on: " + f.Status.WaitsFor
	}
	return ""
}

// mourns reports whether a witness is off for good: a change of witnesses waits
// for its fence, which says what that waits for.
func (w *World) mourns() bool {
	for _, name := range w.store.roll.Witnesses() {
		if w.machines[nodeIndex(name)].gone {
			return true
		}
	}
	return false
}

// answered reports whether some fence goes on under the ID.
func (w *World) answered(id string) bool {
	for k := range w.store.fences {
		if f := w.store.fences[k].value; f != nil && f.Status.Fence == id && f.Status.Phase != plan.Recovered && f.Status.Phase != plan.Refuted {
			return true
		}
	}
	return false
}

package view

import (
	"slices"
	"strconv"
	"strings"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/screen"
)

// Plan shows what a teardown would do on this node, step by step, and why.
func Plan(s *screen.Screen, r *peerv1.DevicesReply) {
	s.Space()
	s.Line(screen.Cell{Text: "If this boot had been fenced and had not reset, with rejoin: Clean", Tone: screen.Strong})
	s.Line(outlook(r))
	for _, b := range r.GetBlockers() {
		s.Line(screen.Item(about(b), screen.Bad))
	}
	if len(r.GetSteps()) == 0 {
		return
	}
	t := Columns{Of: []Column{
		{Head: "#"}, {Head: "STEP"}, {Head: "WHAT"}, {Head: "VOLUME", Rank: 2}, {Head: "WITHIN", Rank: 1}, {Head: "WHY", Rank: 3, Least: 24},
	}}
	for n, st := range r.GetSteps() {
		t.Add(screen.Say(strconv.Itoa(n+1)), screen.Say(st.GetOp()), screen.Say(target(st.GetTarget(), s.Width == 0)), screen.Say(st.GetVolume()),
			screen.Say(screen.Span(st.GetBound().AsDuration())), screen.Say(st.GetWhy()))
	}
	t.Show(s)
}

// outlook says what the plan comes to.
func outlook(r *peerv1.DevicesReply) screen.Cell {
	switch why := r.GetPlanWhy(); r.GetPlan() {
	case "Clean":
		return screen.Cell{Text: "it would be clean at once: " + why, Tone: screen.Good}
	case "Work":
		n := screen.Count(len(r.GetSteps()), "step", "steps")
		return screen.Cell{Text: n + ": " + why + "; with a step that is stuck: " + strings.ToLower(r.GetPlanStuck()), Tone: screen.Warn}
	case "Reset":
		if len(r.GetBlockers()) > 0 {
			why = "it cannot be proven clean"
		}
		return screen.Cell{Text: "it would be reset: " + why, Tone: screen.Bad}
	default:
		return screen.Cell{Text: "it would need a person: " + why, Tone: screen.Bad}
	}
}

// about says what a blocker is about, and why it blocks.
func about(b *peerv1.TeardownBlocker) string {
	words := []string{b.GetVolume(), b.GetDevice(), b.GetWhy()}
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), ": ")
}

// target shortens what a step is done to, if it is a path.
func target(name string, whole bool) string {
	if whole || !strings.HasPrefix(name, "/") {
		return name
	}
	return tail(name)
}

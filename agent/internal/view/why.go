package view

import (
	"fmt"
	"strings"
	"time"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/screen"
)

// Why shows the decisions, oldest first: the rule, what it found, the verdict and
// the roll it was made on. Wide adds the time of day, counted back from now.
func Why(s *screen.Screen, r *peerv1.StatusReply, wide bool, now time.Time) {
	if len(r.GetDecisions()) == 0 {
		s.Line(screen.Say("nothing decided yet"))
		return
	}
	t := Columns{Of: []Column{
		{Head: "AGO"}, {Head: "RULE"}, {Head: "WHAT", Least: 36}, {Head: "VERDICT", Rank: 1}, {Head: "ROLL", Rank: 2},
	}}
	if wide {
		t.Of = append([]Column{{Head: "TIME"}}, t.Of...)
	}
	for _, d := range r.GetDecisions() {
		cells := []screen.Cell{
			screen.Say(since(d.GetAge())), {Text: d.GetRule(), Tone: screen.Strong}, screen.Say(d.GetWhat()),
			verdict(d), screen.Say(input(d)),
		}
		if wide {
			at := now.Add(-d.GetAge().AsDuration())
			cells = append([]screen.Cell{screen.Say(at.Format("15:04:05.000"))}, cells...)
		}
		t.Add(cells...)
	}
	t.Show(s)
}

// verdict is the phase that came of the decision, and the time left to pet.
func verdict(d *peerv1.Decision) screen.Cell {
	c := screen.Say(strings.TrimSpace(d.GetPhase() + " " + d.GetReason()))
	switch d.GetPhase() {
	case "Armed":
		c.Tone = screen.Good
	case "Latched":
		c.Tone = screen.Bad
	case "Unarmed", "Leaving":
		c.Tone = screen.Warn
	}
	if d.GetPetLeft() != nil {
		c.Text += ", +" + exact(d.GetPetLeft())
	}
	return c
}

// input is the best roll at the time of the decision.
func input(d *peerv1.Decision) string {
	if d.GetRollAge() == nil {
		return none
	}
	return fmt.Sprintf("%d by %s, %s old", d.GetRollSerial(), d.GetRollVia(), since(d.GetRollAge()))
}

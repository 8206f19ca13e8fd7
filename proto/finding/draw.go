package finding

import (
	"fmt"
	"slices"
	"strings"

	"github.com/picket-dev/picket/proto/screen"
)

// label is how wide the column of severities is.
const label = len("warning")

// Draw writes the findings, the worst first, and then what was looked at.
func (r *Report) Draw(s *screen.Screen) {
	s.Line(screen.Cell{Text: r.Subject + ":", Tone: screen.Strong}, screen.Cell{Text: r.Summary(), Tone: tone(r.Worst())})
	for _, f := range r.Findings {
		s.Space()
		f.draw(s)
	}
	if len(r.Checks) == 0 {
		return
	}
	s.Space()
	t := screen.Table{}
	for _, c := range r.Checks {
		worst := Unjudged
		if i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Check == c.Name }); i >= 0 {
			worst = r.Findings[i].Severity
		}
		word := screen.Cell{Text: "fine", Tone: screen.Good}
		if worst != Unjudged {
			word = screen.Cell{Text: worst.String(), Tone: tone(worst)}
		}
		t.Add(pad(word), screen.Say(c.Name), screen.Say(c.Saw))
	}
	s.Table(t)
}

// draw writes one finding. The lines of its fix are not wrapped: they are to be
// copied into a shell.
func (f Finding) draw(s *screen.Screen) {
	t := screen.Table{}
	t.Add(pad(screen.Cell{Text: f.Severity.String(), Tone: tone(f.Severity)}), screen.Say(string(f.ID)+": "+f.What))
	t.Add(pad(screen.Cell{Text: "why", Tone: screen.Dim}), screen.Say(f.Why))
	s.Table(t)
	head := screen.Cell{Text: "fix", Tone: screen.Dim}
	for line := range strings.Lines(f.Fix) {
		s.Row(pad(head), screen.Cell{Text: " " + strings.TrimSuffix(line, "\n"), Tone: screen.Strong})
		head = screen.Cell{}
	}
}

// pad makes the first column as wide in every table.
func pad(c screen.Cell) screen.Cell {
	c.Text = fmt.Sprintf("%-*s", label, c.Text)
	return c
}

func tone(s Severity) screen.Tone {
	switch s {
	case Error:
		return screen.Bad
	case Warning:
		return screen.Warn
	case Note:
		return screen.Plain
	case Unjudged:
	}
	return screen.Good
}

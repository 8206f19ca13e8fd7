package view

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/matrix"
	"github.com/picket-dev/picket/proto/screen"
)

// Draw tells why first, then each step.
func (v *Timeline) Draw(s *screen.Screen, wide bool) {
	t := screen.Table{Flex: 1}
	add := func(name, text string, tone screen.Tone) {
		if text != "" {
			t.Add(screen.Cell{Text: name, Tone: screen.Strong}, screen.Cell{Text: text, Tone: tone})
		}
	}
	add("Node", v.Node+v.present(), screen.Plain)
	if v.Fence != "" {
		add("Fence", fmt.Sprintf("%s, %s, of boot %s", v.Fence, cmp.Or(string(v.Phase), "new"), short(v.BootID)), screen.Plain)
	}
	add("Why", v.Why, screen.Strong)
	for _, e := range v.Evidence {
		t.Add(screen.Say(""), screen.Item(e, screen.Plain))
	}
	add("Outcome", v.Outcome, v.tone())
	add("Next", v.Next, v.tone())
	for _, o := range v.Others {
		add("Also", o, screen.Dim)
	}
	for _, g := range v.Gaps {
		add("Not read", g.Kind+": "+g.Why, screen.Warn)
	}
	s.Table(t)
	v.steps(s, wide)
	if v.Tainted.Duration > 0 {
		text := "first step to the out-of-service taint: " + screen.Seconds(v.Tainted.Duration)
		if v.Bound.Duration > 0 {
			text += fmt.Sprintf(", the protocol's bound is %s", screen.Seconds(v.Bound.Duration))
		}
		s.Space()
		s.Line(screen.Say(text))
	}
	v.legend(s)
}

func (v *Timeline) tone() screen.Tone {
	switch v.health {
	case Counting:
		return screen.Bad
	case Degraded:
		return screen.Warn
	case Fine, Unjudged:
	}
	return screen.Good
}

// present says how the node stands now.
func (v *Timeline) present() string {
	n := v.Now
	if n == nil {
		return " (it has left the cluster)"
	}
	text := ", now " + cmp.Or(n.Phase, "Unknown")
	if n.Ready != "" {
		text += ", kubelet " + n.Ready
	}
	switch {
	case v.BootID == "" || n.BootID == "" || v.Phase == v1alpha1.FenceRefuted:
	case n.BootID != v.BootID:
		text += ", in the new boot " + short(n.BootID)
	default:
		text += ", no new boot known"
	}
	return text
}

// steps draws each step with its seconds.
func (v *Timeline) steps(s *screen.Screen, wide bool) {
	if len(v.Steps) == 0 {
		return
	}
	s.Space()
	t := screen.Table{Head: []string{"UTC", "AFTER", "RULE", "WHAT"}}
	for _, x := range v.Steps {
		after := fmt.Sprintf("%+8.1f s", x.After.Seconds())
		layout, tone := "15:04:05.0", screen.Plain
		if x.Event != "" {
			after, layout, tone = fmt.Sprintf("%+6.0f   s", x.After.Seconds()), "15:04:05", screen.Dim
		}
		if v.Begun == nil {
			after = ""
		}
		if wide {
			layout = "2006-01-02 " + layout
		}
		t.Add(screen.Cell{Text: x.At.UTC().Format(layout), Tone: screen.Dim}, screen.Say(after), screen.Say(x.Rule), screen.Cell{Text: x.What, Tone: tone})
	}
	s.Table(t)
}

// legend explains the rules that occur.
func (v *Timeline) legend(s *screen.Screen) {
	var rules []string
	for _, x := range v.Steps {
		if RuleText(x.Rule) != "" && !slices.Contains(rules, x.Rule) {
			rules = append(rules, x.Rule)
		}
	}
	if len(rules) == 0 {
		return
	}
	slices.SortFunc(rules, matrix.Compare)
	s.Space()
	t := screen.Table{}
	for _, r := range rules {
		t.Add(screen.Cell{Text: r, Tone: screen.Dim}, screen.Cell{Text: RuleText(r), Tone: screen.Dim})
	}
	s.Table(t)
}

package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/matrix"
	"github.com/picket-dev/picket/proto/screen"
)

// Draw draws the summary first, then a row for each node.
func (v *Status) Draw(s *screen.Screen, wide bool) {
	t := screen.Table{Flex: 1}
	t.Add(screen.Cell{Text: "Cluster", Tone: screen.Strong}, v.headline())
	for _, p := range v.Problems {
		t.Add(screen.Say(""), screen.Item(p, v.tone()))
	}
	t.Add(screen.Cell{Text: "Nodes", Tone: screen.Strong}, screen.Say(v.armedLine()))
	t.Add(screen.Cell{Text: "Fencing", Tone: screen.Strong}, v.fencingLine())
	t.Add(screen.Cell{Text: "Fences", Tone: screen.Strong}, screen.Say(v.fenceLine()))
	t.Add(screen.Cell{Text: "Roll", Tone: screen.Strong}, screen.Say(v.rollLine()))
	t.Add(screen.Cell{Text: "Leader", Tone: screen.Strong}, screen.Say(v.leaderLine()))
	t.Add(screen.Cell{Text: "Peers", Tone: screen.Strong}, screen.Say(v.peerLine()))
	for _, g := range v.Gaps {
		t.Add(screen.Cell{Text: "Not read", Tone: screen.Strong}, screen.Cell{Text: g.Kind + ": " + g.Why, Tone: screen.Warn})
	}
	s.Table(t)
	if len(v.Nodes) == 0 {
		return
	}
	s.Space()
	v.table(s, wide)
}

func (v *Status) tone() screen.Tone {
	switch v.State {
	case Fine:
		return screen.Good
	case Counting:
		return screen.Bad
	case Degraded, Unjudged:
	}
	return screen.Warn
}

func (v *Status) headline() screen.Cell {
	switch v.State {
	case Fine:
		return screen.Cell{Text: "fine: every node is armed, nothing is being fenced", Tone: screen.Good}
	case Counting:
		return screen.Cell{Text: "counting down", Tone: screen.Bad}
	case Degraded, Unjudged:
	}
	return screen.Cell{Text: "degraded", Tone: screen.Warn}
}

func (v *Status) armedLine() string {
	parts := []string{fmt.Sprintf("%d of %d armed", v.Armed, v.Armed+v.Unarmed)}
	for _, r := range v.Reasons {
		parts = append(parts, r.Reason+": "+matrix.Names(r.Nodes))
	}
	return strings.Join(parts, "; ")
}

func (v *Status) fencingLine() screen.Cell {
	f := v.Fencing
	text := "on, profile " + f.Profile
	tone := screen.Plain
	if f.Off != "" {
		text, tone = "OFF: "+f.Off, screen.Bad
	}
	if f.Paused != "" && f.Until != nil {
		text += fmt.Sprintf(" (until %s, %s left)", stamp(f.Until.Time), screen.Span(f.Until.Sub(v.Now)))
	}
	if f.Failover.Duration > 0 {
		text += fmt.Sprintf("; power cut to taint ≤ %s", screen.Seconds(f.Failover.Duration))
	}
	return screen.Cell{Text: text, Tone: tone}
}

func (v *Status) fenceLine() string {
	if len(v.Fences) == 0 {
		return "none open"
	}
	var parts []string
	for i, f := range v.Fences {
		if i == maxFindings {
			parts = append(parts, fmt.Sprintf("%d more", len(v.Fences)-i))
			break
		}
		parts = append(parts, fmt.Sprintf("%s %s", f.Node, cmp.Or(string(f.Phase), "New")))
	}
	return fmt.Sprintf("%d open: %s", len(v.Fences), strings.Join(parts, ", "))
}

func (v *Status) rollLine() string {
	if !v.Roll.Exists {
		return "there is none"
	}
	parts := []string{fmt.Sprintf("serial %d", v.Roll.Serial)}
	for _, e := range v.Roll.Epochs {
		retiring := ""
		if e.State != string(v1alpha1.EpochActive) {
			retiring = " (" + e.State + ")"
		}
		parts = append(parts, fmt.Sprintf("epoch %d%s: %d of %d witnesses can speak, %d must (%s)",
			e.Number, retiring, e.Speaking, len(e.Witnesses), e.Quorum, matrix.Names(e.Witnesses)))
	}
	if v.Roll.Suspected+v.Roll.Withheld > 0 {
		parts = append(parts, fmt.Sprintf("%d suspected, %d withheld", v.Roll.Suspected, v.Roll.Withheld))
	}
	return strings.Join(parts, "; ")
}

func (v *Status) leaderLine() string {
	switch c := v.Controller; {
	case !c.Known:
		return "not known: the Lease could not be read"
	case c.Leader != "":
		return c.Leader
	case c.Renewed != nil:
		return "nobody since " + stamp(c.Renewed.Time)
	}
	return "nobody, ever: is picket-controller installed in that namespace (--picket-namespace)?"
}

func (v *Status) peerLine() string {
	switch {
	case v.links == 0:
		return "nobody watches anybody yet"
	case v.lost == 0:
		return fmt.Sprintf("all %d links answer", v.links)
	}
	return fmt.Sprintf("%d of %d links lost: kubectl picket matrix", v.lost, v.links)
}

// table draws a row for each node, those that need a look first.
func (v *Status) table(s *screen.Screen, wide bool) {
	nodes := slices.Clone(v.Nodes)
	slices.SortStableFunc(nodes, func(a, b Node) int { return b.trouble() - a.trouble() })
	t := screen.Table{Head: []string{"NODE", "STATE", "WATCHDOG", "T", "W", "LOST BY", "FENCE", "STORAGE"}}
	if wide {
		t.Head = append(t.Head, "READY", "DOMAIN", "LOSES", "SPOKE", "BOOT", "API", "VERSION")
	}
	t.Head = append(t.Head, "WHY")
	for _, n := range nodes {
		row := []screen.Cell{
			screen.Say(n.Name), n.state(), screen.Say(n.dog()), screen.Say(seconds(n.Timeout)), screen.Say(seconds(n.Wait)),
			n.lostBy(), {Text: string(n.FencePhase), Tone: screen.Bad}, screen.Say(n.storage()),
		}
		if wide {
			row = append(row, screen.Say(n.Ready), screen.Say(n.Domain), screen.Say(matrix.Names(n.Lost)), screen.Say(n.spoke(v.Now)),
				screen.Say(short(n.BootID)), screen.Say(n.API), screen.Say(n.Version))
		}
		t.Add(append(row, screen.Say(n.because()))...)
	}
	s.Table(t)
}

// trouble orders nodes by how much they need a look.
func (n Node) trouble() int {
	switch {
	case n.Fence != "":
		return 3
	case !n.Armed:
		return 2
	case len(n.LostBy)+len(n.Lost)+len(n.Conditions) > 0:
		return 1
	}
	return 0
}

func (n Node) state() screen.Cell {
	c := screen.Cell{Text: n.Phase, Tone: screen.Warn}
	if n.Armed {
		c.Tone = screen.Good
	}
	if c.Text == "" {
		c.Text = "Unknown"
	}
	return c
}

// dog names the watchdog, and whether it is one of hardware that was tested.
func (n Node) dog() string {
	w := n.Watchdog
	text := w.Driver
	switch {
	case text == "":
		return ""
	case w.Kind == "softdog" && !strings.Contains(strings.ToLower(text), "soft"):
		text += " (softdog)"
	}
	if w.Verified {
		text += " ✓"
	}
	return text
}

func (n Node) lostBy() screen.Cell {
	if len(n.LostBy) == 0 {
		return screen.Cell{}
	}
	return screen.Cell{Text: fmt.Sprintf("%d/%d", len(n.LostBy), n.Watchers), Tone: screen.Bad}
}

func (n Node) storage() string {
	if n.Volumes > 0 {
		return screen.Count(n.Volumes, "volume", "volumes")
	}
	return strings.ToLower(n.Storage)
}

func (n Node) spoke(now time.Time) string {
	if n.Spoke == nil {
		return ""
	}
	return screen.Span(now.Sub(n.Spoke.Time)) + " ago"
}

// because says why the node is not simply armed.
func (n Node) because() string {
	var parts []string
	if n.Reason != "" {
		parts = append(parts, n.Reason)
	}
	if n.Message != "" {
		parts = append(parts, n.Message)
	}
	text := strings.Join(parts, ": ")
	for _, c := range n.Conditions {
		if c != n.Reason {
			text = strings.TrimPrefix(text+"; "+c, "; ")
		}
	}
	return text
}

// seconds writes a duration as 10s or 21.2s; nothing for none.
func seconds(d metav1.Duration) string {
	if d.Duration == 0 {
		return ""
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", d.Seconds()), ".0") + "s"
}

// short returns the beginning of an ID.
func short(id string) string { return id[:min(8, len(id))] }

// stamp writes an instant for people: the cluster's own clock, in UTC.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" }

package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/picket-dev/picket/proto/matrix"
	"github.com/picket-dev/picket/proto/screen"
)

// A Matrix is who hears whom.
type Matrix struct {
	// By is what a row and a column stand for: node, or the label's name.
	By       string           `json:"by"`
	Findings []matrix.Finding `json:"findings"`
	Nodes    int              `json:"nodes"`
	Links    int              `json:"links"`
	Lost     int              `json:"lost"`
	Untold   int              `json:"untold"`
	// Rows hold the observers; their Cells the subjects in the same order.
	Rows []MatrixRow `json:"rows"`

	kind string // what a group is, such as rack
}

// A MatrixRow is what one observer, or one group of them, says of the others.
type MatrixRow struct {
	Observer string       `json:"observer"`
	Group    string       `json:"group,omitempty"` // of a node
	Mute     string       `json:"mute,omitempty"`
	Cells    []MatrixCell `json:"cells"`
}

// Number is the row's number for people, given its index.
func (r MatrixRow) Number(index int) int { return index + 1 }

// title is how the row is called: the group stands behind the node's name.
func (r MatrixRow) title() string { return strings.TrimSpace(r.Observer + " " + r.Group) }

// A MatrixCell counts the links from a row to a column.
type MatrixCell struct {
	Subject string `json:"subject"`
	Heard   int    `json:"heard,omitempty"`
	Lost    int    `json:"lost,omitempty"`
	Untold  int    `json:"untold,omitempty"`
}

// ByNode asks for a row and a column for each node.
const ByNode = "node"

// maxNodeRows is the largest cluster that is shown node by node unless asked.
const maxNodeRows = 32

// Matrix returns who hears whom, by node or by the value of a node label; ""
// chooses. Verdicts about groups always go by the label, where there is one.
func (s *Snapshot) Matrix(by string) *Matrix {
	label := s.Domains
	if by != "" && by != ByNode {
		label = by
	}
	m := s.matrix(label)
	v := &Matrix{By: by, kind: kindOf(label), Nodes: len(m.Nodes())}
	grouped := len(m.Groups()) > 1
	if by == "" {
		v.By = ByNode
		if v.Nodes > maxNodeRows && grouped {
			v.By = label
		}
	}
	v.Findings = m.Findings(v.kind)
	if v.By == ByNode {
		v.byNode(m)
	} else {
		v.byGroup(m)
	}
	for _, r := range v.Rows {
		for _, c := range r.Cells {
			v.Links += c.Heard + c.Lost + c.Untold
			v.Lost += c.Lost
			v.Untold += c.Untold
		}
	}
	return v
}

// matrix returns the agents' words, grouped by the value of a label.
func (s *Snapshot) matrix(label string) *matrix.Matrix {
	type known struct{ boot, group string }
	nodes := make(map[string]known, len(s.Nodes))
	for i := range s.Nodes {
		n := &s.Nodes[i]
		nodes[n.Name] = known{n.Status.NodeInfo.BootID, n.Labels[label]}
	}
	agents := make([]matrix.Agent, 0, len(s.Guards))
	for i := range s.Guards {
		g := &s.Guards[i]
		n, ok := nodes[g.Name]
		if !ok && s.has(KindNodes) {
			continue
		}
		a := matrix.Agent{Node: g.Name, Group: n.group, Lost: g.Status.Lost, Mute: mute(g, n.boot, s.Now).text}
		for _, p := range g.Spec.Neighbours {
			a.Watches = append(a.Watches, p.Node)
		}
		agents = append(agents, a)
	}
	return matrix.New(agents)
}

// kindOf returns what a label's values are: the last word of its name.
func kindOf(label string) string { return label[strings.LastIndexAny(label, "/.")+1:] }

func (v *Matrix) byNode(m *matrix.Matrix) {
	for _, from := range m.Nodes() {
		row := MatrixRow{Observer: from, Mute: m.Mute(from)}
		if len(m.Groups()) > 1 {
			row.Group = m.Group(from)
		}
		for _, to := range m.Nodes() {
			c := MatrixCell{Subject: to}
			switch m.Sight(from, to) {
			case matrix.Heard:
				c.Heard = 1
			case matrix.Lost:
				c.Lost = 1
			case matrix.Untold:
				c.Untold = 1
			case matrix.Unwatched:
			}
			row.Cells = append(row.Cells, c)
		}
		v.Rows = append(v.Rows, row)
	}
}

func (v *Matrix) byGroup(m *matrix.Matrix) {
	for _, from := range m.Groups() {
		row := MatrixRow{Observer: cmp.Or(from, "(none)")}
		for _, to := range m.Groups() {
			t := m.Between(from, to)
			row.Cells = append(row.Cells, MatrixCell{
				Subject: cmp.Or(to, "(none)"), Heard: t.Heard, Lost: t.Lost, Untold: t.Untold,
			})
		}
		v.Rows = append(v.Rows, row)
	}
}

// Health is degraded if any link is lost.
func (v *Matrix) Health() Health {
	if len(v.Findings) > 0 {
		return Degraded
	}
	return Fine
}

// Draw draws the verdict first, then the matrix.
func (v *Matrix) Draw(s *screen.Screen, _ bool) {
	if len(v.Findings) == 0 {
		s.Line(screen.Cell{Text: fmt.Sprintf("every neighbour answers: %s between %s", screen.Count(v.Links, "link", "links"), screen.Count(v.Nodes, "node", "nodes")), Tone: screen.Good})
	}
	for i, f := range v.Findings {
		if i == maxFindings {
			s.Line(screen.Say(fmt.Sprintf("and %d more (-o json lists them)", len(v.Findings)-i)))
			break
		}
		s.Line(screen.Cell{Text: f.Text, Tone: screen.Bad})
	}
	if len(v.Rows) == 0 {
		return
	}
	s.Space()
	v.grid(s)
	s.Space()
	s.Line(screen.Cell{Text: v.legend(), Tone: screen.Dim})
}

// maxFindings is how many verdicts a screen shows.
const maxFindings = 8

func (v *Matrix) legend() string {
	if v.By == ByNode {
		return "row hears column: · yes, X no, ? the row's word is old, blank: it does not watch it"
	}
	return fmt.Sprintf("each cell counts links from nodes of the row's %s to those of the column's: · all heard, X all lost, 3/12 lost of told, ? no word", v.kind)
}

// grid draws the cells, as many columns side by side as the screen has room for.
func (v *Matrix) grid(s *screen.Screen) {
	name, cell := 0, 1
	for i, r := range v.Rows {
		name = max(name, len([]rune(r.title())))
		cell = max(cell, len(fmt.Sprint(i+1)))
		for _, c := range r.Cells {
			cell = max(cell, len([]rune(c.Text())))
		}
	}
	number := len(fmt.Sprint(len(v.Rows)))
	room := len(v.Rows)
	if s.Width > 0 {
		room = max(1, (s.Width-number-1-name-1)/(cell+1))
	}
	for from := 0; from < len(v.Rows); from += room {
		if from > 0 {
			s.Space()
		}
		v.band(s, from, min(from+room, len(v.Rows)), name, cell)
	}
}

// band draws the columns from one to another. Columns are numbered like rows,
// since names do not fit over them.
func (v *Matrix) band(s *screen.Screen, from, to, name, cell int) {
	number := len(fmt.Sprint(len(v.Rows)))
	head := []screen.Cell{screen.Say(strings.Repeat(" ", number+1+name))}
	for i := from; i < to; i++ {
		head = append(head, screen.Cell{Text: fmt.Sprintf("%*d", cell, i+1), Tone: screen.Dim})
	}
	s.Row(head...)
	for i, r := range v.Rows {
		tone := screen.Plain
		if r.Mute != "" {
			tone = screen.Dim
		}
		row := []screen.Cell{{Text: fmt.Sprintf("%*d %-*s", number, i+1, name, r.title()), Tone: tone}}
		for _, c := range r.Cells[from:to] {
			text := c.Text()
			if text == "" && c.Subject == r.Observer && v.By == ByNode {
				text = "╲"
			}
			row = append(row, screen.Cell{Text: fmt.Sprintf("%*s", cell, text), Tone: c.tone()})
		}
		s.Row(row...)
	}
}

// Text is what stands in a cell.
func (c MatrixCell) Text() string {
	switch told := c.Heard + c.Lost; {
	case told == 0 && c.Untold == 0:
		return ""
	case told == 0:
		return "?"
	case c.Lost == 0:
		return "·"
	case c.Heard == 0:
		return "X"
	default:
		return fmt.Sprintf("%d/%d", c.Lost, told)
	}
}

func (c MatrixCell) tone() screen.Tone {
	switch {
	case c.Lost > 0 && c.Heard == 0:
		return screen.Bad
	case c.Lost > 0:
		return screen.Warn
	case c.Heard > 0:
		return screen.Good
	}
	return screen.Dim
}

// JSON leaves out the cells in which there is no link: most of them, in a large
// cluster.
func (v *Matrix) JSON() any {
	w := *v
	w.Rows = slices.Clone(v.Rows)
	for i, r := range w.Rows {
		w.Rows[i].Cells = slices.DeleteFunc(slices.Clone(r.Cells), func(c MatrixCell) bool { return c.Text() == "" })
	}
	return &w
}

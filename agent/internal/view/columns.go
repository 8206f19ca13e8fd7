package view

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/picket-dev/picket/proto/screen"
)

// A Column is one that a screen shows if there is room.
type Column struct {
	// Head names it.
	Head string
	// Rank says which columns go first where there is none: the highest ones. One
	// of rank 0 stays.
	Rank int
	// Least is how narrow its text may be squeezed; 0: it is not.
	Least int
}

// Columns is a table that knows what to leave out where there is no room.
type Columns struct {
	// Of are the columns, all of them.
	Of   []Column
	rows [][]screen.Cell
}

// Add adds a row, with a cell for each column.
func (c *Columns) Add(cells ...screen.Cell) { c.rows = append(c.rows, cells) }

// Show writes the table, and what there was no room for.
func (c *Columns) Show(s *screen.Screen) {
	keep := c.fit(s.Width)
	t := screen.Table{}
	for n, i := range keep {
		t.Head = append(t.Head, c.Of[i].Head)
		if c.Of[i].Least > 0 {
			t.Flex = n
		}
	}
	for _, row := range c.rows {
		cells := make([]screen.Cell, 0, len(keep))
		for _, i := range keep {
			cells = append(cells, row[i])
		}
		t.Add(cells...)
	}
	s.Table(t)
	if len(keep) == len(c.Of) {
		return
	}
	var left []string
	for i, col := range c.Of {
		if !slices.Contains(keep, i) {
			left = append(left, col.Head)
		}
	}
	s.Space()
	s.Line(screen.Cell{Text: "left out: " + strings.Join(left, ", ") + "; -o wide shows them", Tone: screen.Dim})
}

// fit returns the columns for which there is room.
func (c *Columns) fit(width int) []int {
	keep := make([]int, len(c.Of))
	need := make([]int, len(c.Of))
	for i, col := range c.Of {
		keep[i] = i
		need[i] = utf8.RuneCountInString(col.Head)
		for _, row := range c.rows {
			need[i] = max(need[i], utf8.RuneCountInString(row[i].Text))
		}
		if col.Least > 0 {
			need[i] = min(need[i], col.Least)
		}
	}
	total := func() (n int) {
		for _, i := range keep {
			n += need[i] + 2
		}
		return n - 2
	}
	for width > 0 && total() > width {
		worst := slices.MaxFunc(keep, func(i, j int) int { return c.Of[i].Rank - c.Of[j].Rank })
		if c.Of[worst].Rank == 0 {
			break
		}
		keep = slices.DeleteFunc(keep, func(i int) bool { return i == worst })
	}
	return keep
}

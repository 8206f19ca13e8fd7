package screen

import (
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Screen is where text goes. Errors of the writer are dropped: a terminal that
// went away has nobody to be told.
type Screen struct {
	Out io.Writer
	// Width is how many columns there are; 0 means no bound.
	Width int
	// Colour says that the terminal shows it.
	Colour bool
}

// gap lies between two columns.
const gap = 2

// minFlex is the least width to which a wrapped column is squeezed; below, the
// terminal breaks lines as it likes.
const minFlex = 16

// Line writes a line, wrapped to the width.
func (s *Screen) Line(cells ...Cell) {
	t := Table{}
	t.Add(cells...)
	s.Table(t)
}

// Row writes cells as they are, with one space between them, and no space at the
// end of the line.
func (s *Screen) Row(cells ...Cell) {
	var b strings.Builder
	spaces := 0
	for i, c := range cells {
		if i > 0 {
			spaces++
		}
		bare := strings.Trim(c.Text, " ")
		if bare == "" {
			spaces += width(c.Text)
			continue
		}
		left := len(c.Text) - len(strings.TrimLeft(c.Text, " "))
		b.WriteString(strings.Repeat(" ", spaces+left))
		b.WriteString(s.paint(Cell{Text: bare, Tone: c.Tone}))
		spaces = width(c.Text) - left - width(bare)
	}
	b.WriteByte('\n')
	_, _ = io.WriteString(s.Out, b.String())
}

// Space writes an empty line.
func (s *Screen) Space() { _, _ = io.WriteString(s.Out, "\n") }

// A Table is rows of cells under a head.
type Table struct {
	// Head names the columns; nil: no head is written.
	Head []string
	// Flex is the column that is wrapped where the width does not suffice; it is
	// the last one if it is 0.
	Flex int
	// Indent is how far the table stands from the left edge.
	Indent int

	rows [][]Cell
}

// Add adds a row. A cell that is missing at its end is empty.
func (t *Table) Add(cells ...Cell) { t.rows = append(t.rows, cells) }

// Len returns the number of rows.
func (t *Table) Len() int { return len(t.rows) }

// Table writes a table. Columns that are empty in all rows are left out.
func (s *Screen) Table(t Table) {
	rows := t.rows
	if t.Head != nil {
		head := make([]Cell, len(t.Head))
		for i, h := range t.Head {
			head[i] = Cell{Text: h, Tone: Dim}
		}
		rows = append([][]Cell{head}, rows...)
	}
	widths := t.widths()
	flex := t.Flex
	if flex == 0 {
		flex = len(widths) - 1
	}
	for ; flex > 0 && widths[flex] == 0; flex-- {
	}
	s.squeeze(widths, flex, t.Indent)
	var b strings.Builder
	for _, row := range rows {
		s.row(&b, row, widths, flex, t.Indent)
	}
	_, _ = io.WriteString(s.Out, b.String())
}

// widths returns how wide each column's text is; 0 for one that is empty but
// for its head.
func (t *Table) widths() []int {
	columns := len(t.Head)
	for _, row := range t.rows {
		columns = max(columns, len(row))
	}
	widths := make([]int, columns)
	for _, row := range t.rows {
		for i, c := range row {
			widths[i] = max(widths[i], width(c.Text))
		}
	}
	for i, h := range t.Head {
		if widths[i] > 0 {
			widths[i] = max(widths[i], width(h))
		}
	}
	return widths
}

// squeeze takes from the flex column what the screen lacks.
func (s *Screen) squeeze(widths []int, flex, indent int) {
	if s.Width == 0 || flex < 0 {
		return
	}
	total := indent - gap
	for _, w := range widths {
		if w > 0 {
			total += w + gap
		}
	}
	if total > s.Width {
		widths[flex] = max(widths[flex]-(total-s.Width), min(widths[flex], minFlex))
	}
}

// row writes one row, in as many lines as its flex cell needs.
func (s *Screen) row(b *strings.Builder, row []Cell, widths []int, flex, indent int) {
	var lines []string
	if flex >= 0 && flex < len(row) {
		lines = wrap(row[flex].Text, widths[flex], row[flex].Hang)
	}
	for n := 0; n == 0 || n < len(lines); n++ {
		pending := indent
		for i, w := range widths {
			if w == 0 {
				continue
			}
			var c Cell
			switch {
			case i == flex && n < len(lines):
				c = Cell{Text: lines[n], Tone: row[i].Tone}
			case i != flex && n == 0 && i < len(row):
				c = row[i]
			}
			if c.Text != "" {
				b.WriteString(strings.Repeat(" ", pending))
				b.WriteString(s.paint(c))
				pending = 0
			}
			pending += w - width(c.Text) + gap
		}
		b.WriteByte('\n')
	}
}

// paint returns the text in its colour. Its control characters do not reach the
// terminal, which would obey them: names and messages come from other machines.
func (s *Screen) paint(c Cell) string {
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, c.Text)
	code := c.Tone.code()
	if !s.Colour || code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// wrap breaks a text between words into lines of at most so many characters; a
// longer word has a line of its own. Lines after the first are indented by hang.
func wrap(text string, limit, hang int) []string {
	var lines []string
	for part := range strings.SplitSeq(text, "\n") {
		line, empty := "", true
		for word := range strings.FieldsSeq(part) {
			switch {
			case empty:
				line += word
			case width(line)+1+width(word) <= limit:
				line += " " + word
			default:
				lines = append(lines, line)
				line = strings.Repeat(" ", hang) + word
			}
			empty = false
		}
		lines = append(lines, line)
	}
	return lines
}

// width returns how many columns a text takes: names and words here have one for
// each character.
func width(text string) int {
	widest := 0
	for line := range strings.SplitSeq(text, "\n") {
		widest = max(widest, utf8.RuneCountInString(line))
	}
	return widest
}

package screen

import (
	"os"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

func aTable() Table {
	t := Table{Head: []string{"NODE", "EMPTY", "STATE", "WHY"}}
	t.Add(Say("node-1"), Say(""), Cell{Text: "Armed", Tone: Good}, Say(""))
	t.Add(Say("node-10"), Say(""), Cell{Text: "Unarmed", Tone: Bad}, Say("no usable watchdog was found on this node"))
	return t
}

func TestTable(t *testing.T) {
	for _, tt := range []struct {
		name   string
		screen Screen
		change func(*Table)
		want   string
	}{
		{"no bound", Screen{}, nil, `
NODE     STATE    WHY
node-1   Armed
node-10  Unarmed  no usable watchdog was found on this node
`},
		{"narrow", Screen{Width: 40}, nil, `
NODE     STATE    WHY
node-1   Armed
node-10  Unarmed  no usable watchdog was
                  found on this node
`},
		{"narrower than it can be", Screen{Width: 10}, nil, `
NODE     STATE    WHY
node-1   Armed
node-10  Unarmed  no usable
                  watchdog was
                  found on this
                  node
`},
		{"indented, without a head", Screen{Width: 42}, func(t *Table) { t.Head, t.Indent = nil, 2 }, `
  node-1   Armed
  node-10  Unarmed  no usable watchdog was
                    found on this node
`},
		{"colour", Screen{Colour: true, Width: 40}, func(t *Table) { t.Head = nil }, `
node-1   *32mArmed*0m
node-10  *1;31mUnarmed*0m  no usable watchdog was
                  found on this node
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			tt.screen.Out = &out
			table := aTable()
			if tt.change != nil {
				tt.change(&table)
			}
			tt.screen.Table(table)
			got := "\n" + strings.ReplaceAll(out.String(), "\x1b[", "*")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			for line := range strings.Lines(got) {
				if bare := strings.TrimSuffix(line, "\n"); strings.TrimRight(bare, " ") != bare {
					t.Errorf("%q ends with spaces", bare)
				}
			}
		})
	}
}

// A column in the middle can give way, too.
func TestTableWithFlexInTheMiddle(t *testing.T) {
	table := Table{Flex: 1}
	table.Add(Say("1"), Say("many words that go on for long"), Say("end"))
	var out strings.Builder
	(&Screen{Out: &out, Width: 27}).Table(table)
	want := "1  many words that go   end\n   on for long\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestRow(t *testing.T) {
	var out strings.Builder
	s := &Screen{Out: &out, Colour: true}
	s.Row(Cell{Text: " 1 ", Tone: Bad}, Cell{Text: "  "}, Say("a"), Say("  "))
	if got := strings.ReplaceAll(out.String(), "\x1b[", "*"); got != " *1;31m1*0m     a\n" {
		t.Errorf("%q", got)
	}
}

// Text from other machines must not command the terminal.
func TestControlCharactersAreNotObeyed(t *testing.T) {
	var out strings.Builder
	s := &Screen{Out: &out, Width: 80}
	s.Line(Say("a\x1b]0;title\x07b\u009bc"), Say("x\x1b[2Jy"))
	s.Row(Say("a\x1b[1mb"))
	if i := strings.IndexFunc(out.String(), func(r rune) bool { return r != '\n' && unicode.IsControl(r) }); i >= 0 {
		t.Errorf("%q", out.String())
	}
}

func TestItemsHang(t *testing.T) {
	var out strings.Builder
	(&Screen{Out: &out, Width: 18}).Line(Item("many words that go on", Plain))
	if want := "· many words that\n  go on\n"; out.String() != want {
		t.Errorf("%q", out.String())
	}
}

func TestEmptyTable(t *testing.T) {
	var out strings.Builder
	(&Screen{Out: &out, Width: 80}).Table(Table{})
	if out.String() != "" {
		t.Errorf("%q", out.String())
	}
}

func TestOn(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	env := map[string]string{"COLUMNS": "100"}
	if s := On(file, func(k string) string { return env[k] }); s.Colour || s.Width != 100 {
		t.Errorf("a file: %+v", s)
	}
	env["COLUMNS"] = "wide"
	if s := On(&strings.Builder{}, func(k string) string { return env[k] }); s.Colour || s.Width != 0 {
		t.Errorf("no file: %+v", s)
	}
}

func TestSpan(t *testing.T) {
	for _, tt := range []struct {
		d    time.Duration
		want string
	}{
		{0, "0ms"}, {400 * time.Millisecond, "400ms"}, {12300 * time.Millisecond, "12s"}, {119 * time.Second, "119s"},
		{5 * time.Minute, "5m"}, {3 * time.Hour, "3h"}, {50 * time.Hour, "2d"}, {-time.Minute, "-60s"},
	} {
		if got := Span(tt.d); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.d, got, tt.want)
		}
	}
	if got := Seconds(21224 * time.Millisecond); got != "21.2 s" {
		t.Error(got)
	}
	if got := Count(1, "node", "nodes") + ", " + Count(0, "node", "nodes"); got != "1 node, 0 nodes" {
		t.Error(got)
	}
}

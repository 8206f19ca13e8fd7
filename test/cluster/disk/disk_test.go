package disk

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWriteJoinsRuns(t *testing.T) {
	d := New()
	a, b := Writer{"n1", "b1", "p1"}, Writer{"n2", "b2", "p2"}
	for _, w := range []Writer{a, a, a, b, b, a} {
		d.Write("v", w)
	}
	type run struct {
		Writer Writer
		Count  int64
	}
	if n := d.Writes(); n != 6 || New().Writes() != 0 {
		t.Errorf("%d writes, want 6", n)
	}
	var got []run
	var last time.Duration
	for _, r := range d.Runs("v") {
		got = append(got, run{r.Writer, r.Count})
		if r.First < last || r.Last < r.First {
			t.Errorf("times of %v go back", r)
		}
		last = r.Last
	}
	if diff := cmp.Diff([]run{{a, 3}, {b, 2}, {a, 1}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestTwoWriters(t *testing.T) {
	old := Writer{"n1", "b1", "p1"}
	for _, test := range []struct {
		name    string
		writers []Writer
		want    int
	}{
		{"nobody", nil, 0},
		{"one", []Writer{old}, 0},
		{"moved", []Writer{old, {"n2", "b2", "p2"}}, 0},
		{"came back to the same boot as a new pod", []Writer{old, {"n2", "b2", "p2"}, {"n1", "b1", "p3"}}, 0},
		{"same pod on a new boot", []Writer{old, {"n1", "b9", "p1"}}, 0},
		{"old pod after the move", []Writer{old, {"n2", "b2", "p2"}, old}, 1},
		{"old boot after its own reboot", []Writer{old, {"n1", "b9", "p1"}, old}, 1},
		{"in turns", []Writer{old, {"n2", "b2", "p2"}, old, {"n2", "b2", "p2"}}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := New()
			for _, w := range test.writers {
				d.Write("v", w)
			}
			if got := d.Judge(); len(got) != test.want {
				t.Errorf("%d violations, want %d: %v", len(got), test.want, got)
			}
		})
	}
}

func TestAfterTaint(t *testing.T) {
	runs := []Run{
		{Writer: Writer{"n1", "b1", "p1"}, First: 1 * time.Second, Last: 5 * time.Second},
		{Writer: Writer{"n1", "b2", "p1"}, First: 6 * time.Second, Last: 9 * time.Second},
	}
	for _, test := range []struct {
		name  string
		fence Fence
		want  int
	}{
		{"in time", Fence{"n1", "b1", 5 * time.Second}, 0},
		{"too late", Fence{"n1", "b1", 4 * time.Second}, 1},
		{"another boot", Fence{"n1", "b0", 0}, 0},
		{"another node", Fence{"n2", "b1", 0}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := AfterTaint("v", runs, test.fence); len(got) != test.want {
				t.Errorf("%v, want %d", got, test.want)
			}
		})
	}
}

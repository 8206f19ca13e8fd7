package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/proto/roll"
)

func sampleRoll(serial int64) roll.Roll {
	return roll.Roll{
		History: "h1", Serial: serial, PollEvery: time.Second,
		Epochs:  []roll.Epoch{{Number: 1, Witnesses: []string{"a", "b", "c"}}},
		Entries: []roll.Entry{{Node: "x", UID: "u-x", Boot: "boot-x", Fence: "f1", State: roll.Withheld}},
	}
}

func TestMemoryOutlivesTheAgentAndNotTheBoot(t *testing.T) {
	c := fakeHost(t, nil)
	m := NewMemory[roll.Roll](c, "roll", "boot-1")
	if r, ok, err := m.Load(); ok || err != nil {
		t.Fatalf("Load() of nothing = %v, %v, %v", r, ok, err)
	}
	for serial := range int64(3) {
		if err := m.Store(sampleRoll(serial + 1)); err != nil {
			t.Fatal(err)
		}
	}
	got, ok, err := NewMemory[roll.Roll](c, "roll", "boot-1").Load()
	if err != nil || !ok {
		t.Fatalf("Load() = %v, %v", ok, err)
	}
	if d := cmp.Diff(sampleRoll(3), got); d != "" {
		t.Errorf("remembered roll (-stored +loaded):\n%s", d)
	}
	if r, ok, err := NewMemory[roll.Roll](c, "roll", "boot-2").Load(); ok || err != nil {
		t.Errorf("the next boot remembers %v, %v, %v", r, ok, err)
	}
	left, err := filepath.Glob(c.path(c.Run, "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("run directory holds %v, %v; want one file", left, err)
	}
}

func TestMemoryOfEmptyLists(t *testing.T) {
	m := NewMemory[roll.Roll](fakeHost(t, nil), "roll", "boot-1")
	r := roll.Roll{History: "h", Serial: 1, Epochs: []roll.Epoch{}, Entries: nil}
	if err := m.Store(r); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := m.Load(); !ok || err != nil {
		t.Errorf("Load() = %v, %v", ok, err)
	}
}

// A memory counts whole or not at all: a roll that lost an entry would permit
// a withheld boot.
func TestDamagedMemoryIsNone(t *testing.T) {
	tests := []struct {
		name string
		bend func(text string) string
	}{
		{"empty", func(string) string { return "" }},
		{"truncated", func(s string) string { return s[:len(s)-2] }},
		{"entries gone", func(s string) string {
			from := strings.Index(s, `,"Entries"`)
			to := from + strings.Index(s[from:], "]") + 1
			return s[:from] + s[to:]
		}},
		{"field of another version", func(s string) string { return strings.Replace(s, `"Serial"`, `"Number":1,"Serial"`, 1) }},
		{"field said twice", func(s string) string { return strings.Replace(s, `"Serial"`, `"Serial":1,"Serial"`, 1) }},
		{"serial 0", func(s string) string { return strings.Replace(s, `"Serial":3`, `"Serial":0`, 1) }},
		{"no boot", func(s string) string { return strings.Replace(s, `"boot-1"`, `""`, 1) }},
		{"more behind it", func(s string) string { return s + s }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := fakeHost(t, nil)
			m := NewMemory[roll.Roll](c, "roll", "boot-1")
			if err := m.Store(sampleRoll(3)); err != nil {
				t.Fatal(err)
			}
			path := c.path(c.Run, "roll.json")
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			bent := tt.bend(string(text))
			if bent == string(text) {
				t.Fatal("the test changes nothing")
			}
			if err := os.WriteFile(path, []byte(bent), 0o600); err != nil {
				t.Fatal(err)
			}
			if r, ok, err := m.Load(); ok || err == nil {
				t.Errorf("Load() = %v, %v, %v; want an error", r, ok, err)
			}
			if err := m.Store(sampleRoll(4)); err != nil {
				t.Errorf("Store() over a damaged memory: %v", err)
			}
		})
	}
}

func TestMemorySaysThatItCannotStore(t *testing.T) {
	c := fakeHost(t, map[string]string{"run/picket": "a file in the way"})
	if err := NewMemory[roll.Roll](c, "roll", "boot-1").Store(sampleRoll(1)); err == nil {
		t.Error("Store() into a file has no error")
	}
}

func FuzzParseMemory(f *testing.F) {
	c := fakeHost(f, nil)
	if err := NewMemory[roll.Roll](c, "roll", "boot-1").Store(sampleRoll(3)); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(c.path(c.Run, "roll.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"Boot":"boot-1","Roll":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, ok, err := parseMemory[roll.Roll](data, "boot-1")
		if ok && (err != nil || r.Validate() != nil) {
			t.Errorf("accepted %q: %v, %v", data, err, r.Validate())
		}
	})
}

package dm

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// text writes targets as the kernel does.
func text(words ...string) []byte {
	var all []byte
	for i := 0; i < len(words); i += 2 {
		spec := make([]byte, specSize, specSize+len(words[i+1])+8)
		copy(spec[24:], words[i])
		spec = append(append(spec, words[i+1]...), 0)
		spec = append(spec, make([]byte, (8-len(spec)%8)%8)...)
		binary.NativeEndian.PutUint32(spec[20:], uint32(len(all)+len(spec)))
		all = append(all, spec...)
	}
	return all
}

func TestParseTable(t *testing.T) {
	buffer := append(make([]byte, headerSize), text("linear", "8:16 0", "error", "", "multipath", "1 queue_if_no_path 0")...)
	got, err := parseTable(buffer, headerSize, 3)
	if err != nil {
		t.Fatal(err)
	}
	want := []Target{{"linear", "8:16 0"}, {"error", ""}, {"multipath", "1 queue_if_no_path 0"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("targets (-want +got):\n%s", d)
	}
	for name, try := range map[string]struct{ start, count int }{
		"too many":  {headerSize, 5},
		"too late":  {len(buffer), 1},
		"too early": {-1, 1},
	} {
		if got, err := parseTable(buffer, try.start, try.count); err == nil {
			t.Errorf("%s: parseTable() = %v, want an error", name, got)
		}
	}
}

func TestErrorTable(t *testing.T) {
	got, err := parseTable(append(make([]byte, headerSize), errorTable(2048)...), headerSize, 1)
	if d := cmp.Diff([]Target{{Kind: "error"}}, got); d != "" || err != nil {
		t.Errorf("targets (-want +got), %v:\n%s", err, d)
	}
	if n := binary.NativeEndian.Uint64(errorTable(2048)[8:]); n != 2048 {
		t.Errorf("it has %d sectors", n)
	}
}

// What is no control device says so.
func TestNoControl(t *testing.T) {
	if _, err := Open("/nonexistent/control"); !os.IsNotExist(err) {
		t.Errorf("Open() = %v", err)
	}
	path := filepath.Join(t.TempDir(), "control")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, table := c.Table(253, 0)
	for what, err := range map[string]error{"read table": table, "load error table": c.Wipe(253, 0, 8), "remove": c.Remove(253, 0), "tell": c.Tell(253, 0, "x")} {
		if err == nil || !strings.HasPrefix(err.Error(), what) || !strings.Contains(err.Error(), "253:0") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// FuzzTable reads what device-mapper writes, and what it never would.
func FuzzTable(f *testing.F) {
	f.Add(text("crypt", "secret key", "linear", "8:16 0"), 0, 2)
	f.Add(text("multipath", "1 queue_if_no_path 0 1 1"), 0, 1)
	f.Add([]byte{1, 2, 3}, -5, 1<<30)
	f.Fuzz(func(t *testing.T, buffer []byte, start, count int) {
		targets, err := parseTable(buffer, start, count)
		if err == nil && count > 0 && len(targets) != count {
			t.Errorf("%d targets of %d", len(targets), count)
		}
	})
}

package workload

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// blank makes a file that stands for a raw device.
func blank(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "device")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, StainAt+8*slot); err != nil {
		t.Fatal(err)
	}
	return path
}

// write appends records of a node to a device, and returns how many it found.
func write(t *testing.T, path, node string, records int) int {
	t.Helper()
	j, found, err := openDevice(path)
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	for range records {
		if err := j.append(Record{Node: node, Boot: "boot-of-" + node}); err != nil {
			t.Fatal(err)
		}
	}
	return len(found.Records)
}

func TestRecordsOnADevice(t *testing.T) {
	path := blank(t)
	if found := write(t, path, "a", 3); found != 0 {
		t.Errorf("a blank device holds %d records", found)
	}
	if found := write(t, path, "b", 2); found != 3 {
		t.Errorf("the second writer found %d records, want 3", found)
	}
	device, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	contents, err := ReadDevice(device)
	if err != nil || contents.Torn != 0 {
		t.Fatalf("read %d torn bytes, %v", contents.Torn, err)
	}
	var nodes []string
	for _, r := range contents.Records {
		nodes = append(nodes, r.Node)
	}
	if diff := cmp.Diff([]string{"a", "a", "a", "b", "b"}, nodes); diff != "" {
		t.Error(diff)
	}
}

// A slot that was written back late shows an old record where a new one was.
func TestDeviceWithALateWrite(t *testing.T) {
	path := blank(t)
	write(t, path, "a", 4)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy(text[slot:2*slot], text[2*slot:3*slot])
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := openDevice(path); !errors.Is(err, errDamaged) {
		t.Errorf("open = %v, want %v", err, errDamaged)
	}
}

func TestStain(t *testing.T) {
	for _, raw := range []bool{false, true} {
		path := blank(t)
		j := &journal{slotted: raw}
		for _, node := range []string{"a", "b"} {
			w := Writer{Node: node, Boot: "boot-of-" + node, Run: "r"}
			s, err := openStain(j, path, 8*slot, w)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.claim(); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := s.keep(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("keep = %v", err)
			}
		}
		from := path
		if !raw {
			from = StainOf(path)
		}
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if raw {
			text = text[StainAt:]
		}
		copy(text[slot:], "stain a boot-of-a r\n") // what comes back late
		found, err := Stains(bytes.NewReader(text))
		if diff := cmp.Diff(map[string]int{"boot-of-b": 7, "boot-of-a": 1}, found); err != nil || diff != "" {
			t.Errorf("raw %v: %v %s", raw, err, diff)
		}
	}
	if found, err := Stains(strings.NewReader(strings.Repeat("\x00", slot))); err != nil || found[""] != 1 {
		t.Errorf("an empty page is %v, %v", found, err)
	}
}

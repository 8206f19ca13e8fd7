package host

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

type note struct {
	Text string `json:"text"`
}

func (n note) Validate() error {
	if n.Text == "bad" {
		return errors.New("it is bad")
	}
	return nil
}

func TestDiskOutlivesTheBoot(t *testing.T) {
	c := Config{Root: t.TempDir(), State: "var/lib/picket"}
	d := NewDisk[note](c, "selftest")
	if got, err := d.Load(); err != nil || got != (note{}) {
		t.Errorf("nothing stored: %v, %v", got, err)
	}
	for _, text := range []string{"one", "two"} {
		if err := d.Store(note{Text: text}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := NewDisk[note](c, "selftest").Load(); err != nil || got.Text != "two" {
		t.Errorf("%v, %v", got, err)
	}
	path := filepath.Join(c.Root, "var/lib/picket/selftest.json")
	for _, damage := range []string{`{"text":"bad"}`, `{"text":`, ``} {
		if err := os.WriteFile(path, []byte(damage), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := d.Load(); err == nil || got != (note{}) {
			t.Errorf("%q: %v, %v", damage, got, err)
		}
	}
	if err := os.WriteFile(path, []byte(`{"text":"x","newer":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Load(); err != nil || got.Text != "x" {
		t.Errorf("a newer version's file: %v, %v", got, err)
	}
}

func TestKernelRelease(t *testing.T) {
	c := Config{Root: t.TempDir()}
	if got := KernelRelease(c); got != "" {
		t.Errorf("%q of no kernel", got)
	}
	dir := filepath.Join(c.Root, "proc/sys/kernel")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "osrelease"), []byte("6.1.0-43-amd64\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := KernelRelease(c); got != "6.1.0-43-amd64" {
		t.Errorf("%q", got)
	}
}

package host

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

func TestPlace(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 10_000) // longer than what is compared at once
	for _, test := range []struct {
		name    string
		before  func(t *testing.T, path string)
		content string
		changed bool
	}{
		{"nothing there", func(*testing.T, string) {}, "new", true},
		{"no directory", func(t *testing.T, path string) { must(t, os.Remove(filepath.Dir(path))) }, "new", true},
		{"the same", file("new", 0o755), "new", false},
		{"the same, long", file(long, 0o755), long, false},
		{"the same, empty", file("", 0o755), "", false},
		{"exactly as much as is compared at once", file(long[:64<<10], 0o755), long[:64<<10], false},
		{"other content", file("old", 0o755), "new", true},
		{"other end", file(long+"x", 0o755), long + "y", true},
		{"more than wanted", file(long+"x", 0o755), long, true},
		{"more by what is compared at once", file(long[:128<<10], 0o755), long[:64<<10], true},
		{"less than wanted", file(long[:64<<10], 0o755), long, true},
		{"other mode", file("new", 0o644), "new", true},
		{"unreadable", file("new", 0o000), "new", true},
		{"a link to the same", func(t *testing.T, path string) {
			file("new", 0o755)(t, path+".target")
			must(t, os.Symlink(path+".target", path))
		}, "new", true},
		{"a dangling link, as of a unit that is masked", func(t *testing.T, path string) { must(t, os.Symlink("/nonexistent", path)) }, "new", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "picket")
			must(t, os.Mkdir(dir, 0o700))
			path := filepath.Join(dir, "picket-agent")
			test.before(t, path)
			for _, changes := range []bool{test.changed, false} {
				changed, err := Place(path, strings.NewReader(test.content), 0o755)
				if changed != changes || err != nil {
					t.Fatalf("Place() = %v, %v; want %v", changed, err, changes)
				}
			}
			info, err := os.Lstat(path)
			must(t, err)
			text, err := os.ReadFile(path)
			must(t, err)
			if string(text) != test.content || info.Mode() != 0o755 {
				t.Errorf("holds %.20q with mode %v", text, info.Mode())
			}
			if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// Whoever has the old file open, as one that executes it, keeps it.
func TestPlaceLeavesTheOldFileToItsReaders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "picket-agent")
	file("old", 0o755)(t, path)
	old, err := os.Open(path)
	must(t, err)
	defer old.Close()
	if _, err := Place(path, strings.NewReader("new"), 0o755); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(old); string(text) != "old" || err != nil {
		t.Errorf("the old file holds %q, %v", text, err)
	}
}

func TestPlaceSaysWhatIsInTheWay(t *testing.T) {
	dir := t.TempDir()
	file("a file", 0o644)(t, filepath.Join(dir, "file"))
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		path    string
		content io.ReadSeeker
		want    error
	}{
		"a file for a directory": {filepath.Join(dir, "file", "x"), strings.NewReader("new"), nil},
		"a directory for a file": {dir, strings.NewReader("new"), fs.ErrExist},
		"content that breaks": {filepath.Join(dir, "y"), struct {
			io.Reader
			io.Seeker
		}{iotest.ErrReader(broken), bytes.NewReader(nil)}, broken},
	} {
		t.Run(name, func(t *testing.T) {
			changed, err := Place(test.path, test.content, 0o755)
			if changed || err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("Place() = %v, %v", changed, err)
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(test.path), ".*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func file(text string, mode fs.FileMode) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		t.Helper()
		must(t, os.WriteFile(path, []byte(text), 0o600))
		must(t, os.Chmod(path, mode))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

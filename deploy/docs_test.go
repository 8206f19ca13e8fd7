package deploy

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	testFunc = regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9_]+)\(`)
	testName = regexp.MustCompile("`(Test[A-Za-z0-9_]+)`")
	link     = regexp.MustCompile(`\]\(([^)#]+)(?:#[^)]*)?\)`)
)

// A document that says which test holds something, or where to read on, names what
// there is.
func TestDocumentsNameWhatThereIs(t *testing.T) {
	tests := make(map[string]bool)
	err := filepath.WalkDir("..", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range testFunc.FindAllStringSubmatch(string(text), -1) {
			tests[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	names, links := 0, 0
	for _, doc := range []string{"README.md", "RUNBOOK.md", "SECURITY.md", "COMPARISON.md", "PARTITION.md", "../README.md", "../CONTRIBUTING.md", "../test/lab/README.md"} {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testName.FindAllStringSubmatch(string(text), -1) {
			names++
			if !tests[m[1]] {
				t.Errorf("%s names %s, and there is no such test", doc, m[1])
			}
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			links++
			if _, err := os.Stat(filepath.Join(filepath.Dir(doc), m[1])); err != nil {
				t.Errorf("%s leads to %s: %v", doc, m[1], err)
			}
		}
	}
	if names < 4 || links < 20 {
		t.Errorf("only %d names of tests and %d links found: are documents still written that way?", names, links)
	}
}

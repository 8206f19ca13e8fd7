package test

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// PROTOCOL.md argues by numbered claims, and says in a table what checks each.
var (
	claim   = regexp.MustCompile(`(?m)^\*\*Claim (\d+)`)
	checked = regexp.MustCompile(`(?m)^\| (\d+) \|(.*)$`)
	quoted  = regexp.MustCompile("`([^`]+)`")
)

func TestEveryClaimIsChecked(t *testing.T) {
	text, err := os.ReadFile("../proto/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "## 14 What checks what")
	if !found {
		t.Fatal("PROTOCOL.md does not say what checks what")
	}
	columns := [3]string{"model", "mutants", "tests"}
	names := map[string]map[string]bool{
		"model":   namesIn(t, "model/cases.go", `"((?:[a-z]+-?[a-z0-9-]*))"`),
		"mutants": namesIn(t, "mutants/mutant.go", `name: "([^"]+)"`),
		"tests":   tests(t),
	}
	rows := make(map[string]bool)
	for _, row := range checked.FindAllStringSubmatch(table, -1) {
		rows[row[1]] = true
		cells := strings.Split(strings.TrimSuffix(row[2], "|"), "|")
		if len(cells) != len(columns) {
			t.Errorf("claim %s: the row has %d cells, want %d", row[1], len(cells), len(columns))
			continue
		}
		checks := 0
		for i, cell := range cells {
			for _, name := range quoted.FindAllStringSubmatch(cell, -1) {
				if checks++; !names[columns[i]][name[1]] {
					t.Errorf("claim %s: there is no %q among the %s", row[1], name[1], columns[i])
				}
			}
		}
		if checks == 0 {
			t.Errorf("claim %s: nothing checks it", row[1])
		}
	}
	claims := make(map[string]bool)
	for _, m := range claim.FindAllStringSubmatch(string(text), -1) {
		claims[m[1]] = true
		if !rows[m[1]] {
			t.Errorf("claim %s is not in the table", m[1])
		}
	}
	if len(claims) == 0 || len(rows) != len(claims) {
		t.Errorf("%d claims, %d rows", len(claims), len(rows))
	}
}

// Each rule has a test that carries its number.
func TestEveryRuleHasATest(t *testing.T) {
	all := slices.Collect(maps.Keys(tests(t)))
	text, err := os.ReadFile("../proto/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	rules := regexp.MustCompile(`(?m)^\| ([AC]\d+) \|`).FindAllStringSubmatch(string(text), -1)
	if len(rules) == 0 {
		t.Fatal("PROTOCOL.md has no rules")
	}
	for _, rule := range rules {
		carries := regexp.MustCompile("^Test(?:[A-Z]\\d+)*" + rule[1] + `(\D|$)`)
		if !slices.ContainsFunc(all, carries.MatchString) {
			t.Errorf("no test carries %s in its name", rule[1])
		}
	}
}

// tests returns the names of all tests of the tree.
func tests(t *testing.T) map[string]bool {
	t.Helper()
	all := make(map[string]bool)
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		maps.Copy(all, namesIn(t, path, `func (Test\w+)\(`))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// namesIn returns what a pattern's group matches in a file.
func namesIn(t *testing.T, file, pattern string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]bool)
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
		all[m[1]] = true
	}
	return all
}

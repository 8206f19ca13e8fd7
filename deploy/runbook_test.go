package deploy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestRunbookKnowsEveryWord holds the runbook to the source: each word by which
// Picket tells people something has an entry, and each entry is about a word
// that Picket still says.
func TestRunbookKnowsEveryWord(t *testing.T) {
	said := words(t)
	if len(said) < 50 {
		t.Fatalf("only %d words found: does the search still know how Picket speaks?", len(said))
	}
	for _, a := range alerts(t) {
		said[a.Alert] = "monitoring/alerts.yaml"
	}
	entries := runbook(t)
	for _, word := range slices.Sorted(maps.Keys(said)) {
		body, ok := entries[word]
		if !ok {
			t.Errorf("RUNBOOK.md has no entry %q, which %s says", word, said[word])
			continue
		}
		for _, part := range []string{"**Means**", "**Do**"} {
			if !strings.Contains(body, part) {
				t.Errorf("the entry %q has no %s", word, part)
			}
		}
	}
	for name := range entries {
		if said[name] == "" {
			t.Errorf("RUNBOOK.md explains %q, which nothing says any more", name)
		}
	}
}

// runbook returns the entries of the runbook, by their words.
func runbook(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("RUNBOOK.md")
	if err != nil {
		t.Fatal(err)
	}
	entries := make(map[string]string)
	sections := strings.Split(string(text), "\n### ")
	for _, s := range sections[1:] {
		name, body, _ := strings.Cut(s, "\n")
		body, _, _ = strings.Cut(body, "\n## ")
		entries[strings.Trim(name, "`")] = body
	}
	return entries
}

var (
	oneWord   = regexp.MustCompile(`^[A-Z][A-Za-z]+$`)
	firstWord = regexp.MustCompile(`^([A-Z][A-Za-z]+): `)
)

// words returns what Picket says in one word, with a place that says it:
//
//   - constants of a type named Reason, and those named Condition… or Reason…
//   - constants of a type named ID: what the doctors find
//   - the phases of a fence, which are also events and the reasons of conditions
//   - the reasons of events and conditions
//   - what blocks a fence, which stands before a colon
//   - what the controller's unarmed tells a node
func words(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, dir := range []string{"../agent", "../controller", "../proto/api/v1alpha1"} {
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			plans := strings.HasPrefix(path, "../controller/plan/")
			ast.Inspect(file, func(n ast.Node) bool {
				for _, w := range spoken(n, plans) {
					all[w] = path
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// spoken returns the words of one node of the source.
func spoken(n ast.Node, plans bool) (all []string) {
	add := func(e ast.Expr) {
		if w := literal(e); oneWord.MatchString(w) {
			all = append(all, w)
		}
	}
	switch n := n.(type) {
	case *ast.ValueSpec:
		typed := strings.HasSuffix(name(n.Type), "Reason") || name(n.Type) == "NodeFencePhase" || name(n.Type) == "ID"
		for i, v := range n.Values {
			called := n.Names[i].Name
			if typed || strings.HasPrefix(called, "Condition") || strings.HasPrefix(strings.ToLower(called), "reason") {
				add(v)
			}
		}
	case *ast.CallExpr:
		if f := name(n.Fun); f == "event" || f == "Event" {
			for _, arg := range n.Args {
				if !strings.HasPrefix(literal(arg), "EventType") {
					add(arg)
				}
			}
		}
	case *ast.KeyValueExpr:
		if name(n.Key) == "Reason" {
			add(n.Value)
		}
	case *ast.AssignStmt:
		for i, l := range n.Lhs {
			if name(l) == "Reason" && len(n.Rhs) == len(n.Lhs) {
				add(n.Rhs[i])
			}
		}
	case *ast.FuncDecl:
		if plans && n.Name.Name == "unarmed" {
			ast.Inspect(n, func(n ast.Node) bool {
				if r, ok := n.(*ast.ReturnStmt); ok {
					add(r.Results[0])
				}
				return true
			})
		}
	case *ast.BasicLit:
		if w := firstWord.FindStringSubmatch(literal(n)); plans && w != nil {
			all = append(all, w[1])
		}
	}
	return all
}

// name is the last part of a name.
func name(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// literal is the value of a string literal, or nothing.
func literal(e ast.Expr) string {
	if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
		if s, err := strconv.Unquote(l.Value); err == nil {
			return s
		}
	}
	return ""
}

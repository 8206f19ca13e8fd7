// Package test holds Picket to its architecture: which package may import
// which, and what the pure cores must not do. It reads the source as text, all
// files whatever their build constraints, and so works on a tree that does not
// compile. It refuses to know exceptions: a rule that is wrong is changed here.
package test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the import path of the tree above this directory.
const module = "github.com/picket-dev/picket"

// pure lists the packages that decide without touching the world. All of them
// must exist: deleting one here is a decision, losing one is an accident.
var pure = []string{
	"agent/decide",
	"agent/teardown",
	"controller/plan",
	"controller/topology",
	"proto/matrix",
	"proto/roll",
	"proto/timing",
}

// clean lists what a pure package may import: the two vocabularies, the graph
// that the controller's core plans with (pure itself), and the part of the
// standard library that computes and does nothing else.
var clean = []string{
	module + "/proto/roll",
	module + "/proto/timing",
	module + "/controller/topology",

	"bytes", "cmp", "container/heap", "crypto/sha256", "crypto/sha512",
	"encoding/binary", "encoding/hex", "encoding/json", "errors", "fmt",
	"hash/fnv", "iter", "maps", "math", "math/bits", "net/netip", "path",
	"reflect", "regexp", "slices", "sort", "strconv", "strings", "time", "unicode",
	"unicode/utf8",
}

// impure lists what clean packages offer nevertheless: clocks, timers, files
// and the process's own input and output.
var impure = map[string][]string{
	"time": {
		"After", "AfterFunc", "LoadLocation", "Local", "NewTicker", "NewTimer",
		"Now", "Since", "Sleep", "Tick", "Until",
	},
	"fmt": {"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"},
}

// card names the libraries that Picket is built on, and where each belongs. A
// library that nothing imports there was written again by hand.
var card = map[string][]string{
	"github.com/coreos/go-systemd/v22": {"systemd"},
	"github.com/mdlayher/watchdog":     {"agent/holder"},
	"github.com/vishvananda/netlink":   {"agent/internal/link"},
	"google.golang.org/grpc":           {"agent/internal/peer"},
	"k8s.io/client-go":                 {"agent/internal/kube", "controller/internal/kube"},
	"k8s.io/mount-utils":               {"agent/internal"},
}

func TestPurePackagesOnlyCompute(t *testing.T) {
	tree := readTree(t)
	for _, dir := range pure {
		t.Run(dir, func(t *testing.T) {
			files := tree.product[dir]
			if len(files) == 0 {
				t.Fatalf("no Go files in %s", dir)
			}
			for _, f := range files {
				for _, imported := range f.imports() {
					if !slices.Contains(clean, imported) {
						t.Errorf("%s imports %q, which is not known to be clean", f.name, imported)
					}
				}
				for _, deed := range f.deeds(t) {
					t.Errorf("%s: a pure package does not %s", deed.at, deed.what)
				}
			}
		})
	}
}

// TestImports checks what may not be imported, not even by way of another
// package of the tree. Test files count by what they import themselves.
func TestImports(t *testing.T) {
	tree := readTree(t)
	tests := []struct {
		name   string
		from   string   // a directory of the tree, with those below it
		except string   // and without those below this one
		to     []string // import paths, with those below them
	}{
		{name: "agent without controller", from: "agent", to: []string{module + "/controller"}},
		{name: "controller without agent", from: "controller", to: []string{module + "/agent"}},
		{name: "proto below both", from: "proto", to: []string{module + "/agent", module + "/controller", module + "/systemd"}},
		{name: "systemd below both", from: "systemd", to: []string{module + "/agent", module + "/controller"}},
		{name: "small holder", from: "agent/holder", to: []string{"k8s.io", "sigs.k8s.io", "google.golang.org/grpc", "github.com/godbus", "github.com/coreos/go-systemd/v22/dbus"}},
		{name: "nothing imports test", from: ".", except: "test", to: []string{module + "/test"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, dir := range tree.dirs() {
				if !within(dir, tt.from) || tt.except != "" && within(dir, tt.except) {
					continue
				}
				for _, to := range tt.to {
					if chain := tree.chain(dir, to); chain != nil {
						t.Errorf("imports %s: %s", to, strings.Join(chain, " → "))
					}
				}
			}
		})
	}
}

func TestCardIsUsed(t *testing.T) {
	tree := readTree(t)
	for library, places := range card {
		for _, place := range places {
			t.Run(library+" in "+place, func(t *testing.T) {
				if !tree.imports(place, library) {
					t.Errorf("no product code in %s imports %s", place, library)
				}
			})
		}
	}
}

// A tree is the module's source, parsed, by directory relative to its root.
type tree struct {
	product map[string][]file
	tests   map[string][]file
}

type file struct {
	name   string // relative to the module's root
	set    *token.FileSet
	syntax *ast.File
}

// readTree parses every Go file of the module; nested modules, testdata and
// hidden directories are not part of it.
func readTree(t *testing.T) tree {
	t.Helper()
	root := ".."
	tr := tree{product: map[string][]file{}, tests: map[string][]file{}}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if p != root && foreign(p) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(p) != ".go" {
			return nil
		}
		f := file{set: token.NewFileSet()}
		if f.name, err = filepath.Rel(root, p); err != nil {
			return err
		}
		if f.syntax, err = parser.ParseFile(f.set, p, nil, parser.SkipObjectResolution); err != nil {
			return err
		}
		into := tr.product
		if strings.HasSuffix(p, "_test.go") {
			into = tr.tests
		}
		dir := filepath.Dir(f.name)
		into[dir] = append(into[dir], f)
		return nil
	})
	if err != nil {
		t.Fatalf("read the module: %v", err)
	}
	return tr
}

// foreign reports whether the directory is none of the module's packages.
func foreign(dir string) bool {
	name := filepath.Base(dir)
	if name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// dirs returns the directories that hold Go files, in order.
func (tr tree) dirs() []string {
	var dirs []string
	for dir := range tr.product {
		dirs = append(dirs, dir)
	}
	for dir := range tr.tests {
		dirs = append(dirs, dir)
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// imports reports whether product code in dir, or below, imports the library.
func (tr tree) imports(dir, library string) bool {
	for d, files := range tr.product {
		if !within(d, dir) {
			continue
		}
		for _, f := range files {
			if slices.ContainsFunc(f.imports(), func(p string) bool { return within(p, library) }) {
				return true
			}
		}
	}
	return false
}

// chain returns the shortest way by which dir imports the path to, or one below
// it: through its product and test files first, then through product files of
// the tree. It returns nil where there is none.
func (tr tree) chain(dir, to string) []string {
	type step struct {
		chain []string
		files []file
	}
	seen := map[string]bool{dir: true}
	for queue := []step{{[]string{dir}, slices.Concat(tr.product[dir], tr.tests[dir])}}; len(queue) > 0; queue = queue[1:] {
		for _, f := range queue[0].files {
			for _, imported := range f.imports() {
				chain := append(slices.Clone(queue[0].chain), strings.TrimPrefix(imported, module+"/"))
				if within(imported, to) {
					return chain
				}
				next, ours := strings.CutPrefix(imported, module+"/")
				if ours && !seen[next] {
					seen[next] = true
					queue = append(queue, step{chain, tr.product[next]})
				}
			}
		}
	}
	return nil
}

// within reports whether the slash-separated path p is dir, or below it.
func within(p, dir string) bool {
	return dir == "." || p == dir || strings.HasPrefix(p, dir+"/")
}

// imports returns the paths that the file imports.
func (f file) imports() []string {
	var paths []string
	for _, spec := range f.syntax.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			panic(fmt.Sprintf("%s: the parser let %s through", f.name, spec.Path.Value))
		}
		paths = append(paths, p)
	}
	return paths
}

// A deed is something that code does to the world, or to time.
type deed struct {
	at   token.Position
	what string
}

// deeds returns what a pure file must not do: start goroutines, and name a
// clock, a timer or the process's input and output, be it called or passed on.
func (f file) deeds(t *testing.T) []deed {
	t.Helper()
	names := map[string]string{} // as the file calls it → import path
	for i, p := range f.imports() {
		name := path.Base(p)
		if alias := f.syntax.Imports[i].Name; alias != nil {
			name = alias.Name
		}
		if name == "." {
			t.Errorf("%s: a dot import of %q hides what is used", f.name, p)
		}
		names[name] = p
	}
	var found []deed
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, deed{f.set.Position(n.Pos()), "start a goroutine"})
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if ok && slices.Contains(impure[names[x.Name]], n.Sel.Name) {
				found = append(found, deed{f.set.Position(n.Pos()), fmt.Sprintf("use %s.%s", names[x.Name], n.Sel.Name)})
			}
		}
		return true
	})
	return found
}

package block

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/picket-dev/picket/agent/teardown"
)

// filesRequest asks for files of the host.
type filesRequest struct {
	Root string
	// Kubelet are the directories of which to find out where they really are.
	Kubelet []string
	// Patterns are those of path.Match, as the host names files; one that begins
	// with {kubelet} counts below each of those. One that ends with a slash asks
	// for the names of directories.
	Patterns []string
	// Avoid are mount points of volumes, which are not entered.
	Avoid []string
}

// filesAnswer is what a child found; errors are text, since they travel.
type filesAnswer struct {
	Roots   []string // the kubelet's, and where those that are links lead
	Files   []file
	Unknown []teardown.Unknown
}

// A file is one that matched; of a directory there is only the path.
type file struct {
	Path string
	Text []byte
}

// Limits of what a child reads: far above what a node has, and below what would
// hurt it.
const (
	mostText  = 1 << 20  // bytes of one file
	mostTotal = 32 << 20 // bytes of all
)

// A gatherer reads files below a root.
type gatherer struct {
	prefix string
	avoid  map[string]bool
	total  int
	answer filesAnswer
}

func readFiles(r filesRequest) (filesAnswer, error) {
	prefix, err := enter(r.Root)
	if err != nil {
		return filesAnswer{}, err
	}
	g := gatherer{prefix: prefix, avoid: make(map[string]bool)}
	for _, p := range r.Avoid {
		g.avoid[p] = true
	}
	var roots []string
	for _, dir := range r.Kubelet {
		if dir = g.root(dir); !slices.Contains(roots, dir) {
			roots = append(roots, dir)
		}
	}
	if !slices.ContainsFunc(roots, func(dir string) bool { _, err := os.Stat(prefix + dir); return !errors.Is(err, os.ErrNotExist) }) {
		g.note("the kubelet's directories", fmt.Errorf("none is at %s (agent.kubeletRoots)", strings.Join(r.Kubelet, ", ")))
	}
	for _, p := range r.Patterns {
		below, ok := strings.CutPrefix(p, "{kubelet}")
		if !ok {
			g.match("/", p)
			continue
		}
		for _, dir := range roots {
			g.match(dir, below)
		}
	}
	return g.answer, nil
}

// root notes a root directory of the kubelet as the mount tables show it, and
// returns it.
func (g *gatherer) root(dir string) string {
	g.addRoot(dir)
	target, err := filepath.EvalSymlinks(g.prefix + dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return dir
	case err != nil:
		g.note(dir, err)
		return dir
	}
	target = path.Clean("/" + strings.TrimPrefix(target, g.prefix))
	g.addRoot(target)
	return target
}

func (g *gatherer) addRoot(dir string) {
	if !slices.Contains(g.answer.Roots, dir) {
		g.answer.Roots = append(g.answer.Roots, dir)
	}
}

func (g *gatherer) note(what string, why error) {
	g.answer.Unknown = append(g.answer.Unknown, teardown.Unknown{What: what, Why: why.Error()})
}

// match reads what matches a pattern below dir. It asks directories for names
// only, and never looks at what has a mount of a volume on it.
func (g *gatherer) match(dir, pattern string) {
	if dir != "/" && g.avoid[dir] {
		return
	}
	first, rest, more := strings.Cut(strings.TrimPrefix(pattern, "/"), "/")
	if !strings.ContainsAny(first, "*?[") {
		next := path.Join(dir, first)
		if more && rest != "" {
			g.match(next, rest)
		} else if !g.avoid[next] {
			g.take(next, more)
		}
		return
	}
	entries, err := os.ReadDir(g.prefix + dir)
	if err != nil {
		if !gone(err) {
			g.note(dir, err)
		}
		return
	}
	for _, e := range entries {
		next := path.Join(dir, e.Name())
		if ok, err := path.Match(first, e.Name()); !ok || err != nil || g.avoid[next] && (rest != "" || !more) {
			continue
		}
		switch {
		case more && rest != "":
			g.match(next, rest)
		case more && e.IsDir():
			g.answer.Files = append(g.answer.Files, file{Path: next})
		case !more && !e.IsDir():
			g.take(next, false)
		}
	}
}

// take reads one file.
func (g *gatherer) take(p string, dir bool) {
	f, err := os.OpenFile(g.prefix+p, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		if !gone(err) {
			g.note(p, err)
		}
		return
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		g.note(p, err)
		return
	case info.IsDir():
		if dir {
			g.answer.Files = append(g.answer.Files, file{Path: p})
		}
		return
	case !info.Mode().IsRegular():
		g.note(p, fmt.Errorf("it is no file: %v", info.Mode()))
		return
	}
	text, err := io.ReadAll(io.LimitReader(f, mostText+1))
	g.total += len(text)
	switch {
	case err != nil:
		g.note(p, err)
	case len(text) > mostText:
		g.note(p, fmt.Errorf("it is longer than %d bytes", mostText))
	case g.total > mostTotal:
		g.note(p, fmt.Errorf("all files together are longer than %d bytes", mostTotal))
	default:
		g.answer.Files = append(g.answer.Files, file{Path: p, Text: text})
	}
}

package host

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree returns the paths of all files below the directory, and of empty
// directories.
func tree(t *testing.T, root string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if e.IsDir() {
			rel += "/"
		}
		all = append(all, rel)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

func fill(t *testing.T, root string, files ...string) {
	t.Helper()
	for _, f := range files {
		path := filepath.Join(root, f)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Picket's own directories go with all that is in them, and nothing beside them,
// nor what a link in them leads to.
func TestVacateTakesWhatIsPickets(t *testing.T) {
	root := t.TempDir()
	fill(t, root, "run/picket/peer.key", "run/picket/deep/er", "var/lib/picket/picket-holder", "run/other", "var/lib/kubelet/x", "etc/picket/unarmed")
	if err := os.Symlink("../../var/lib/kubelet", filepath.Join(root, "run/picket/link")); err != nil {
		t.Fatal(err)
	}
	c := Default()
	c.Root = root
	for range 2 { // nothing is left to do the second time
		if err := Vacate(c); err != nil {
			t.Error(err)
		}
		want := []string{"etc/", "etc/picket/", "etc/picket/unarmed", "run/", "run/other", "var/", "var/lib/", "var/lib/kubelet/", "var/lib/kubelet/x"}
		if d := cmp.Diff(want, tree(t, root)); d != "" {
			t.Error(d)
		}
	}
}

// What a holder of somebody else's has there stays.
func TestVacateKeepsWhatIsSomebodyElses(t *testing.T) {
	root := t.TempDir()
	fill(t, root, "run/picket/peer.key", "run/picket/marker", "var/lib/picket/boots.json")
	c := Default()
	c.Root = root
	if err := Vacate(c, "marker", "holder.sock"); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff([]string{"run/", "run/picket/", "run/picket/marker", "var/", "var/lib/"}, tree(t, root)); d != "" {
		t.Error(d)
	}
}

// A pod sees its directories as mounts; the host has them through process 1.
func TestVacateReachesTheHost(t *testing.T) {
	host, root := t.TempDir(), t.TempDir()
	fill(t, host, "run/picket/peer.key", "var/lib/picket/boots.json")
	fill(t, root, "run/picket/peer.key")
	if err := os.MkdirAll(filepath.Join(root, "proc/1"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(host, filepath.Join(root, "proc/1/root")); err != nil {
		t.Fatal(err)
	}
	c := Default()
	c.Root = root
	if err := Vacate(c); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff([]string{"run/", "var/", "var/lib/"}, tree(t, host)); d != "" {
		t.Error(d)
	}
}

// What is shared with others is never removed, whatever the configuration says.
func TestVacateRefusesWhatIsShared(t *testing.T) {
	for _, dir := range []string{".", "run", "./run", "run/.", "a/..", "../x/y", "/etc/picket", ""} {
		root := t.TempDir()
		fill(t, root, "run/x", "etc/picket/y")
		c := Default()
		c.Root, c.Run, c.State = root, dir, "var/lib/picket"
		if err := Vacate(c); err == nil || !strings.Contains(err.Error(), "no directory of Picket's") {
			t.Errorf("%q: %v", dir, err)
		}
		if got := tree(t, root); len(got) != 5 {
			t.Errorf("%q: left are %v", dir, got)
		}
	}
}

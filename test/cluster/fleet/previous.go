package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ErrNoHistory says that this clone does not hold the previous version.
var ErrNoHistory = errors.New("this clone holds no previous version")

// wire is what agents and controllers of two versions must agree on.
func wire() []string {
	return []string{"proto/peer/v1/peer.proto", "proto/api/v1alpha1/nodeguard_types.go", "proto/api/v1alpha1/roll_types.go"}
}

// mostSteps is how far is gone back to find a commit that builds.
const mostSteps = 10

// BuildPrevious compiles Picket's programs of the version before this one into dir,
// and returns the commit: what $PICKET_PREVIOUS names, or the newest tag before this
// one, or, where there is none, the last commit before what agents and controllers
// say to each other changed.
func BuildPrevious(ctx context.Context, dir string, progress io.Writer) (b Binaries, commit string, err error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return b, "", err
	}
	git := func(args ...string) (string, error) {
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", root}, args...)...).Output()
		return strings.TrimSpace(string(out)), err
	}
	commit = os.Getenv("PICKET_PREVIOUS")
	if commit == "" {
		commit, err = git("describe", "--tags", "--abbrev=0", "HEAD^")
	}
	if err != nil {
		changed, err := git(append([]string{"log", "-1", "--format=%H", "--"}, wire()...)...)
		if err != nil || changed == "" {
			return b, "", ErrNoHistory
		}
		commit = changed + "^"
	}
	var last error
	for range mostSteps {
		if commit, err = git("rev-parse", "--short", "--verify", commit+"^{commit}"); err != nil {
			return b, "", errors.Join(ErrNoHistory, last)
		}
		source := filepath.Join(dir, "source-"+commit)
		if err := export(ctx, root, commit, source); err != nil {
			return b, "", err
		}
		fmt.Fprintln(progress, "the previous version is", commit)
		if b, last = buildIn(ctx, source, filepath.Join(dir, commit), progress); last == nil {
			return b, commit, os.RemoveAll(source)
		}
		commit += "^" // one that does not build alone
	}
	return b, "", last
}

// export writes the files of a commit into a new directory.
func export(ctx context.Context, root, commit, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	archive := filepath.Join(dir, "source.tar")
	for _, argv := range [][]string{
		{"git", "-C", root, "archive", "--output", archive, commit}, {"tar", "-xf", archive, "-C", dir},
	} {
		if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("export %s: %w\n%s", commit, err, out)
		}
	}
	return os.Remove(archive)
}

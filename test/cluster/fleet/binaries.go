package fleet

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Binaries are the paths of Picket's own programs, as the tests run them.
type Binaries struct{ Agent, Holder, Controller string }

// Build compiles Picket's programs into dir. The holder is the one for tests,
// whose watchdog is a file.
func Build(ctx context.Context, dir string, progress io.Writer) (Binaries, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return Binaries{}, err
	}
	return buildIn(ctx, root, dir, progress)
}

// moduleRoot is where this module's source is.
func moduleRoot(ctx context.Context) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return strings.TrimSpace(string(root)), nil
}

// buildIn compiles the programs of the source in root into dir.
func buildIn(ctx context.Context, root, dir string, progress io.Writer) (Binaries, error) {
	b := Binaries{
		Agent:      filepath.Join(dir, "picket-agent"),
		Holder:     filepath.Join(dir, "picket-holder"),
		Controller: filepath.Join(dir, "picket-controller"),
	}
	fmt.Fprintln(progress, "building picket-agent, picket-holder and picket-controller")
	for _, p := range []struct{ out, tags, pkg string }{
		{b.Agent, "", "./agent"}, {b.Holder, "testdevice", "./agent/holder"}, {b.Controller, "", "./controller"},
	} {
		cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-tags", p.tags, "-o", p.out, p.pkg)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return b, fmt.Errorf("build %s: %w\n%s", p.pkg, err, out)
		}
	}
	return b, nil
}

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// binaries are Picket's own programs, as the scenarios run them.
type binaries struct{ agent, holder, controller string }

// build compiles Picket's programs into dir. The holder is the one for tests,
// whose watchdog is a file.
func build(ctx context.Context, dir string, progress io.Writer) (binaries, error) {
	b := binaries{
		agent:      filepath.Join(dir, "picket-agent"),
		holder:     filepath.Join(dir, "picket-holder"),
		controller: filepath.Join(dir, "picket-controller"),
	}
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return b, fmt.Errorf("find the module: %w", err)
	}
	fmt.Fprintln(progress, "building picket-agent, picket-holder and picket-controller")
	for _, p := range []struct{ out, tags, pkg string }{
		{b.agent, "", "./agent"}, {b.holder, "testdevice", "./agent/holder"}, {b.controller, "", "./controller"},
	} {
		cmd := exec.CommandContext(ctx, "go", "build", "-tags", p.tags, "-o", p.out, p.pkg)
		cmd.Dir = strings.TrimSpace(string(root))
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return b, fmt.Errorf("build %s: %w\n%s", p.pkg, err, out)
		}
	}
	return b, nil
}

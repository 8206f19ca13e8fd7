package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/picket-dev/picket/test/cluster/controlplane"
	"github.com/picket-dev/picket/test/lab/archive"
	"github.com/picket-dev/picket/test/lab/image"
)

// The images that nodes import; they have no registry to pull them from.
const (
	pauseImage  = "picket.dev/lab-pause:1"
	picketImage = "picket.dev/picket:lab"
)

// built is what the nodes are made of, as paths on this machine.
type built struct {
	Base         image.Base
	ControlPlane string
	Kubelet      string
	Guest        string
	Controller   string
	// Images are archives by the name of their file.
	Images map[string]string
}

// buildAll builds what is not in the cache, with the network of this machine.
func buildAll(ctx context.Context, dir string, progress io.Writer) (b built, err error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return b, fmt.Errorf("find the checkout (run this from inside it): %w", err)
	}
	checkout := strings.TrimSpace(string(out))
	if b.ControlPlane, err = controlplane.Binaries(ctx, progress); err != nil {
		return b, err
	}
	if b.Kubelet, err = image.Kubelet(ctx, checkout, progress); err != nil {
		return b, err
	}
	if b.Base, err = image.Prepare(ctx, progress); err != nil {
		return b, err
	}
	if err := programs(ctx, checkout, dir, progress); err != nil {
		return b, err
	}
	b.Guest, b.Controller = filepath.Join(dir, "guest"), filepath.Join(dir, "picket-controller")
	b.Images = make(map[string]string)
	for name, i := range images(dir) {
		file := filepath.Join(dir, name)
		if err := archive.Write(file, i); err != nil {
			return b, err
		}
		b.Images[name] = file
	}
	return b, nil
}

// programs compiles Picket's programs, as `make build` does, and the lab's own.
func programs(ctx context.Context, checkout, dir string, progress io.Writer) error {
	fmt.Fprintln(progress, "lab: compiling Picket and the lab's own programs")
	for out, pkg := range map[string]string{
		"picket-agent": "./agent", "picket-holder": "./agent/holder", "picket-controller": "./controller",
		"guest": "./test/lab/guest", "pause": "./test/lab/pause",
	} {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w -X main.version=lab",
			"-o", filepath.Join(dir, out), pkg)
		cmd.Dir = checkout
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", pkg, err, text)
		}
	}
	return nil
}

// images are what nodes import, by the name of the archive. Picket's has the
// layout of the Dockerfile.
func images(dir string) map[string]archive.Image {
	files := func(prefix string, names ...string) (all []archive.File) {
		for _, name := range names {
			all = append(all, archive.File{Path: prefix + name, From: filepath.Join(dir, name)})
		}
		return all
	}
	return map[string]archive.Image{
		"pause.tar": {Name: pauseImage, Entrypoint: []string{"/pause"}, Files: files("/", "pause")},
		"picket.tar": {Name: picketImage, Files: files("/usr/local/bin/",
			"picket-agent", "picket-holder", "picket-controller")},
	}
}

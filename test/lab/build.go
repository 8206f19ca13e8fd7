package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/picket-dev/picket/test/cluster/controlplane"
	"github.com/picket-dev/picket/test/lab/archive"
	"github.com/picket-dev/picket/test/lab/image"
	"github.com/picket-dev/picket/test/lab/slow"
)

// The images that nodes import; they have no registry to pull them from.
const (
	pauseImage  = "picket.dev/lab-pause:1"
	picketImage = "picket.dev/picket:lab"
	writerImage = "picket.dev/lab-writer:1"
)

// built is what the nodes are made of, as paths on this machine.
type built struct {
	Base         image.Base
	ControlPlane string
	Kubelet      string
	Guest        string
	CSI          string
	Controller   string
	Plugin       string
	// Images are archives by the name of their file.
	Images map[string]string
}

// buildAll builds what is not in the cache, with the network of this machine:
// Picket, too, unless bare.
func buildAll(ctx context.Context, dir string, bare bool, progress io.Writer) (b built, err error) {
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
	if err := errors.Join(programs(ctx, checkout, dir, bare, progress), driver(ctx, checkout, dir, progress)); err != nil {
		return b, err
	}
	b.Guest, b.CSI = filepath.Join(dir, "guest"), filepath.Join(dir, "csi")
	b.Controller, b.Plugin = filepath.Join(dir, "picket-controller"), filepath.Join(dir, "kubectl-picket")
	b.Images = make(map[string]string)
	for name, i := range images(dir, bare) {
		file := filepath.Join(dir, name)
		if err := archive.Write(file, i); err != nil {
			return b, err
		}
		b.Images[name] = file
	}
	return b, nil
}

// programs compiles Picket's programs, as `make build` does, and the lab's own.
func programs(ctx context.Context, checkout, dir string, bare bool, progress io.Writer) error {
	names := map[string]string{
		"./test/lab/guest": "guest", "./test/lab/pause": "pause", "./test/lab/workload/writer": "writer", "./test/lab/hog": "hog",
	}
	if !bare {
		maps.Copy(names, map[string]string{
			"./agent": "picket-agent", "./agent/holder": "picket-holder", "./controller": "picket-controller",
			"./controller/kubectl-picket": "kubectl-picket",
		})
	}
	err := slow.Run(ctx, slow.Command{
		What: "the nodes' programs",
		Argv: append([]string{"go", "build", "-v", "-trimpath", "-ldflags", "-s -w -X main.version=lab", "-o", dir + "/"},
			slices.Sorted(maps.Keys(names))...),
		Env: []string{"CGO_ENABLED=0"},
		Dir: checkout,
		Log: filepath.Join(dir, "build.log"),
	}, progress)
	if err != nil {
		return err
	}
	for pkg, name := range names {
		if err := os.Rename(filepath.Join(dir, filepath.Base(pkg)), filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("name a program: %w", err)
		}
	}
	return nil
}

// driver compiles the node side of the lab's CSI driver, which is a module of its
// own.
func driver(ctx context.Context, checkout, dir string, progress io.Writer) error {
	return slow.Run(ctx, slow.Command{
		What: "the nodes' CSI driver",
		Argv: []string{"go", "build", "-v", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(dir, "csi"), "."},
		// The caller's GOFLAGS and workspace are about another module.
		Env: []string{"CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off"},
		Dir: filepath.Join(checkout, "test/lab/csi"),
		Log: filepath.Join(dir, "csi.log"),
	}, progress)
}

// images are what nodes import, by the name of the archive. Picket's has the
// layout of the Dockerfile.
func images(dir string, bare bool) map[string]archive.Image {
	files := func(prefix string, names ...string) (all []archive.File) {
		for _, name := range names {
			all = append(all, archive.File{Path: prefix + name, From: filepath.Join(dir, name)})
		}
		return all
	}
	all := map[string]archive.Image{
		"pause.tar":  {Name: pauseImage, Entrypoint: []string{"/pause"}, Files: files("/", "pause")},
		"writer.tar": {Name: writerImage, Entrypoint: []string{"/writer"}, Files: files("/", "writer", "hog")},
	}
	if !bare {
		all["picket.tar"] = archive.Image{Name: picketImage, Files: files("/usr/local/bin/",
			"picket-agent", "picket-holder", "picket-controller")}
	}
	return all
}

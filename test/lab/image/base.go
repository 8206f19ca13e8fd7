package image

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/picket-dev/picket/test/lab/slow"
)

// build makes root.img, vmlinuz and initrd.img in the directory that it is
// given.
//
//go:embed build.sh
var build string

// packages are what a node needs beside Debian's minimal system.
//
//go:embed packages.txt
var packages string

// Base is what all nodes boot from.
type Base struct {
	// Root is an ext4 filesystem, mostly holes.
	Root string
	// Kernel and Initrd are for QEMU's -kernel and -initrd.
	Kernel, Initrd string
}

// release is Debian's.
const release = "bookworm"

// Prepare returns the base, in the user's cache directory. It builds it when it
// is missing, which takes some three minutes, once per list of packages, needs
// root, and reports on progress every five seconds.
func Prepare(ctx context.Context, progress io.Writer) (Base, error) {
	hash := sha256.Sum256([]byte(build + packages + release))
	dir, err := cached(ctx, "lab-"+hex.EncodeToString(hash[:8]), progress, func(temp string) error {
		return debootstrap(ctx, temp, progress)
	})
	return Base{
		Root:   filepath.Join(dir, "root.img"),
		Kernel: filepath.Join(dir, "vmlinuz"),
		Initrd: filepath.Join(dir, "initrd.img"),
	}, err
}

func debootstrap(ctx context.Context, dir string, progress io.Writer) error {
	script := filepath.Join(dir, "build.sh")
	if err := os.WriteFile(script, []byte(build), 0o755); err != nil {
		return fmt.Errorf("build the nodes' root: %w", err)
	}
	list := strings.Join(strings.Fields(packages), ",")
	// A mount namespace of its own: no mount outlives the script.
	return slow.Run(ctx, slow.Command{
		What: "the nodes' root filesystem (Debian " + release + ", once; some 3 min)",
		Argv: []string{"nice", "-n", "5", "unshare", "--mount", "--propagation", "private",
			"/bin/bash", script, dir, release, mirror(), list},
		Log: filepath.Join(dir, "build.log"),
	}, progress)
}

// mirror is where this machine's own packages come from, or Debian's address
// for all.
func mirror() string {
	const everybody = "http://deb.debian.org/debian"
	files, _ := filepath.Glob("/etc/apt/sources.list.d/*.sources")
	lists, _ := filepath.Glob("/etc/apt/sources.list.d/*.list")
	for _, file := range append(append([]string{"/etc/apt/sources.list"}, files...), lists...) {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if found := mirrorIn(string(text)); found != "" {
			return found
		}
	}
	return everybody
}

// mirrorIn finds the first Debian archive in an apt source of either format.
func mirrorIn(text string) string {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "deb" && fields[0] != "URIs:" {
			continue
		}
		for _, field := range fields[1:] {
			if strings.HasPrefix(field, "http") && strings.HasSuffix(strings.TrimSuffix(field, "/"), "/debian") {
				return strings.TrimSuffix(field, "/")
			}
		}
	}
	return ""
}

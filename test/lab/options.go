package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// options describe a lab; the program outside hands them to the one inside.
type options struct {
	// Nodes is the number of virtual machines; Memory is in MiB, of each.
	Nodes  int
	Memory int
	// Profile is the timing that the policy puts in force.
	Profile string
	// Logs is where a failed scenario leaves what it knows.
	Logs string
	// Bare leaves Picket out.
	Bare bool
	// Scenarios are played; then the lab ends, unless Keep. Without any it is
	// kept.
	Scenarios []string
	Keep      bool

	// Dir takes everything that ends with the lab.
	Dir string
	// Built is what the nodes are made of.
	Built built
}

func defaults() options {
	return options{Nodes: 3, Memory: 1536, Profile: busy}
}

// Validate says what is wrong, and what to do.
func (o options) Validate() error {
	switch {
	case os.Geteuid() != 0:
		return fmt.Errorf("the lab makes namespaces and network devices: run it as root")
	case o.Nodes < 1 || o.Nodes > 20:
		return fmt.Errorf("%d nodes, want 1 to 20", o.Nodes)
	}
	return tools()
}

// tools checks that the programs which the lab starts are installed.
func tools() error {
	packages := map[string]string{
		"qemu-system-x86_64": "qemu-system-x86", "debootstrap": "debootstrap", "nft": "nftables",
		"mke2fs": "e2fsprogs", "debugfs": "e2fsprogs", "unshare": "util-linux", "tgtd": "tgt", "tgtadm": "tgt",
	}
	var missing, install []string
	for program, from := range packages {
		if _, err := exec.LookPath(program); err != nil {
			missing, install = append(missing, program), append(install, from)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s is missing: apt-get install --no-install-recommends %s",
			strings.Join(missing, ", "), strings.Join(install, " "))
	}
	return nil
}

// cacheFile is a file beside the lab's cache.
func cacheFile(name string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "picket")
	return filepath.Join(dir, name), os.MkdirAll(dir, 0o755)
}

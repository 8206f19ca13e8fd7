package block

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// Host says where the parts of an Inventory are found. Nothing has a default
// that reaches the machine which runs the code: see HostBelow.
type Host struct {
	// Root is where the host's root directory is found: /proc/1/root, or
	// where the pod sees it. Only children look below it.
	Root string `json:"root"`
	// Proc, Sys and Dev are the host's /proc, /sys and /dev.
	Proc string `json:"proc"`
	Sys  string `json:"sys"`
	Dev  string `json:"dev"`
	// Kubelet are the kubelet's root directories, as the host names them.
	Kubelet []string `json:"kubelet"`
	// Records are open-iscsi's directories of node records, as the host names
	// them; which one is in use depends on the distribution.
	Records []string `json:"records"`
	// Trident is the directory in which Trident tracks volumes, as the host
	// names it.
	Trident string `json:"trident"`
	// Bound is how long one probe in a child may take.
	Bound time.Duration `json:"bound"`
	// Still is how long a task must stay in one uninterruptible sleep to count
	// as stuck, and how long a device must be open; the look takes at least this
	// long where there is such a one.
	Still time.Duration `json:"still"`
}

// HostBelow returns the Host of a process that sees the host's /proc, /sys and
// /dev in this directory: "/" on the host itself, /host in the agent's pod.
func HostBelow(dir string) Host {
	return Host{
		Root:    filepath.Join(dir, "proc/1/root"),
		Proc:    filepath.Join(dir, "proc"),
		Sys:     filepath.Join(dir, "sys"),
		Dev:     filepath.Join(dir, "dev"),
		Kubelet: []string{"/var/lib/kubelet"},
		Records: []string{"/etc/iscsi/nodes", "/var/lib/iscsi/nodes"},
		Trident: "/var/lib/trident/tracking",
		Bound:   5 * time.Second,
		Still:   50 * time.Millisecond,
	}
}

// Validate returns an error for settings that cannot work.
func (h Host) Validate() error {
	var errs []error
	for _, p := range []struct{ name, path string }{{"root", h.Root}, {"proc", h.Proc}, {"sys", h.Sys}, {"dev", h.Dev}, {"trident", h.Trident}} {
		if !filepath.IsAbs(p.path) {
			errs = append(errs, fmt.Errorf("settings of block: %s is %q, it must be an absolute path", p.name, p.path))
		}
	}
	if len(h.Kubelet) == 0 {
		errs = append(errs, errors.New("settings of block: kubelet is empty"))
	}
	for _, p := range slices.Concat(h.Kubelet, h.Records) {
		if !filepath.IsAbs(p) || filepath.Clean(p) != p || p == "/" {
			errs = append(errs, fmt.Errorf("settings of block: %q is not a clean absolute path below /", p))
		}
	}
	if h.Bound <= 0 || h.Still <= 0 {
		errs = append(errs, fmt.Errorf("settings of block: bound %v and still %v must be positive", h.Bound, h.Still))
	}
	return errors.Join(errs...)
}

package controlplane

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// version is what the built binaries report; it follows kube/go.mod.
const version = "v1.36.3"

// build is one `go build` that fills the binaries' directory.
type build struct {
	module   string   // directory below test/cluster
	packages []string // "tool" stands for all tools of the module
}

var builds = []build{
	{module: "kube", packages: []string{"tool"}},
	{module: "kube/csi", packages: []string{"tool", "./driver"}},
}

// sources are hashed into the cache's name: another release or another driver
// is another directory.
var sources = []string{"kube/go.mod", "kube/go.sum", "kube/csi/go.mod", "kube/csi/go.sum", "kube/csi/driver/main.go"}

// rename gives the packages whose directory says little a better name.
var rename = map[string]string{"server": "etcd", "driver": "csi-driver"}

// Binaries returns the directory with etcd, kube-apiserver,
// kube-controller-manager, kube-scheduler, csi-attacher and csi-driver, in the
// user's cache directory. It builds them when they are missing, which takes
// about ten minutes on two cores, once per release, and reports on
// progress at least every five seconds. Concurrent callers wait for the first.
func Binaries(ctx context.Context, progress io.Writer) (string, error) {
	root, err := clusterDir(ctx)
	if err != nil {
		return "", err
	}
	dir, err := cacheDir(root)
	if err != nil {
		return "", err
	}
	if complete(dir) {
		return dir, nil
	}
	unlock, err := lock(ctx, dir+".lock", progress)
	if err != nil {
		return "", err
	}
	defer unlock()
	if complete(dir) {
		return dir, nil
	}
	return dir, buildAll(ctx, root, dir, progress)
}

// clusterDir finds test/cluster in the checkout that the test runs in.
func clusterDir(ctx context.Context) (string, error) {
	const self = "github.com/picket-dev/picket/test/cluster/controlplane"
	out, err := exec.CommandContext(ctx, "go", "list", "-find", "-f", "{{.Dir}}", self).Output()
	if err != nil {
		return "", fmt.Errorf("find the checkout (run this from inside it): go list %s: %w", self, err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}

func cacheDir(root string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a cache directory for the control plane: %w", err)
	}
	hash := sha256.New()
	for _, name := range sources {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return "", fmt.Errorf("hash the control plane's sources: %w", err)
		}
		fmt.Fprintf(hash, "%s %d\n%s", name, len(text), text)
	}
	sum := hex.EncodeToString(hash.Sum(nil)[:8])
	return filepath.Join(cache, "picket", "controlplane-"+sum), nil
}

// complete holds for a directory that buildAll renamed into place: it never
// exists half-filled.
func complete(dir string) bool {
	_, err := os.Stat(dir)
	return err == nil
}

// lock takes an exclusive lock, which the kernel drops if its holder dies.
func lock(ctx context.Context, path string, progress io.Writer) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("lock the control plane's build: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the control plane's build: %w", err)
	}
	for said := false; ; {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if err != unix.EWOULDBLOCK {
			file.Close()
			return nil, fmt.Errorf("lock the control plane's build: %s: %w", path, err)
		}
		if !said {
			fmt.Fprintln(progress, "control plane: another process builds it, waiting")
			said = true
		}
		select {
		case <-ctx.Done():
			file.Close()
			return nil, fmt.Errorf("wait for another build of the control plane: %w", ctx.Err())
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func buildAll(ctx context.Context, root, dir string, progress io.Writer) error {
	fmt.Fprintf(progress, "control plane: building Kubernetes %s, etcd and the CSI attacher from their Go modules (once; some 10 min on two cores)\n", version)
	temp, err := os.MkdirTemp(filepath.Dir(dir), "building-")
	if err != nil {
		return fmt.Errorf("build the control plane: %w", err)
	}
	defer os.RemoveAll(temp)
	start := time.Now()
	for _, b := range builds {
		if err := goBuild(ctx, filepath.Join(root, b.module), temp, b.packages, progress, start); err != nil {
			return err
		}
	}
	for from, to := range rename {
		if err := os.Rename(filepath.Join(temp, from), filepath.Join(temp, to)); err != nil {
			return fmt.Errorf("build the control plane: %w", err)
		}
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		return fmt.Errorf("build the control plane: %w", err)
	}
	if err := os.Rename(temp, dir); err != nil {
		return fmt.Errorf("build the control plane: %w", err)
	}
	fmt.Fprintf(progress, "control plane: built in %.0f s, cached in %s\n", time.Since(start).Seconds(), dir)
	return nil
}

// goBuild builds packages of one module, at low priority: the machine is
// somebody's desk.
func goBuild(ctx context.Context, module, out string, packages []string, progress io.Writer, start time.Time) error {
	args := append([]string{"-n", "5", "go", "build", "-v", "-trimpath",
		"-ldflags", "-s -w -X k8s.io/component-base/version.gitVersion=" + version,
		"-o", out + "/"}, packages...)
	cmd := exec.CommandContext(ctx, "nice", args...)
	cmd.Dir = module
	// The caller's GOFLAGS and workspace are about another module.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off")
	compiled := &lineCounter{}
	cmd.Stdout, cmd.Stderr = compiled, compiled

	done := make(chan error, 1)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("build the control plane: %w", err)
	}
	go func() { done <- cmd.Wait() }()
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				return fmt.Errorf("build the control plane: go build in %s: %w\n%s", module, err, compiled.tail())
			}
			return nil
		case <-tick.C:
			fmt.Fprintf(progress, "control plane: %4.0f s, %d packages compiled in %s\n",
				time.Since(start).Seconds(), compiled.lines.Load(), filepath.Base(module))
		}
	}
}

// lineCounter counts the lines of `go build -v`, one per package, and keeps
// the last few kilobytes for the error message.
type lineCounter struct {
	lines atomic.Int64
	last  []byte // written only by the command's copier, read after its end
}

func (c *lineCounter) Write(p []byte) (int, error) {
	c.lines.Add(int64(bytes.Count(p, []byte{'\n'})))
	c.last = append(c.last, p...)
	if excess := len(c.last) - 4096; excess > 0 {
		c.last = c.last[excess:]
	}
	return len(p), nil
}

func (c *lineCounter) tail() string { return string(c.last) }

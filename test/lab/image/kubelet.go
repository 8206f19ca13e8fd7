package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/picket-dev/picket/test/lab/slow"
)

// kubernetes is what the kubelet reports; it follows kubelet/go.mod.
const kubernetes = "v1.36.3"

// Kubelet returns the path of a kubelet, built from the module below
// test/lab/kubelet in the checkout, in the user's cache directory: the first
// time takes up to ten minutes.
func Kubelet(ctx context.Context, checkout string, progress io.Writer) (string, error) {
	module := filepath.Join(checkout, "test/lab/kubelet")
	sums := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(module, name))
		if err != nil {
			return "", fmt.Errorf("build the kubelet: %w", err)
		}
		sums.Write(text)
	}
	name := "kubelet-" + hex.EncodeToString(sums.Sum(nil)[:8])
	dir, err := cached(ctx, name, progress, func(temp string) error {
		return slow.Run(ctx, slow.Command{
			What: "kubelet " + kubernetes + " from its Go module (once; up to 10 min)",
			Argv: []string{"nice", "-n", "5", "go", "build", "-v", "-trimpath",
				"-ldflags", "-s -w -X k8s.io/component-base/version.gitVersion=" + kubernetes,
				"-o", temp + "/", "tool"},
			// The caller's GOFLAGS and workspace are about another module.
			Env: []string{"CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off"},
			Dir: module,
			Log: filepath.Join(temp, "build.log"),
		}, progress)
	})
	return filepath.Join(dir, "kubelet"), err
}

package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// cached returns a directory of the user's cache. If it is missing, fill fills
// a temporary one, which is then given the name: it never exists half-filled.
// Whoever comes second waits for the first.
func cached(ctx context.Context, name string, progress io.Writer, fill func(temp string) error) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a cache directory for the lab: %w", err)
	}
	root := filepath.Join(cache, "picket")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", fmt.Errorf("make the lab's cache: %w", err)
	}
	dir := filepath.Join(root, name)
	unlock, err := lock(ctx, dir+".lock", progress)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	temp, err := os.MkdirTemp(root, "building-")
	if err != nil {
		return "", fmt.Errorf("make the lab's cache: %w", err)
	}
	if err := os.Chmod(temp, 0o755); err != nil { //nolint:gosec // what is built is public
		return "", fmt.Errorf("make the lab's cache: %w", err)
	}
	if err := fill(temp); err != nil {
		return "", errors.Join(err, os.RemoveAll(temp))
	}
	return dir, os.Rename(temp, dir)
}

// lock takes an exclusive lock, which the kernel drops if its holder dies.
func lock(ctx context.Context, path string, progress io.Writer) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the lab's cache: %w", err)
	}
	for said := false; ; said = true {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			file.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if !said {
			fmt.Fprintln(progress, "lab: another process builds it, waiting")
		}
		select {
		case <-ctx.Done():
			file.Close()
			return nil, fmt.Errorf("wait for another build: %w", ctx.Err())
		case <-time.After(500 * time.Millisecond):
		}
	}
}

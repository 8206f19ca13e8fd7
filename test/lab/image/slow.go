package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/test/cluster/proc"
)

// command is something that takes minutes.
type command struct {
	what string // in words, for the progress
	argv []string
	env  []string
	dir  string
	log  string // a file that takes its output
}

// slow runs a command, and says every five seconds how far its log has come.
func slow(ctx context.Context, c command, progress io.Writer) error {
	start := time.Now()
	fmt.Fprintf(progress, "lab: building %s\n", c.what)
	p, err := proc.Start(proc.Command{Name: c.argv[0], Argv: c.argv, Env: c.env, Dir: c.dir, Log: c.log})
	if err != nil {
		return err
	}
	defer p.KillGroup()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-p.Done():
			if !p.State().Success() {
				return fmt.Errorf("build %s: %s; end of the log:\n%s", c.what, p.State(), end(c.log, 4096))
			}
			fmt.Fprintf(progress, "lab: built in %.0f s\n", time.Since(start).Seconds())
			return nil
		case <-ctx.Done():
			return fmt.Errorf("build %s: %w", c.what, ctx.Err())
		case <-tick.C:
			line := bytes.TrimSpace(end(c.log, 160))
			fmt.Fprintf(progress, "lab: %4.0f s, %s\n", time.Since(start).Seconds(), line[bytes.LastIndexByte(line, '\n')+1:])
		}
	}
}

// end returns the last n bytes of a file.
func end(file string, n int) []byte {
	text, _ := os.ReadFile(file)
	return text[max(0, len(text)-n):]
}

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

package block

import (
	"fmt"
	"io"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// spaceRequest asks for the mounts of a namespace that has to be entered.
type spaceRequest struct {
	Path string // leads to the namespace
	ID   uint64
}

// readSpace returns the mountinfo of a namespace, as seen from its root.
func readSpace(r spaceRequest) (string, error) {
	ns, err := unix.Open(r.Path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &os.PathError{Op: "open", Path: r.Path, Err: err}
	}
	defer unix.Close(ns)
	var s unix.Stat_t
	if err := unix.Fstat(ns, &s); err != nil {
		return "", &os.PathError{Op: "stat", Path: r.Path, Err: err}
	}
	if s.Ino != r.ID {
		return "", fmt.Errorf("%s is not namespace %d but %d", r.Path, r.ID, s.Ino)
	}
	// What /proc is in there does not matter: this one is from outside.
	proc, err := unix.Open("/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("open /proc: %w", err)
	}
	defer unix.Close(proc)
	// A thread enters alone, and takes its own root and directory along. It
	// stays locked, and so ends with its goroutine.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return "", fmt.Errorf("unshare the root directory: %w", err)
	}
	if err := unix.Setns(ns, unix.CLONE_NEWNS); err != nil {
		return "", fmt.Errorf("enter %s: %w", r.Path, err)
	}
	fd, err := unix.Openat(proc, "thread-self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("open mountinfo: %w", err)
	}
	f := os.NewFile(uintptr(fd), "mountinfo")
	defer f.Close()
	text, err := io.ReadAll(f)
	return string(text), err
}

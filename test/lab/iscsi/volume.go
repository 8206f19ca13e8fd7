package iscsi

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// CreateVolume makes the backing file of a volume, sparse, of so many bytes,
// with an empty ext4. Without one the first kubelet that mounts the volume
// would make it, slowly on an emulated machine.
func CreateVolume(ctx context.Context, path string, size int64) error {
	if err := CreateBlank(path, size); err != nil {
		return err
	}
	// Nothing is left to be initialised later: every write in the log is one
	// that somebody meant.
	_, err := run(ctx, "mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", path)
	return err
}

// CreateBlank makes the backing file of a volume, sparse, with nothing on it.
func CreateBlank(path string, size int64) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("create a volume: %w", err)
	}
	if err := errors.Join(file.Truncate(size), file.Close()); err != nil {
		return fmt.Errorf("create a volume: %w", err)
	}
	return nil
}

// An Image is a copy of a volume.
type Image struct{ path string }

// Path is the copy's.
func (i Image) Path() string { return i.path }

// CopyVolume copies a volume that nobody uses any more into a directory, as it
// is, and replays its file system's journal in the copy, which is what the next
// mount would have done.
func CopyVolume(ctx context.Context, volume, dir string) (Image, error) {
	image, err := copyFile(ctx, volume, dir)
	if err != nil {
		return Image{}, err
	}
	return image, image.mend(ctx, "-y", "-E", "journal_only")
}

// Snapshot copies one of the target's volumes while it is in use: tgtd stands
// still meanwhile, so that the copy is what a power cut would have left. It
// fails unless the file system in it can be mended as after any power cut,
// without losing anything; the copy is mended so.
func (t *Target) Snapshot(ctx context.Context, volume, dir string) (Image, error) {
	image, err := t.Still(ctx, volume, dir)
	if err != nil {
		return image, err
	}
	return image, image.mend(ctx, "-f", "-p")
}

// Still copies one of the target's volumes as Snapshot does, and leaves what is on
// it as it is.
func (t *Target) Still(ctx context.Context, volume, dir string) (Image, error) {
	if err := t.process.Signal(syscall.SIGSTOP); err != nil {
		return Image{}, fmt.Errorf("snapshot of %s: %w", volume, err)
	}
	image, err := copyFile(ctx, volume, dir)
	return image, errors.Join(err, t.process.Signal(syscall.SIGCONT))
}

// Mend makes an Image of a copy that somebody else has made, as Snapshot does.
func Mend(ctx context.Context, path string) (Image, error) {
	image := Image{path}
	return image, image.mend(ctx, "-f", "-p")
}

func copyFile(ctx context.Context, volume, dir string) (Image, error) {
	image := Image{filepath.Join(dir, filepath.Base(volume)+".copy")}
	_, err := run(ctx, "cp", "--sparse=always", "--", volume, image.path)
	return image, err
}

// mend runs e2fsck, for which a correction is no failure.
func (i Image) mend(ctx context.Context, flags ...string) error {
	_, err := run(ctx, "e2fsck", append(flags, i.path)...)
	var exit *exec.ExitError
	const corrected = 1 // e2fsck(8)
	if errors.As(err, &exit) && exit.ExitCode() == corrected {
		return nil
	}
	return err
}

// Check runs e2fsck over the whole file system without changing it. An error
// carries its findings.
func (i Image) Check(ctx context.Context) error {
	_, err := run(ctx, "e2fsck", "-f", "-n", i.path)
	return err
}

// File reads a file of the file system by its absolute path there, without
// mounting it.
func (i Image) File(ctx context.Context, name string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "picket-volume-")
	if err != nil {
		return nil, fmt.Errorf("read %s of %s: %w", name, i.path, err)
	}
	defer os.RemoveAll(dir)
	copied := filepath.Join(dir, "file")
	// debugfs ends with 0 whatever happens: the file says whether it worked.
	said, err := run(ctx, "debugfs", "-R", fmt.Sprintf("dump %s %s", name, copied), i.path)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(copied)
	if err != nil {
		return nil, fmt.Errorf("read %s of %s: debugfs says %q", name, i.path, said)
	}
	return content, nil
}

// run runs a program and returns what it said, which is in the error, too.
func run(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	said := strings.TrimSpace(string(out))
	if err != nil {
		return said, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, said)
	}
	return said, nil
}

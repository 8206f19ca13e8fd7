package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Place makes the file at path, which belongs to the host, hold content with
// that mode, and reports whether it had to change anything. Whoever opens or
// executes it finds the old file or the new one, also after a crash of the
// machine; one that runs is not disturbed. A link is replaced, not followed.
// Content is read twice at most and never kept, so that a binary costs no
// memory.
func Place(path string, content io.ReadSeeker, mode fs.FileMode) (changed bool, err error) {
	equal, err := holds(path, content, mode)
	if err == nil && !equal {
		_, err = content.Seek(0, io.SeekStart)
	}
	if err != nil || equal {
		return false, wrapPlace(path, err)
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return false, wrapPlace(path, err)
	}
	file, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return false, wrapPlace(path, err)
	}
	_, err = io.Copy(file, content)
	if err == nil {
		err = errors.Join(file.Chmod(mode), file.Sync())
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return false, wrapPlace(path, errors.Join(err, os.Remove(file.Name())))
	}
	return true, wrapPlace(path, syncDir(dir))
}

func wrapPlace(path string, err error) error {
	if err != nil {
		return fmt.Errorf("place %s: %w", path, err)
	}
	return nil
}

// holds reports whether the file holds content already. An error is content's
// own: a file that cannot be read is simply another one.
func holds(path string, content io.Reader, mode fs.FileMode) (bool, error) {
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != mode {
		return false, nil // it is replaced, and then trouble shows
	}
	file, err := os.Open(path)
	if err != nil {
		return false, nil
	}
	defer file.Close()
	const chunk = 64 << 10
	var want, got [chunk]byte
	for {
		n, err := io.ReadFull(content, want[:])
		end := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !end {
			return false, err
		}
		m, _ := io.ReadFull(file, got[:n])
		switch {
		case m != n || !bytes.Equal(want[:n], got[:n]):
			return false, nil
		case end:
			m, _ := file.Read(got[:1])
			return m == 0, nil
		}
	}
}

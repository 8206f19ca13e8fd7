package child

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// memory returns a file that lies in memory and has this content, to be read
// from its beginning.
func memory(name string, text []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := f.WriteAt(text, 0); err != nil {
		_ = f.Close() // the file is of no use
		return nil, fmt.Errorf("write file in memory: %w", err)
	}
	return f, nil
}

// content returns all of a file, wherever its offset is.
func content(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(f, 0, info.Size()))
}

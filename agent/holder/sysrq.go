package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// sysrq resets the host by a "b": immediate, whatever kernel.sysrq says, with
// no sync and nothing closed in order.
type sysrq struct {
	path string
	fd   int // -1 while it could not be opened
	b    []byte
}

// openSysrq opens the file at once, so that the reset itself needs no more
// than a write. With an error it still returns a sysrq, which tries again when
// it must reset.
func openSysrq(path string) (*sysrq, error) {
	s := &sysrq{path: path, b: []byte("b")}
	var err error
	if s.fd, err = unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC|sysrqFlags, 0o644); err != nil {
		s.fd = -1
		return s, fmt.Errorf("open %s for writing: %w: the holder must run on the host or in a privileged pod", path, err)
	}
	return s, nil
}

// Reset resets the host. Where it returns, that did not work.
func (s *sysrq) Reset() error {
	if s.fd < 0 {
		again, err := openSysrq(s.path)
		if err != nil {
			return err
		}
		s.fd = again.fd
	}
	if _, err := unix.Write(s.fd, s.b); err != nil {
		return fmt.Errorf("write b to %s: %w", s.path, err)
	}
	return nil
}

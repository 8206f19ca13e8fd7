package dm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The layout of struct dm_ioctl and dm_target_spec, the commands and the flags of
// linux/dm-ioctl.h, version 4.
const (
	headerSize = 312
	specSize   = 40

	commands      = 0xc138fd00 // _IOWR(0xfd, …, struct dm_ioctl)
	removeCommand = commands | 4
	resumeCommand = commands | 6 // DM_DEV_SUSPEND without its flag
	loadCommand   = commands | 9
	statusCommand = commands | 12
	tellCommand   = commands | 14

	wantTable    = 1 << 4  // DM_STATUS_TABLE_FLAG
	bufferFull   = 1 << 8  // DM_BUFFER_FULL_FLAG
	skipLockFS   = 1 << 10 // DM_SKIP_LOCKFS_FLAG: do not freeze the file system
	noFlush      = 1 << 11 // DM_NOFLUSH_FLAG: do not write what is dirty
	secureBuffer = 1 << 15 // DM_SECURE_DATA_FLAG: the kernel wipes its copy
)

// A Control is device-mapper's control device, opened.
type Control struct{ file *os.File }

// Open opens the control device, usually /dev/mapper/control.
func Open(path string) (*Control, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &Control{f}, nil
}

// Close closes it.
func (c *Control) Close() error { return c.file.Close() }

// A Target is a part of a map. Its parameters may hold a key.
type Target struct {
	Kind       string // linear, crypt, multipath, error …
	Parameters string
}

// Table returns the live table of the map with this device number. It flushes
// nothing.
func (c *Control) Table(major, minor uint32) ([]Target, error) {
	for size := 16 << 10; size <= 1<<20; size *= 4 {
		buffer, err := c.call(statusCommand, major, minor, wantTable|noFlush|secureBuffer, 0, make([]byte, size))
		if err != nil {
			return nil, fmt.Errorf("read table of map %d:%d: %w", major, minor, err)
		}
		if binary.NativeEndian.Uint32(buffer[28:])&bufferFull == 0 {
			return parseTable(buffer, int(binary.NativeEndian.Uint32(buffer[16:])), int(binary.NativeEndian.Uint32(buffer[20:])))
		}
	}
	return nil, fmt.Errorf("read table of map %d:%d: it is too long", major, minor)
}

// Wipe puts an error table of this many sectors in the place of a map's, without
// a flush or a lock of the file system above. It waits, killably, for requests in
// flight.
func (c *Control) Wipe(major, minor uint32, sectors uint64) error {
	if _, err := c.call(loadCommand, major, minor, 0, 1, errorTable(sectors)); err != nil {
		return fmt.Errorf("load error table into map %d:%d: %w", major, minor, err)
	}
	if _, err := c.call(resumeCommand, major, minor, noFlush|skipLockFS, 0, nil); err != nil {
		return fmt.Errorf("exchange table of map %d:%d: %w", major, minor, err)
	}
	return nil
}

// Remove removes a map that nothing uses.
func (c *Control) Remove(major, minor uint32) error {
	if _, err := c.call(removeCommand, major, minor, 0, 0, nil); err != nil {
		return fmt.Errorf("remove map %d:%d: %w", major, minor, err)
	}
	return nil
}

// Tell sends a message to a map's first target.
func (c *Control) Tell(major, minor uint32, message string) error {
	data := append(make([]byte, 8), message...) // struct dm_target_msg: sector 0
	if _, err := c.call(tellCommand, major, minor, 0, 0, append(data, 0)); err != nil {
		return fmt.Errorf("tell map %d:%d to %s: %w", major, minor, message, err)
	}
	return nil
}

// call makes one request with data behind its header, and returns all of the
// answer.
func (c *Control) call(command uintptr, major, minor uint32, flags, targets uint32, data []byte) ([]byte, error) {
	buffer := append(make([]byte, headerSize), data...)
	binary.NativeEndian.PutUint32(buffer[0:], 4) // the interface's version: 4.0.0
	binary.NativeEndian.PutUint32(buffer[12:], uint32(len(buffer)))
	binary.NativeEndian.PutUint32(buffer[16:], headerSize)
	binary.NativeEndian.PutUint32(buffer[20:], targets)
	binary.NativeEndian.PutUint32(buffer[28:], flags)
	binary.NativeEndian.PutUint64(buffer[40:], unix.Mkdev(major, minor))
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, c.file.Fd(), command, uintptr(unsafe.Pointer(&buffer[0]))); errno != 0 {
		return nil, errno
	}
	return buffer, nil
}

// errorTable is one target that fails everything.
func errorTable(sectors uint64) []byte {
	spec := make([]byte, specSize+8) // and empty parameters, aligned
	binary.NativeEndian.PutUint64(spec[8:], sectors)
	binary.NativeEndian.PutUint32(spec[20:], uint32(len(spec)))
	copy(spec[24:], "error")
	return spec
}

// parseTable reads the targets behind the header of an answer.
func parseTable(buffer []byte, start, count int) ([]Target, error) {
	var all []Target
	for at := start; count > 0; count-- {
		if at < 0 || at > len(buffer)-specSize {
			return nil, errors.New("device-mapper's answer ends early")
		}
		spec := buffer[at : at+specSize]
		parameters, _, _ := bytes.Cut(buffer[at+specSize:], []byte{0})
		kind, _, _ := bytes.Cut(spec[24:40], []byte{0})
		all = append(all, Target{Kind: string(kind), Parameters: string(parameters)})
		next := start + int(binary.NativeEndian.Uint32(spec[20:])) // counts from the first
		if count > 1 && next <= at {
			return nil, errors.New("device-mapper's answer turns back")
		}
		at = next
	}
	return all, nil
}

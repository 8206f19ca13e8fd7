package workload

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// slot is the part of a raw device that one record takes, in bytes: a page of the
// kernel's cache, so that making one record durable writes nothing else.
const slot = 4096

// StainAt is where the stain of a raw device begins, in bytes; the records lie
// before it.
const StainAt = 32 << 20

// mostSlots bounds the records of a raw device.
const mostSlots = StainAt / slot

// openMedium opens what the records lie on: a file, or a raw device.
func openMedium(path string) (*journal, Contents, error) {
	info, err := os.Stat(path)
	if err == nil && info.Mode()&os.ModeDevice != 0 {
		return openDevice(path)
	}
	return openJournal(path)
}

// openDevice checks the records on a raw device. A torn one is overwritten by the
// next.
func openDevice(path string) (*journal, Contents, error) {
	file, err := os.OpenFile(path, os.O_RDWR|unix.O_DSYNC, 0)
	if err != nil {
		return nil, Contents{}, fmt.Errorf("open the device of records: %w", err)
	}
	found, err := ReadDevice(file)
	if err != nil {
		return nil, found, errors.Join(fmt.Errorf("%w: %w", errDamaged, err), file.Close())
	}
	return &journal{file: file, last: uint64(len(found.Records)), slotted: true}, found, nil
}

// ReadDevice reads all records of a raw device, or of a copy of one: each at the
// begin of its slot, up to the first slot that is empty. See Read for errors.
func ReadDevice(device io.ReaderAt) (Contents, error) {
	var text strings.Builder
	page := make([]byte, slot)
	for n := range int64(mostSlots) {
		if _, err := device.ReadAt(page, n*slot); err != nil {
			return Contents{}, fmt.Errorf("read the slot of record %d: %w", n+1, err)
		}
		line := strings.TrimRight(string(page), "\x00")
		if line == "" {
			break
		}
		text.WriteString(line)
	}
	return Read([]byte(text.String()))
}

package workload

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// A journal is the file of records, open to be appended to.
type journal struct {
	file   *os.File
	last   uint64 // number of the last record
	buffer []byte
	// slotted says that the file is a raw device, on which each record has a slot.
	slotted bool
}

// openJournal checks a file, or makes an empty one, and cuts off a torn tail.
// It reports what it found. A file that is damaged is left as it is.
func openJournal(path string) (*journal, Contents, error) {
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, Contents{}, fmt.Errorf("read the records: %w", err)
	}
	found, err := Read(content)
	if err != nil {
		return nil, found, fmt.Errorf("%w: %w", errDamaged, err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, found, fmt.Errorf("open the records: %w", err)
	}
	if err := errors.Join(file.Truncate(int64(len(content)-found.Torn)), file.Sync(), syncDir(filepath.Dir(path))); err != nil {
		return nil, found, errors.Join(fmt.Errorf("make the records durable: %w", err), file.Close())
	}
	return &journal{file: file, last: uint64(len(found.Records))}, found, nil
}

// errDamaged marks a file that must not be appended to.
var errDamaged = errors.New("the records are damaged")

// append numbers a record and returns once it is durable. After an error
// nobody knows what the file holds: open it again.
func (j *journal) append(r Record) error {
	r.Seq = j.last + 1
	j.buffer = r.append(j.buffer[:0])
	if err := j.write(r.Seq); err != nil {
		return err
	}
	j.last = r.Seq
	return nil
}

// write puts the buffer where record seq belongs, and makes it durable: of a raw
// device only its slot, since the stain beside it is to stay in the cache.
func (j *journal) write(seq uint64) error {
	if j.slotted {
		if seq > mostSlots {
			return fmt.Errorf("record %d: the device has %d slots", seq, mostSlots)
		}
		j.buffer = append(j.buffer, make([]byte, slot-len(j.buffer))...)
		if _, err := j.file.WriteAt(j.buffer, int64(seq-1)*slot); err != nil {
			return fmt.Errorf("write record %d: %w", seq, err)
		}
		return nil
	}
	if _, err := j.file.Write(j.buffer); err != nil {
		return fmt.Errorf("append record %d: %w", seq, err)
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("make record %d durable: %w", seq, err)
	}
	return nil
}

func (j *journal) close() error { return j.file.Close() }

// syncDir makes the name of a new file durable.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

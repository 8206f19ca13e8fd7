package workload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// repaint is how long a stain's pages may be clean.
const repaint = time.Second

// A stain is what the writer keeps dirty beside its records: pages that carry its
// mark, that it writes again and again, and that it makes durable only once, when
// it starts. Whatever brings them to the disk later than that is the kernel's
// write-back, which is what a fence must stop.
type stain struct {
	file  *os.File
	from  int64
	pages int
	page  []byte
}

// mark begins each page.
func (w Writer) mark() string { return fmt.Sprintf("stain %s %s %s\n", w.Node, w.Boot, w.Run) }

// openStain opens the pages beside the records: of a raw device the part from
// StainAt on, else a file of its own.
func openStain(j *journal, path string, size int64, w Writer) (*stain, error) {
	s := &stain{from: StainAt, pages: int(size / slot), page: make([]byte, slot)}
	copy(s.page, w.mark())
	var err error
	if j.slotted {
		s.file, err = os.OpenFile(path, os.O_RDWR, 0)
	} else {
		s.from = 0
		s.file, err = os.OpenFile(StainOf(path), os.O_CREATE|os.O_RDWR, 0o644)
	}
	if err != nil {
		return nil, fmt.Errorf("open the stain: %w", err)
	}
	return s, nil
}

// StainOf is the file of the stain beside a file of records.
func StainOf(path string) string { return path + ".stain" }

// paint writes the mark over all pages, into the kernel's cache.
func (s *stain) paint() error {
	for n := range s.pages {
		if _, err := s.file.WriteAt(s.page, s.from+int64(n)*slot); err != nil {
			return fmt.Errorf("paint page %d of the stain: %w", n, err)
		}
	}
	return nil
}

// claim makes the mark durable on all pages: from then on nobody else's is right.
func (s *stain) claim() error {
	err := s.paint()
	if err == nil {
		err = s.file.Sync()
	}
	return err
}

// keep paints until ctx ends, or the disk fails.
func (s *stain) keep(ctx context.Context) error {
	tick := time.NewTicker(repaint)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := s.paint(); err != nil {
				return err
			}
		case <-ctx.Done():
			return errors.Join(ctx.Err(), s.file.Close())
		}
	}
}

// Stains counts the pages of a stain by the boot whose mark they carry; what has
// none counts under "".
func Stains(r io.Reader) (map[string]int, error) {
	found := make(map[string]int)
	page := make([]byte, slot)
	for {
		if _, err := io.ReadFull(r, page); errors.Is(err, io.EOF) {
			return found, nil
		} else if err != nil {
			return nil, fmt.Errorf("read the stain: %w", err)
		}
		line, _, _ := bytes.Cut(page, []byte("\n"))
		boot := ""
		if fields := strings.Fields(string(line)); len(fields) == 4 && fields[0] == "stain" {
			boot = fields[2]
		}
		found[boot]++
	}
}

package workload

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"strconv"
	"time"
)

// A Record is one line of the file. Its checksum covers all of the line before
// it.
type Record struct {
	Seq  uint64 // from 1, without a gap
	Node string
	Boot string    // boot ID
	Time time.Time // the writer's wall clock, for the reader only
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// append adds the record's line to a buffer.
func (r Record) append(b []byte) []byte {
	from := len(b)
	b = fmt.Appendf(b, "%d %s %s %d", r.Seq, r.Node, r.Boot, r.Time.UnixNano())
	return fmt.Appendf(b, " %08x\n", crc32.Checksum(b[from:], castagnoli))
}

// parseRecord reads one line, without its end.
func parseRecord(line []byte) (Record, bool) {
	at := bytes.LastIndexByte(line, ' ')
	if at < 0 || string(line[at+1:]) != fmt.Sprintf("%08x", crc32.Checksum(line[:at], castagnoli)) {
		return Record{}, false
	}
	fields := bytes.Split(line[:at], []byte(" "))
	if len(fields) != 4 {
		return Record{}, false
	}
	seq, err1 := strconv.ParseUint(string(fields[0]), 10, 64)
	nanos, err2 := strconv.ParseInt(string(fields[3]), 10, 64)
	if err1 != nil || err2 != nil {
		return Record{}, false
	}
	return Record{seq, string(fields[1]), string(fields[2]), time.Unix(0, nanos).UTC()}, true
}

// Contents is what a file holds.
type Contents struct {
	Records []Record
	// Torn are the bytes after the last record: a write that a power cut
	// interrupted, and that nobody was told of.
	Torn int
}

// Read reads all records of a file. Whatever cannot be the work of one writer
// at a time, with power cuts, is an error: a number that is missing or twice
// there, a damaged line with a sound one after it.
func Read(file []byte) (Contents, error) {
	var c Contents
	size := len(file)
	for len(file) > 0 {
		line, rest, whole := bytes.Cut(file, []byte("\n"))
		r, ok := parseRecord(line)
		if !whole || !ok {
			c.Torn = len(file)
			return c, torn(file, size-len(file))
		}
		if want := uint64(len(c.Records)) + 1; r.Seq != want {
			return c, fmt.Errorf("record %d of node %s (boot %s) stands where record %d should, at byte %d",
				r.Seq, r.Node, r.Boot, want, size-len(file))
		}
		c.Records = append(c.Records, r)
		file = rest
	}
	return c, nil
}

// torn fails if there is any whole record left in what should be a torn tail.
func torn(tail []byte, at int) error {
	for rest := tail; ; {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		if !whole {
			return nil
		}
		if r, ok := parseRecord(line); ok {
			return fmt.Errorf("%q at byte %d is damaged, yet record %d of node %s (boot %s) follows it",
				head(tail), at, r.Seq, r.Node, r.Boot)
		}
		rest = after
	}
}

// head is enough of a text to recognise it.
func head(b []byte) []byte { return b[:min(len(b), 64)] }

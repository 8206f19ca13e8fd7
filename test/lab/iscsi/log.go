package iscsi

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/picket-dev/picket/test/cluster/rawclock"
)

// A Log is the record of all writes, one JSON line each, in a file. Nothing of
// it is kept in memory but the last write of each initiator, so that a lab may
// run as long as its disk lasts.
type Log struct {
	mu   sync.Mutex
	file *os.File
	seq  uint64
	last map[string]Write
}

// CreateLog makes an empty log in a file, which must not exist: evidence is
// not overwritten.
func CreateLog(path string) (*Log, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create the write log: %w", err)
	}
	return &Log{file: file, last: make(map[string]Write)}, nil
}

// record numbers and times a write, and puts it into the file before it
// returns. Times are read under the lock, so that they are in arrival order
// over all connections. It returns the number.
func (l *Log) record(w Write) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.Seq, w.At = l.seq+1, rawclock.Now()
	line, err := json.Marshal(w)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errNotRecorded, err)
	}
	if _, err := l.file.Write(append(line, '\n')); err != nil {
		return 0, fmt.Errorf("%w: %w", errNotRecorded, err)
	}
	l.seq = w.Seq
	if w.Kind != Sync {
		l.last[w.Initiator] = w
	}
	return w.Seq, nil
}

// errNotRecorded marks a write that did not pass because the log is broken.
var errNotRecorded = errors.New("a write was not recorded, and so not forwarded")

// Last returns the newest write of an initiator; false where there is none.
func (l *Log) Last(initiator string) (Write, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w, ok := l.last[initiator]
	return w, ok
}

// Writes reads back all records so far, oldest first. Writers wait meanwhile.
func (l *Log) Writes() ([]Write, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return ReadLog(l.file.Name())
}

// Close closes the file; further records fail, and their writes do not pass.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}

// ReadLog reads the log of a lab that has ended. A line that is damaged, or
// out of its order, is an error: half a log judges nobody.
func ReadLog(path string) ([]Write, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the write log: %w", err)
	}
	defer file.Close()
	var writes []Write
	decoder := json.NewDecoder(bufio.NewReader(file))
	for {
		var w Write
		if err := decoder.Decode(&w); errors.Is(err, io.EOF) {
			return writes, nil
		} else if err != nil {
			return nil, fmt.Errorf("read the write log after record %d: %w", len(writes), err)
		}
		if w.Seq != uint64(len(writes))+1 {
			return nil, fmt.Errorf("read the write log: record %d follows record %d", w.Seq, len(writes))
		}
		writes = append(writes, w)
	}
}

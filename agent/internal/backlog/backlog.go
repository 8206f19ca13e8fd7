package backlog

import (
	"bytes"
	"io"
	"log/slog"
	"sync"
	"time"
)

// room is how many bytes of lines may wait, about a thousand lines.
const room = 256 << 10

// A Backlog takes the lines of a log and passes them on from a goroutine of its
// own. Whoever logs never waits for whoever reads the log: a runtime that cannot
// write to its disk stops reading, the pipe fills, and a deadline would pass in a
// write to it. Each Write must be one line, as those of a slog.Handler are. It is
// safe for concurrent use.
type Backlog struct {
	to io.Writer

	mu      sync.Mutex // never held while something is written
	lines   []byte
	dropped int // since the last gap was told
	closed  bool

	wake chan struct{}
	done chan struct{}
}

// New returns a Backlog before a writer, which nobody else's lines must break:
// it gets each line in one Write. Close ends it.
func New(to io.Writer) *Backlog {
	b := &Backlog{to: to, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go b.run()
	return b
}

// Write takes a line, or drops it where there is no room or after Close. It does
// not wait, and has no error.
func (b *Backlog) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || len(b.lines)+len(line) > room {
		b.dropped++
	} else {
		b.lines = append(b.lines, line...)
	}
	b.stir()
	return len(line), nil
}

// Close passes on what is left, and gives up after the time within: then the
// goroutine stays where it hangs.
func (b *Backlog) Close(within time.Duration) {
	b.mu.Lock()
	b.closed = true
	b.stir()
	b.mu.Unlock()
	select {
	case <-b.done:
	case <-time.After(within):
	}
}

// stir wakes the goroutine, which may be awake.
func (b *Backlog) stir() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// run passes lines on until it is closed. A line that cannot be written is lost:
// there is nowhere to say so.
func (b *Backlog) run() {
	defer close(b.done)
	for range b.wake {
		lines, dropped, closed := b.take()
		for line := range bytes.Lines(lines) {
			_, _ = b.to.Write(line)
		}
		if dropped > 0 {
			slog.New(slog.NewTextHandler(b.to, nil)).Warn("lines of this log are missing here: nobody took them in time", "lines", dropped)
		}
		if closed {
			return
		}
	}
}

// take empties the backlog.
func (b *Backlog) take() (lines []byte, dropped int, closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	lines, dropped = b.lines, b.dropped
	b.lines, b.dropped = nil, 0
	return lines, dropped, b.closed
}

package main

import (
	"context"
	"log/slog"
	"time"
)

// journal logs from the pet loop, which must never wait for a log: entries go
// through a bounded channel to a goroutine, and are dropped when it is full.
type journal struct {
	entries chan entry
	done    chan struct{}
}

type entry struct {
	at    time.Time
	level slog.Level
	msg   string
	args  []any
}

// newJournal starts the goroutine, which ends with flush.
func newJournal(h slog.Handler) *journal {
	j := &journal{entries: make(chan entry, 64), done: make(chan struct{})}
	go func() {
		defer close(j.done)
		for e := range j.entries {
			r := slog.NewRecord(e.at, e.level, e.msg, 0)
			r.Add(e.args...)
			_ = h.Handle(context.Background(), r)
		}
	}()
	return j
}

func (j *journal) info(msg string, args ...any) { j.put(slog.LevelInfo, msg, args) }
func (j *journal) warn(msg string, args ...any) { j.put(slog.LevelWarn, msg, args) }

func (j *journal) put(level slog.Level, msg string, args []any) {
	select {
	case j.entries <- entry{time.Now(), level, msg, args}:
	default:
	}
}

// flush writes what is left, for a tenth of a second at most. Nothing may be
// logged afterwards.
func (j *journal) flush() {
	close(j.entries)
	select {
	case <-j.done:
	case <-time.After(100 * time.Millisecond):
	}
}

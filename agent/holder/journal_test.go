package main

import (
	"context"
	"log/slog"
	"testing"

	"go.uber.org/goleak"
)

// stuck is a log that nobody reads until it is released.
type stuck struct {
	slog.Handler
	release chan struct{}
	got     []string
}

func (s *stuck) Handle(_ context.Context, r slog.Record) error {
	<-s.release
	s.got = append(s.got, r.Message)
	return nil
}

// The pet loop must not wait for a log that hangs.
func TestJournalNeverBlocks(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	h := &stuck{release: make(chan struct{})}
	j := newJournal(h)
	for range 1000 {
		j.info("tick")
	}
	close(h.release)
	j.flush()
	if n := len(h.got); n < 64 || n > 66 {
		t.Errorf("%d entries of 1000 were kept, want about what the journal holds", n)
	}
}

package daemon

import (
	"context"
	"log/slog"
	"sync"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/proto/timing"
)

// journalSize is how many decisions `picket-agent why` can show.
const journalSize = 256

// An entry is one decision, when it was made, and what came of it.
type entry struct {
	at       timing.Instant
	note     decide.Note
	phase    decide.Phase
	reason   decide.Reason
	petUntil timing.Instant // zero while unarmed
	via      string
	sent     timing.Instant // of the best roll; zero without one
	serial   int64
}

func entryOf(at timing.Instant, n decide.Note, v decide.Verdict) entry {
	e := entry{at: at, note: n, phase: v.Phase, reason: v.Reason, via: v.Via}
	if gated(v) {
		e.petUntil = v.PetUntil
	}
	if v.Relay != nil {
		e.sent, e.serial = v.Relay.Sent, v.Relay.Roll.Serial
	}
	return e
}

// A journal logs decisions and keeps the newest. Logging happens on a goroutine
// of its own, so that a log that blocks cannot delay a deadline; what does not
// fit is dropped from the log, never from the journal.
type journal struct {
	log   *slog.Logger
	lines chan decide.Note

	mu      sync.Mutex
	entries []entry
}

func newJournal(log *slog.Logger) *journal {
	return &journal{log: log, lines: make(chan decide.Note, journalSize)}
}

// run writes log lines until ctx ends.
func (j *journal) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case n := <-j.lines:
			j.log.Info("decided", "rule", string(n.Rule), "what", n.What)
		}
	}
}

// note enters a decision and the verdict that it led to.
func (j *journal) note(at timing.Instant, n decide.Note, v decide.Verdict) {
	j.mu.Lock()
	j.entries = append(j.entries, entryOf(at, n, v))
	if len(j.entries) > journalSize {
		j.entries = j.entries[1:]
	}
	j.mu.Unlock()
	select {
	case j.lines <- n:
	default:
	}
}

// all returns what is kept, oldest first.
func (j *journal) all() []entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]entry(nil), j.entries...)
}

package daemon

import (
	"context"
	"log/slog"
	"strings"
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
	j.enter(entryOf(at, n, v))
	select {
	case j.lines <- n:
	default:
	}
}

// turn enters a change of phase or reason, which has a line of its own in the log.
func (j *journal) turn(at timing.Instant, before *decide.Verdict, v decide.Verdict) {
	if v.Phase == decide.PhaseUnknown {
		return // it says nothing before the holder's first word
	}
	what := "the node is " + standing(v)
	if before != nil && before.Phase != decide.PhaseUnknown {
		what += ", was " + standing(*before)
	}
	if v.Message != "" {
		what += ": " + v.Message
	}
	j.enter(entryOf(at, decide.Note{Rule: ruleOf(v), What: what}, v))
}

func standing(v decide.Verdict) string {
	return strings.TrimSpace(v.Phase.String() + " " + string(v.Reason))
}

// ruleOf is the rule by which a node is in that phase for that reason.
func ruleOf(v decide.Verdict) decide.Rule {
	switch v.Reason {
	case decide.ReasonWithheld:
		return decide.A1
	case decide.ReasonDeadline:
		return decide.A6
	case decide.ReasonFenced:
		return decide.A14
	case decide.ReasonSuspected:
		return decide.A3
	case decide.ReasonPeersLost:
		return decide.A7
	case decide.ReasonDeviceFailed:
		return decide.A11
	case decide.ReasonStopping, decide.ReasonShutdown, decide.ReasonSelfTest:
		return decide.A13
	case decide.ReasonNone:
		return decide.A2
	default: // the host's and the controller's too
		return decide.A12
	}
}

func (j *journal) enter(e entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, e)
	if len(j.entries) > journalSize {
		j.entries = j.entries[1:]
	}
}

// all returns what is kept, oldest first.
func (j *journal) all() []entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]entry(nil), j.entries...)
}

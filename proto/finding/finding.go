package finding

import (
	"cmp"
	"slices"
	"strings"

	"github.com/picket-dev/picket/proto/screen"
)

// An ID is the one word by which a finding is known: in scripts, and as its entry
// in the runbook.
type ID string

// Severity is how bad a finding is. The zero Severity is Unjudged.
type Severity int

const (
	// Unjudged is the Severity of what nobody has judged.
	Unjudged Severity = iota
	// Note is good to know; nothing needs to be done.
	Note
	// Warning makes a fence slower or later, or fails in a rarer case.
	Warning
	// Error keeps nodes unguarded, can reset one without need, or lets two write.
	Error
)

// String returns the word for the severity.
func (s Severity) String() string {
	switch s {
	case Note:
		return "note"
	case Warning:
		return "warning"
	case Error:
		return "error"
	case Unjudged:
	}
	return "unjudged"
}

// MarshalText writes the word.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A Finding is something that is not as it should be, or that could not be seen.
type Finding struct {
	ID       ID       `json:"id"`
	Severity Severity `json:"severity"`
	// Check names the check that made it.
	Check string `json:"check"`
	// What was found, in one sentence.
	What string `json:"what"`
	// Why it matters.
	Why string `json:"why"`
	// Fix is what mends it: lines for a shell. A line that begins with # is for
	// the reader.
	Fix string `json:"fix,omitempty"`
	// Unseen says that the check could not be made: what it would have found is
	// not known.
	Unseen bool `json:"unseen,omitempty"`
}

// A Check is one thing that was looked at.
type Check struct {
	Name string `json:"name"`
	// Saw is what there was to see.
	Saw string `json:"saw"`
}

// A Report is what a doctor says about one subject: a node, or a cluster.
type Report struct {
	Subject string `json:"subject"`
	// Findings are sorted, the worst first.
	Findings []Finding `json:"findings"`
	// Checks are in the order in which they were made.
	Checks []Check `json:"checks"`
}

// New returns a report that has looked at nothing yet.
func New(subject string) *Report {
	return &Report{Subject: subject, Findings: []Finding{}, Checks: []Check{}}
}

// Add adds a check, what it saw and what it found.
func (r *Report) Add(check, saw string, found ...Finding) {
	r.Checks = append(r.Checks, Check{Name: check, Saw: saw})
	for _, f := range found {
		f.Check = check
		r.Findings = append(r.Findings, f)
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return cmp.Compare(b.Severity, a.Severity) })
}

// Count returns how many findings are that severe.
func (r *Report) Count(s Severity) int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// Worst returns the severity of the worst finding, Unjudged if there is none.
func (r *Report) Worst() Severity {
	if len(r.Findings) == 0 {
		return Unjudged
	}
	return r.Findings[0].Severity
}

// The exit codes of a doctor.
const (
	CodeFine   = 0 // no error was found
	CodeErrors = 1 // errors were found
	CodeUnseen = 2 // none was found, but not everything could be looked at
)

// Code returns the exit code: warnings and notes are no failure, and an error
// counts more than what could not be seen.
func (r *Report) Code() int {
	switch {
	case r.Worst() == Error:
		return CodeErrors
	case slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Unseen }):
		return CodeUnseen
	}
	return CodeFine
}

// Summary says in a line what was found.
func (r *Report) Summary() string {
	var parts []string
	for _, s := range []struct {
		severity  Severity
		one, many string
	}{{Error, "error", "errors"}, {Warning, "warning", "warnings"}, {Note, "note", "notes"}} {
		if n := r.Count(s.severity); n > 0 {
			parts = append(parts, screen.Count(n, s.one, s.many))
		}
	}
	if len(parts) == 0 {
		return "nothing found"
	}
	return strings.Join(parts, ", ")
}

package judge

import (
	"errors"
	"fmt"
	"time"
)

// Kind is what a Finding is about.
type Kind string

const (
	// TwoWriters is a write that must not be.
	TwoWriters Kind = "two writers"
	// Lost is an acknowledged record that is not there.
	Lost Kind = "lost"
	// Damaged is a file of records that is not in order.
	Damaged Kind = "damaged"
	// HealthyReset is a boot that ended though nothing was wrong with it.
	HealthyReset Kind = "reset of a healthy node"
	// Blind is evidence that is missing: it proves no guilt, and no innocence.
	Blind Kind = "blind"
)

// A Finding is one thing that must not be, in words.
type Finding struct {
	Kind Kind
	What string
}

// String is for logs.
func (f Finding) String() string { return fmt.Sprintf("%s: %s", f.Kind, f.What) }

// A Verdict is what became of the promises.
type Verdict struct {
	// TwoWriters counts writes, Late those of them that a fenced boot sent after
	// its taint, Lost acknowledged records, HealthyResets boots.
	TwoWriters    int
	Late          int
	Lost          int
	HealthyResets int
	// Findings explain each of them, and hold whatever else was found.
	Findings []Finding
}

// Err is nil if nothing was found.
func (v Verdict) Err() error {
	var all []error
	for _, f := range v.Findings {
		all = append(all, errors.New(f.String()))
	}
	return errors.Join(all...)
}

func (v *Verdict) find(kind Kind, format string, args ...any) {
	v.Findings = append(v.Findings, Finding{kind, fmt.Sprintf(format, args...)})
}

// Judge looks at all of the evidence.
func Judge(e Evidence) Verdict {
	var v Verdict
	e.judgeWrites(&v)
	e.judgeVolumes(&v)
	e.judgeTenures(&v)
	e.judgeRecords(&v)
	e.judgeBoots(&v)
	return v
}

// when is a time as the scenario counts.
func (e *Evidence) when(at time.Duration) string {
	return fmt.Sprintf("%+.3f s", (at - e.Since).Seconds())
}

// judgeBoots finds boots that ended for no reason of the scenario's.
func (e *Evidence) judgeBoots(v *Verdict) {
	for _, b := range e.Boots {
		if b.End == 0 || b.End < e.Since || b.Doomed {
			continue
		}
		v.HealthyResets++
		v.find(HealthyReset, "%s (boot %s) ended at %s: %s", b.Node, b.ID, e.when(b.End), b.Cause)
	}
}

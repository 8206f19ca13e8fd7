package watchdog

import (
	"errors"
	"slices"
	"time"

	"github.com/picket-dev/picket/proto/timing"
)

// A Record is what self-tests left on the host's disk. The zero Record is that
// of a host that was never tested.
type Record struct {
	// Trial is the one whose outcome is not known yet.
	Trial *Trial `json:"trial,omitempty"`
	// Findings are the newest for each Key.
	Findings []Finding `json:"findings,omitempty"`
	// Last is what came of the last trial, in words, and At when, by the wall
	// clock.
	Last string    `json:"last,omitempty"`
	At   time.Time `json:"at,omitzero"`
}

// RecordFile is the name, without .json, under which a Record is kept.
const RecordFile = "selftest"

// keep bounds the findings: a few devices under a few kernels.
const keep = 16

// Validate returns an error for a record that no agent writes.
func (r Record) Validate() error {
	if t := r.Trial; t != nil && (t.Boot == "" || t.Timeout <= 0 || t.Timeout > timing.MaxTerm || t.Identity == "") {
		return errors.New("a self-test lacks its boot or device, or has an impossible timeout")
	}
	for _, f := range r.Findings {
		if f.Timeout <= 0 || f.Identity == "" || f.Resets && (f.Kappa < 1000 || f.Kappa > kappaMost) {
			return errors.New("a finding of a self-test lacks its timeout or device, or has an impossible κ")
		}
	}
	return nil
}

// Of returns the finding about the device with these facts under that kernel.
func (r Record) Of(f Facts, kernel string) (Finding, bool) {
	i := slices.IndexFunc(r.Findings, func(x Finding) bool { return x.Key == f.Key(kernel) })
	if i < 0 || f.Identity == "" || kernel == "" {
		return Finding{}, false
	}
	return r.Findings[i], true
}

// With returns the record with a new finding in place of the one about the
// same Key. Of two measurements the larger κ stays: whoever knows it to be wrong
// removes the file.
func (r Record) With(f Finding) Record {
	all := make([]Finding, 0, len(r.Findings)+1)
	for _, x := range r.Findings {
		if x.Key != f.Key {
			all = append(all, x)
		} else if x.Resets && f.Resets && x.Kappa > f.Kappa {
			f.Kappa = x.Kappa
		}
	}
	all = append(all, f)
	r.Findings = all[max(0, len(all)-keep):]
	return r
}

// Apply tells each candidate what self-tests under that kernel have found.
func (r Record) Apply(candidates []Candidate, kernel string) {
	for i := range candidates {
		c := &candidates[i]
		f, ok := r.Of(c.Info.Facts(), kernel)
		switch {
		case ok && f.Resets:
			c.Measured = f.Kappa
		case ok:
			c.Failed = f.String()
		}
	}
}

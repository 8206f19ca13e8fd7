package watchdog

import (
	"errors"
	"fmt"
	"time"
)

// A Key names what a self-test speaks for. Its findings are void for any other
// driver, device or kernel.
type Key struct {
	Driver   string `json:"driver"`
	Identity string `json:"identity"`
	// Kernel is the release of the kernel, as uname -r.
	Kernel string `json:"kernel"`
}

// Key returns the Key of the device with these facts under that kernel.
func (f Facts) Key(kernel string) Key {
	return Key{Driver: f.Driver, Identity: f.Identity, Kernel: kernel}
}

// A Trial is a self-test that was begun: what is on disk before the last ping.
type Trial struct {
	// Boot is the one that the watchdog should end.
	Boot string `json:"boot"`
	Key
	// Timeout is T.
	Timeout time.Duration `json:"timeout"`
	// Neighbours are those who said that they time it.
	Neighbours []string `json:"neighbours"`
	// Began is by the wall clock, for people.
	Began time.Time `json:"began"`
	// Spoilt is why the outcome means nothing, or empty.
	Spoilt string `json:"spoilt,omitempty"`
}

// A Silence is how long a neighbour heard a boot after the last ping of its
// watchdog.
type Silence struct {
	Boot string
	// Lasted is the time from that ping to the last sign of life, on the
	// neighbour's clock.
	Lasted time.Duration
	// Gap is the longest time between two signs of life.
	Gap time.Duration
	// Beats is how many there were.
	Beats int
}

// A Finding is what a self-test found.
type Finding struct {
	Key
	// Resets says that the watchdog reset the node. False is a finding, too.
	Resets bool `json:"resets"`
	// Kappa is κ·1000 as measured, rounded up; 0 unless Resets.
	Kappa int `json:"kappa,omitempty"`
	// Timeout is T, Lasted the real time to the reset, at most.
	Timeout time.Duration `json:"timeout"`
	Lasted  time.Duration `json:"lasted,omitempty"`
	// Neighbours is how many timed it.
	Neighbours int `json:"neighbours,omitempty"`
	// Began is the Trial's.
	Began time.Time `json:"began"`
}

// String says it in one sentence.
func (f Finding) String() string {
	if !f.Resets {
		return fmt.Sprintf("%s did not reset the node within %v of a timeout of %v", f.Driver, patience(f.Timeout), f.Timeout)
	}
	return fmt.Sprintf("%s resets within %v of a timeout of %v: κ=%s, timed by %d neighbours",
		f.Driver, f.Lasted.Round(10*time.Millisecond), f.Timeout, Kappa(f.Kappa), f.Neighbours)
}

const (
	// TestBeat is the interval of the signs of life during a self-test.
	TestBeat = 50 * time.Millisecond

	// A real time of less than 0.9·T or more than 4·T is no watchdog's doing:
	// drivers act on the first or on the second expiry.
	kappaLeast, kappaMost = 900, 4000

	// coarse is the part of T by which a neighbour's gaps make its timing
	// worthless.
	coarse = 10
)

// patience is how long after its last ping a watchdog must have reset the node.
func patience(t time.Duration) time.Duration { return t*kappaMost/1000 + 5*time.Second }

// Overdue reports whether a boot that lives so long after the last ping proves
// that its watchdog does not reset it.
func (t Trial) Overdue(age time.Duration) bool { return age > patience(t.Timeout) }

// Failed returns the finding of a trial that is overdue.
func (t Trial) Failed() Finding { return Finding{Key: t.Key, Timeout: t.Timeout, Began: t.Began} }

// Judge returns what a trial has found, in a later boot of the node, by what
// its neighbours timed. An error says why the trial tells nothing.
//
// The node lived until its last sign of life at least, and died before the next
// one would have come; of what the neighbours say, the longest counts. So
// Finding.Kappa is too large by the gap at most, and too small only where every
// neighbour lost the node before it died.
//
// Judge cannot tell a watchdog from another cause that reset the node in the
// same time. The caller marks a trial as Spoilt where it knows of one.
//
// A measured κ raises the one to count with and never lowers it. A dog that
// acts on the second expiry bites at the first if one was pending already,
// which some keep over a reset: a single measurement after a reset may then be
// half of the truth, and so may all that follow, since each of them is one
// after a reset. To count with a larger κ costs no time: T is chosen so that κT
// stays within the profile's bound either way.
func Judge(t Trial, boot string, heard []Silence) (Finding, error) {
	switch {
	case t.Spoilt != "":
		return Finding{}, errors.New(t.Spoilt)
	case boot == t.Boot:
		return Finding{}, errors.New("the node was not reset yet")
	case t.Timeout <= 0:
		return Finding{}, fmt.Errorf("a timeout of %v was not tested", t.Timeout)
	}
	var longest time.Duration
	n, fine := 0, false
	for _, s := range heard {
		if s.Boot != t.Boot || s.Beats < 2 {
			continue
		}
		n++
		resolution := TestBeat
		if s.Gap <= t.Timeout/coarse {
			fine, resolution = true, max(s.Gap, TestBeat)
		}
		longest = max(longest, s.Lasted+resolution)
	}
	if !fine {
		return Finding{}, errors.New("no neighbour timed it well: their links to this node must be steady")
	}
	kappa := (longest*1000 + t.Timeout - 1) / t.Timeout // of a day at most: no overflow
	if kappa < kappaLeast || kappa > kappaMost {
		return Finding{}, fmt.Errorf("the node died %v after the last ping, with a timeout of %v: that was not the watchdog's doing", longest, t.Timeout)
	}
	return Finding{Key: t.Key, Resets: true, Kappa: max(int(kappa), 1000), Timeout: t.Timeout,
		Lasted: longest, Neighbours: n, Began: t.Began}, nil
}

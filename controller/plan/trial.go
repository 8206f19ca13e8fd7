package plan

import (
	"slices"

	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// A trial is what this leader itself has observed of one fence in its present
// phase. None of it is ever inherited: a new leader, a new phase or a gap
// starts a new one.
type trial struct {
	node  string
	phase Phase
	since timing.Instant // when this leader first saw the phase
	// serial is that of the Roll in which this leader first saw the phase: at
	// least that of the write that began it.
	serial int64

	retreat *retreat // decided; nil: not

	gate map[string]streak // suspected: the reads of each witness

	saw    *Saw           // newest consistent look
	after  timing.Instant // the next look must be sent after this
	marked bool           // our quarantine was seen on the node

	judged   bool           // withheld: the NodeGuard was read after the commit
	proof    bool           // withheld: a proof has shortened the way
	promise  timing.Promise // what it promised
	silenced bool           // withheld: the pods' endpoints were dropped
	counting bool           // withheld: c was read
	deadline timing.Instant // c + W
	acked    []string       // by whom, as of c
	told     Step           // what the timeline must say of the wait
	steps    int            // how long the timeline was before
	life     string         // signs of life as of c
	changed  timing.Instant // when they changed last; zero: never since c
	guarded  timing.Instant // since when the NoExecute quarantine is known to stand

	back timing.Instant // detached: since when but for its neighbours nothing is held against the new boot

	survey  *Surveyed      // newest count of what is left
	counted timing.Instant // when it came
	again   timing.Instant // the next one must be sent after this
}

// trial returns the trial of the fence in the phase, a new one if there is none.
func (p *step) trial(f *Fence, phase Phase) *trial {
	id := f.Status.Fence
	t := p.trials[id]
	if t == nil || t.phase != phase {
		t = &trial{
			node: f.Status.Node, phase: phase, since: p.now, serial: p.w.Roll.Serial,
			gate: make(map[string]streak), after: p.now, again: p.now,
		}
		p.trials[id] = t
	}
	return t
}

// look returns the newest look that was sent at or after t.after, or asks for
// one and returns nil.
func (p *step) look(f *Fence, t *trial) *Saw {
	if t.after.Elapsed(p.now) < 0 {
		p.wakeAt(t.after)
		return nil
	}
	if t.saw != nil && t.after.Elapsed(t.saw.Sent) >= 0 {
		return t.saw
	}
	p.do(Look{Fence: f.Status.Fence, Node: f.Status.Node})
	return nil
}

// A streak is a witness's run of consecutive fresh reads that showed a
// suspicion, as this leader saw it grow.
type streak struct {
	boot  string
	last  int64 // the witness's own count
	reads int   // reads that count
	at    timing.Instant
}

// countReads updates the streaks, and reports whether the gate is open: r
// consecutive reads by C witnesses other than the suspect in every epoch, and
// every one of them fresh.
func (p *step) countReads(f *Fence, t *trial) bool {
	profile := p.w.Policy.Profile
	stale := 2 * profile.RollInterval
	for _, name := range p.w.Roll.Witnesses() {
		s := p.w.Guards[name].Status
		if name == f.Status.Node || s.History != p.w.Roll.History || s.Serial < t.serial || s.Streak < 1 {
			continue
		}
		k, known := t.gate[name]
		switch {
		case !known, k.boot != s.Boot, s.Streak < k.last, k.at.Age(p.now) > stale:
			k = streak{boot: s.Boot, last: s.Streak, reads: 1, at: p.now}
		case s.Streak > k.last:
			k.reads += int(s.Streak - k.last)
			k.last, k.at = s.Streak, p.now
		}
		t.gate[name] = k
	}
	return p.covered(func(w string) bool {
		k := t.gate[w]
		return w != f.Status.Node && k.reads >= profile.GateReads && k.at.Age(p.now) <= stale
	})
}

// acknowledged lists the witnesses other than the victim that have read a Roll
// which withholds this very fence, at the serial that this leader saw or a
// later one, and reports whether they suffice in every listed epoch. A witness
// that is dead can speak no more, and counts.
func (p *step) acknowledged(f *Fence, t *trial) ([]string, bool) {
	has := func(w string) bool {
		s := p.w.Guards[w].Status
		heard := s.History == p.w.Roll.History && s.Serial >= t.serial && slices.Contains(s.Fences, f.Status.Fence)
		return w != f.Status.Node && (heard || p.dead(w, t.since))
	}
	var names []string
	for _, w := range p.w.Roll.Witnesses() {
		if has(w) {
			names = append(names, w)
		}
	}
	return names, p.covered(func(w string) bool { return slices.Contains(names, w) })
}

// covered reports whether at least C witnesses of every epoch satisfy ok.
// Without an epoch nothing is covered.
func (p *step) covered(ok func(witness string) bool) bool {
	for _, e := range p.w.Roll.Epochs {
		if count(e, ok) < e.Cover() {
			return false
		}
	}
	return len(p.w.Roll.Epochs) > 0
}

func count(e roll.Epoch, ok func(string) bool) int {
	n := 0
	for _, w := range e.Witnesses {
		if ok(w) {
			n++
		}
	}
	return n
}

// provenDead reports whether the node's last known boot was fenced to the end.
// A later boot may run already.
func (p *step) provenDead(node string) bool {
	f := p.open[node]
	if f == nil || f.Status.Phase != Fenced && f.Status.Phase != Detached {
		return false
	}
	return p.w.Guards[node].Status.Boot == f.Status.Boot
}

// dead reports whether no boot of the node speaks as a witness from a Roll that
// it read before since: its last boot was fenced to the end, and a look that
// was sent after since shows that none has published after it. (A boot
// publishes before it reads what it will state: PROTOCOL.md §3.)
func (p *step) dead(node string, since timing.Instant) bool {
	if !p.provenDead(node) {
		return false
	}
	f := p.open[node]
	t := p.trial(f, f.Status.Phase)
	if t.saw == nil || since.Elapsed(t.saw.Sent) < 0 {
		p.do(Look{Fence: f.Status.Fence, Node: node})
		return false
	}
	return t.saw.Guard != nil && t.saw.Guard.Status.Boot == f.Status.Boot
}

package plan

import (
	"fmt"
	"slices"

	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// memory is what this leader has seen of the Roll.
type memory struct {
	id      string
	serial  int64          // the highest, of whatever history
	claim   int64          // the newest serial that some agent claimed to have read, when
	claimed timing.Instant // the one claimed before had turned out to be true
}

// readRoll takes the Roll and reports whether the step can go on. A Roll that
// is missing, was deleted or went back starts a new history, which pauses
// fencing until a human resumes it (PROTOCOL.md §6).
func (p *step) readRoll() bool {
	r := p.w.Roll
	if r == nil {
		p.createRoll()
		return false
	}
	if r.Deleting {
		p.event("", true, C9, "RollDeleted", "somebody deleted the Roll: starting a new history")
		p.do(ReleaseRoll{Version: r.Version})
		return false
	}
	p.next = *r // but for the lists that this step may change
	p.next.Epochs, p.next.Entries = slices.Clone(r.Epochs), slices.Clone(r.Entries)
	if why := p.wentBack(); why != "" {
		p.startHistory(why)
		p.writeRoll()
		return false
	}
	p.Core.history.serial = r.Serial
	if r.Broken != "" && p.w.Policy.ResumeHistory == r.History {
		p.next.Broken = ""
		p.event("", false, C9, "HistoryResumed", "fencing goes on under history %s", r.History)
	}
	return true
}

// createRoll makes the first Roll, or a broken one if there was one before.
func (p *step) createRoll() {
	r := Roll{Roll: roll.Roll{History: p.cfg.NewID(), Serial: p.highest() + 1}}
	for _, g := range p.w.Guards {
		if g.Status.History != "" {
			r.Broken = "the Roll was deleted"
		}
	}
	if p.Core.history.id != "" || len(p.w.Fences) > 0 {
		r.Broken = "the Roll was deleted"
	}
	p.keepDecided(&r)
	p.do(PutRoll{Roll: r})
}

// leap is more writes than any backup that is restored can be behind.
const leap = 1 << 40

// claimed returns the serial of the newest Roll that the node's agent says it has
// read. One that cannot be is none: a history must begin above it.
func (p *step) claimed(m *member) int64 {
	if s := m.guard.Status.Serial; s <= p.Core.history.serial+leap {
		return s
	}
	return 0
}

// highest returns the highest serial that this leader or an agent has read.
// Serials never go back, not even from one history to the next: by that a Roll
// of an earlier history is known that comes back.
func (p *step) highest() int64 {
	serial := p.Core.history.serial
	for i := range p.members {
		serial = max(serial, p.claimed(&p.members[i]))
	}
	return serial
}

// wentBack says why the Roll is not what it was, or nothing.
func (p *step) wentBack() string {
	r := p.w.Roll
	h := &p.Core.history
	if h.id != r.History { // somebody began a new one: what was observed of the old one is void
		h.id = r.History
		clear(p.trials)
		clear(p.named)
	}
	if r.Serial < h.serial {
		return fmt.Sprintf("serial %d after %d", r.Serial, h.serial)
	}
	var ahead string
	var serial int64
	for i := range p.members {
		m := &p.members[i]
		s := &m.guard.Status
		if s.HistoryBroken != "" && s.History == r.History {
			return fmt.Sprintf("%s reports: %s", m.Name, s.HistoryBroken)
		}
		if claim := p.claimed(m); claim > serial {
			ahead, serial = m.Name, claim
		}
	}
	if h.claim <= r.Serial {
		h.claim, h.claimed = serial, p.now
	}
	// Only a read that was sent after the claim was seen can convict.
	if min(h.claim, serial) > r.Serial && r.Sent.After(h.claimed) {
		return fmt.Sprintf("%s has read serial %d, the Roll has %d", ahead, serial, r.Serial)
	}
	return ""
}

// startHistory begins anew in place. Fences that are not decided get a new ID
// when they find their entry gone.
func (p *step) startHistory(why string) {
	p.event("", true, C9, "HistoryBroken",
		"the Roll's history broke (%s): fencing is paused until FencingPolicy spec.resumeHistory names the new one", why)
	p.next.History = p.cfg.NewID()
	p.next.Broken = why
	p.next.Entries = nil
	p.keepDecided(&p.next)
	clear(p.trials)
}

// keepDecided lists the boots that are already proven dead: their entries do
// not depend on any wait.
func (p *step) keepDecided(r *Roll) {
	for _, f := range p.w.Fences {
		st := f.Status
		if (st.Phase == Fenced || st.Phase == Detached) && r.Entry(st.Boot).State == roll.Unlisted {
			r.Entries = append(r.Entries, roll.Entry{
				Node: st.Node, UID: st.NodeUID, Boot: st.Boot, Fence: st.Fence, State: roll.Withheld,
			})
		}
	}
}

// paused says why a broken history keeps fencing paused, or nothing.
func (p *step) paused() string {
	if p.w.Roll.Broken == "" || p.w.Policy.ResumeHistory == p.w.Roll.History {
		return ""
	}
	return fmt.Sprintf("HistoryBroken: %s; to resume, set FencingPolicy spec.resumeHistory to %s",
		p.w.Roll.Broken, p.w.Roll.History)
}

package plan

import (
	"fmt"

	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// memory is what this leader has seen of the Roll.
type memory struct {
	id     string
	serial int64
	ahead  timing.Instant // since when some agent claims a higher serial than the Roll's
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
	p.next = *r
	p.next.Roll = r.Clone()
	if why := p.wentBack(); why != "" {
		p.startHistory(why)
		p.writeRoll()
		return false
	}
	if p.Core.history.id != r.History {
		clear(p.trials) // another leader began a new one: what was observed of the old one is void
	}
	p.Core.history.id, p.Core.history.serial = r.History, r.Serial
	if r.Broken != "" && p.w.Policy.ResumeHistory == r.History {
		p.next.Broken = ""
		p.event("", false, C9, "HistoryResumed", "fencing goes on under history %s", r.History)
	}
	return true
}

// createRoll makes the first Roll, or a broken one if there was one before.
func (p *step) createRoll() {
	r := Roll{Roll: roll.Roll{History: p.cfg.NewID(), Serial: 1}}
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

// wentBack says why the Roll is not what it was, or nothing.
func (p *step) wentBack() string {
	r := p.w.Roll
	if p.Core.history.id == r.History && r.Serial < p.Core.history.serial {
		return fmt.Sprintf("serial %d after %d", r.Serial, p.Core.history.serial)
	}
	ahead := ""
	for _, name := range p.names {
		g := p.w.Guards[name]
		if g.Status.History != r.History {
			continue
		}
		if g.Status.HistoryBroken != "" {
			return fmt.Sprintf("%s reports: %s", g.Name, g.Status.HistoryBroken)
		}
		if g.Status.Serial > r.Serial {
			ahead = fmt.Sprintf("%s has read serial %d, the Roll has %d", g.Name, g.Status.Serial, r.Serial)
		}
	}
	if ahead == "" {
		p.Core.history.ahead = timing.Instant{}
		return ""
	}
	if p.Core.history.ahead.IsZero() {
		p.Core.history.ahead = p.now
	}
	// Only a read that was sent after the claim was seen can convict.
	if r.Sent.After(p.Core.history.ahead) {
		return ahead
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
	p.Core.history = memory{}
	clear(p.trials)
}

// keepDecided lists the boots that are already proven dead: their entries do
// not depend on any wait.
func (p *step) keepDecided(r *Roll) {
	for _, f := range p.w.Fences {
		if st := f.Status; st.Phase == Fenced || st.Phase == Detached {
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

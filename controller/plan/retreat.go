package plan

import (
	"fmt"

	"github.com/picket-dev/picket/proto/roll"
)

// A retreat is the decision to drop a fence that must not come to its end. It
// stands until the fence has reached the phase.
type retreat struct {
	to   Phase
	rule Rule
	why  string
}

const spoke = "the node has spoken: it refutes the suspicion"

// startOver is the retreat of a fence whose entry is gone from the Roll or says
// less than it did: the Roll went back or was made anew. It begins again under
// a new ID.
//
//nolint:gochecknoglobals // a constant, but for its type
var startOver = retreat{Pending, C10, "the Roll lists this fence no more: it starts again"}

// retreat carries out the decision: first our taints go, then the entry, then
// the phase changes. A stale leader that is about to taint finds the Node
// changed.
func (p *step) retreat(f *Fence, r retreat) {
	st := &f.Status
	t := p.trial(f, st.Phase)
	if t.retreat == nil {
		t.retreat = &r
		t.after = p.now
	}
	st.WaitsFor = fmt.Sprintf("%s: %s; taking back what was written", r.rule, r.why)
	// A suspicion has no marks, unless a rival withheld the boot meanwhile.
	if (st.Phase != Suspected || p.entry(st.Fence) == roll.Withheld) && !p.unmarked(f, t) {
		return
	}
	p.dropEntry(st.Fence)
	if p.entry(st.Fence) != roll.Unlisted {
		return
	}
	delete(p.trials, st.Fence)
	st.DeadlineIn = 0
	if r.to == Pending {
		p.attempt(f)
		st.Acknowledged = nil
	}
	st.enter(r.to, r.rule, "%s", r.why)
	p.event(st.Node, false, r.rule, string(r.to), "fence %s: %s", f.Name, r.why)
}

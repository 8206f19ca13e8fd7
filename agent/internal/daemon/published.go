package daemon

import (
	"sync/atomic"

	"github.com/picket-dev/picket/agent/decide"
)

// Published is the phase and the reason that the API server has acknowledged
// last. The zero value is none.
type published struct{ last atomic.Pointer[standpoint] }

// A standpoint is a phase and why the node is in it.
type standpoint struct {
	phase  decide.Phase
	reason decide.Reason
}

// hear takes an event, and the verdict before it. A server that drops a field
// has stored the others: what the core said when it heard so stands there.
func (p *published) hear(e decide.Event, before *decide.Verdict) {
	switch e := e.(type) {
	case decide.Published:
		p.last.Store(&standpoint{e.Status.Phase, e.Status.Reason})
	case decide.Pruned:
		if before != nil {
			p.last.Store(&standpoint{before.Status.Phase, before.Status.Reason})
		}
	}
}

// has reports whether the API server knows the status's phase and reason.
func (p *published) has(s decide.Status) bool {
	last := p.last.Load()
	return last != nil && *last == standpoint{s.Phase, s.Reason}
}

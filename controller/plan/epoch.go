package plan

import (
	"slices"

	"github.com/picket-dev/picket/controller/topology"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// change is what this leader remembers of a change of witnesses.
type change struct {
	fit     []topology.Node // who can be a witness
	spare   []topology.Node // space for the next such list
	current []string        // who is
	want    []string        // the set that should be
	since   timing.Instant  // since when it should
	listed  []roll.Epoch    // the epochs as this leader last saw them
	serial  int64           // the Roll's serial when it first saw them so
	seen    timing.Instant  // and when that was
}

// epochs moves the Roll towards the wanted set of witnesses: (i) the new epoch
// beside the old one, (ii) the old one retiring, (iii) the old one gone, each
// only when the acknowledgements of the one before are there (PROTOCOL.md §3).
func (p *step) epochs() {
	listed := p.w.Roll.Epochs
	if !slices.EqualFunc(listed, p.change.listed, sameEpoch) {
		p.change.listed = listed
		p.change.serial = p.w.Roll.Serial
		p.change.seen = p.now
	}
	p.chooseWitnesses()
	switch {
	case len(listed) == 0:
		p.addEpoch(1)
	case len(listed) == 1 && !slices.Equal(listed[0].Witnesses, p.change.want):
		if p.change.since.Elapsed(p.now) >= p.w.Policy.Profile.RollLife {
			p.addEpoch(listed[0].Number + 1)
		}
	case len(listed) > 1:
		p.retire(listed[0], listed[len(listed)-1])
	}
}

// chooseWitnesses finds the wanted set. A witness stays while its node exists
// and is not fenced to the end; a new one must be well now.
func (p *step) chooseWitnesses() {
	var current []string
	if n := len(p.w.Roll.Epochs); n > 0 {
		current = p.w.Roll.Epochs[n-1].Witnesses
	}
	c := &p.change
	fit := c.spare[:0]
	for i := range p.members {
		m := &p.members[i]
		if slices.Contains(current, m.Name) && !p.provenDead(m.Name) || p.well(m) {
			fit = append(fit, p.seats[i])
		}
	}
	c.spare = fit
	if slices.Equal(fit, c.fit) && slices.Equal(current, c.current) {
		return
	}
	c.fit, c.spare, c.current = fit, c.fit, current
	if want := topology.Witnesses(fit, nil, current); !slices.Equal(want, c.want) {
		c.want = want
		c.since = p.now
	}
}

// well reports whether a node's agent runs and nothing is held against it.
func (p *step) well(m *member) bool {
	return m != nil && m.answers() && m.guard.Status.Fingerprint != "" && !m.guard.Status.PeersLost &&
		!p.listed(m.Name) && !m.verdict.lost
}

func (p *step) addEpoch(number int64) {
	if len(p.change.want) < 3 && !p.w.Policy.AcceptTwoNodes || len(p.change.want) == 0 {
		return
	}
	p.next.Epochs = append(p.next.Epochs, roll.Epoch{Number: number, Witnesses: slices.Clone(p.change.want)})
}

// retire takes the older of two epochs through (ii) and (iii).
func (p *step) retire(old, young roll.Epoch) {
	acked := func(w string) bool {
		s := p.w.Guards[w].Status
		return s.History == p.w.Roll.History && s.Serial >= p.change.serial
	}
	if !old.Retiring {
		silent := slices.ContainsFunc(young.Witnesses, func(w string) bool { return p.well(p.member(w)) && !acked(w) })
		if !silent && count(young, acked) >= young.Quorum() {
			p.next.Epochs[0].Retiring = true
		}
		return
	}
	if count(old, func(w string) bool { return acked(w) || p.dead(w, p.change.seen) }) >= old.Cover() {
		p.next.Epochs = slices.Delete(p.next.Epochs, 0, 1)
	}
}

func sameEpoch(a, b roll.Epoch) bool {
	return a.Number == b.Number && a.Retiring == b.Retiring
}

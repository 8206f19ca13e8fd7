package plan

import (
	"math/bits"
	"slices"
	"time"
)

const (
	// pollShare is each agent's share of the API reads: with one read in so
	// much time per node, all agents together stay at 200 reads/s.
	pollShare = 5 * time.Millisecond
	// probeShare spreads the probes of all agents over each witness: 100/s.
	probeShare = 10 * time.Millisecond
)

// guards writes what each agent must know, and the pace of all of them.
func (p *step) guards() {
	size := powerOfTwo(len(p.w.Nodes))
	p.next.PollEvery = time.Duration(size) * pollShare
	probeEvery := max(2*p.w.Policy.Profile.RollInterval, time.Duration(size)*probeShare)
	witnesses := p.witnesses()
	p.dismissed = p.w.Policy.Uninstall && !p.needed()
	left := len(p.w.Guards)
	for i := range p.members {
		m := &p.members[i]
		if m.guarded {
			left--
		}
		have := &m.guard.Spec
		want := GuardSpec{
			NodeUID: m.UID, Profile: p.w.Policy.Profile, ProbeEvery: probeEvery, Watchdog: p.w.Policy.Watchdog,
			Unarmed: p.unarmed(m), FencedBoot: p.fencedBoot(m.Name), Place: m.Place,
		}
		want.RejoinClean = want.FencedBoot != "" && p.w.Policy.RejoinClean
		if m.guarded && want.sameTerms(have) && p.arePeers(p.neighbours[i], have.Neighbours) &&
			p.arePeers(p.watchers[i], have.Callers) && slices.EqualFunc(witnesses, have.Witnesses, samePeer) {
			continue
		}
		want.Neighbours = p.peers(p.neighbours[i])
		want.Callers = p.peers(p.watchers[i])
		want.Witnesses = slices.Clone(witnesses)
		p.do(PutGuard{Node: m.Name, Version: m.guard.Version, Spec: want})
	}
	if left > 0 {
		p.dropGuards()
	}
}

// dropGuards removes what is left of nodes that are gone, once their fences have
// ended.
func (p *step) dropGuards() {
	var gone []string
	for name := range p.w.Guards {
		if p.member(name) == nil && p.open[name] == nil {
			gone = append(gone, name)
		}
	}
	slices.Sort(gone)
	for _, name := range gone {
		p.do(DropGuard{Node: name, Version: p.w.Guards[name].Version})
	}
}

// fencedBoot returns the boot of the node that was fenced to the end, or nothing.
// Where the fence was lost, what its agent was told stands for as long as the Roll
// withholds that boot.
func (p *step) fencedBoot(node string) string {
	if f := p.open[node]; f != nil && (f.Status.Phase == Fenced || f.Status.Phase == Detached) {
		return f.Status.Boot
	}
	if told := p.w.Guards[node].Spec.FencedBoot; p.w.Roll.Withholds(told) {
		return told
	}
	return ""
}

// sameTerms reports whether s and t are equal but for the lists of agents.
func (s *GuardSpec) sameTerms(t *GuardSpec) bool {
	return s.NodeUID == t.NodeUID && s.Profile == t.Profile && s.ProbeEvery == t.ProbeEvery &&
		s.Watchdog == t.Watchdog && s.Unarmed == t.Unarmed && s.FencedBoot == t.FencedBoot &&
		s.RejoinClean == t.RejoinClean && s.Place == t.Place
}

// peer is the agent as others must know it; without a fingerprint it is not
// known yet.
func (g *Guard) peer(at Place) Peer {
	return Peer{Node: g.Name, Addresses: g.Status.Addresses, Fingerprint: g.Status.Fingerprint, Place: at}
}

func samePeer(a, b Peer) bool {
	return a.Node == b.Node && a.Fingerprint == b.Fingerprint && a.Place == b.Place && slices.Equal(a.Addresses, b.Addresses)
}

// witnesses returns the agents of all listed epochs, as far as they are known.
// A witness may have no node any more.
func (p *step) witnesses() []Peer {
	peers := p.witnessed[:0]
	for _, name := range p.w.Roll.Witnesses() {
		g := p.w.Guards[name]
		if a := g.peer(p.w.Nodes[name].Place); a.Fingerprint != "" {
			peers = append(peers, a)
		}
	}
	p.witnessed = peers
	return peers
}

// unarmed says why a node must stay unarmed, or nothing: a word, and what else
// there is to say behind a colon.
func (p *step) unarmed(m *member) string {
	switch {
	case p.dismissed:
		return "Uninstall"
	case p.w.Policy.Observe || p.w.Policy.Uninstall:
		return "Observe"
	case m.Excluded:
		return "Excluded"
	case m.twin != "":
		return "SharedBoot: node " + m.twin + " names the same boot ID"
	case len(p.w.Nodes) < 3 && !p.w.Policy.AcceptTwoNodes:
		return "TooFewNodes"
	}
	return ""
}

// needed reports whether some boot may still live by what the other agents say, or
// some fence needs their acknowledgements: then all agents become unarmed under an
// uninstall, but none leaves yet (A13). A node that is off and was never fenced
// counts until its Node is deleted.
func (p *step) needed() bool {
	for name, g := range p.w.Guards {
		f := p.open[name]
		matters := p.member(name) != nil || f != nil && f.Status.Phase == Withheld
		if matters && (g.Status.Promise.Armed || g.Status.Gated) && !p.provenDead(name) {
			return true
		}
	}
	return false
}

// powerOfTwo returns the smallest power of two that is at least n: paces then
// change rarely while a cluster grows.
func powerOfTwo(n int) int {
	if n < 2 {
		return 1
	}
	return 1 << bits.Len(uint(n-1))
}

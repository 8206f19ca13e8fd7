package daemon

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// peers lists everybody that this agent talks to, both directions of each link.
func (a *admin) peers(now timing.Instant) []*peerv1.PeerStatus {
	spec := a.d.spec.Load()
	if spec == nil {
		return nil
	}
	all := make(map[string]*peerv1.PeerStatus)
	at := func(p v1alpha1.Peer) *peerv1.PeerStatus {
		if all[p.Node] == nil {
			all[p.Node] = &peerv1.PeerStatus{Node: p.Node, Addresses: p.Addresses, Zone: p.Zone, Rack: p.Rack}
		}
		return all[p.Node]
	}
	for _, p := range spec.Neighbours {
		at(p).Neighbour = true
	}
	for _, p := range spec.Witnesses {
		if p.Node != a.d.config.Node {
			at(p).Witness = true
		}
	}
	for _, p := range spec.Callers {
		at(p).Caller = true
	}
	var lost []string
	if v := a.d.verdict.Load(); v != nil {
		lost = v.Status.Lost
	}
	heard, window := a.d.server.Heard(), reachWindow(*spec)
	list := make([]*peerv1.PeerStatus, 0, len(all))
	for node, s := range all {
		s.Lost = slices.Contains(lost, node)
		s.InAge = age(heard[node], now)
		if t, ok := a.d.client.Answered(node); ok {
			s.OutAge = age(t, now)
		}
		t := a.d.seen.peer(node)
		t.show(s, now)
		s.WithinReach = s.Witness && t.within(window, now)
		list = append(list, s)
	}
	slices.SortFunc(list, func(x, y *peerv1.PeerStatus) int { return cmp.Compare(x.Node, y.Node) })
	return list
}

// show enters what is known of the peer.
func (t trace) show(s *peerv1.PeerStatus, now timing.Instant) {
	s.HeardUs, s.Reached = age(t.heardUs, now), age(t.reached, now)
	s.BootId, s.Error, s.Path = t.boot, t.err, t.path
	for _, x := range t.view {
		s.Sights = append(s.Sights, &peerv1.Sight{Node: x.Node, Lost: x.Lost, Zone: x.Zone, Rack: x.Rack, Address: x.Address})
	}
	s.RollAge, s.RollSerial = age(t.rollSent, now), t.rollSerial
	s.Since = age(t.first, now)
	if s.Lost {
		s.Since = age(t.last, now)
	}
	sent, lost, trips := t.pings.counts()
	if sent == 0 {
		return
	}
	s.Pings = &peerv1.Pings{
		Sent: int32(sent), Lost: int32(lost), AllSent: t.all.sent, AllLost: t.all.lost, AllTrips: durationpb.New(t.all.trips),
	}
	if len(trips) > 0 {
		s.Pings.P50 = durationpb.New(percentile(trips, 50))
		s.Pings.P95 = durationpb.New(percentile(trips, 95))
		s.Pings.P99 = durationpb.New(percentile(trips, 99))
	}
}

// age returns the age of t, or nil if there is none.
func age(t, now timing.Instant) *durationpb.Duration {
	if t.IsZero() {
		return nil
	}
	return durationpb.New(max(t.Age(now), 0))
}

// endpoints lists the API servers, the one that is asked next first.
func (a *admin) endpoints(now timing.Instant) []*peerv1.Endpoint {
	contacts := a.d.seen.contacts()
	urls := slices.Concat([]string{a.d.api.Endpoint()}, a.d.config.API.Endpoints, slices.Sorted(maps.Keys(contacts)))
	var list []*peerv1.Endpoint
	for i, url := range urls {
		if slices.Contains(urls[:i], url) {
			continue
		}
		c := contacts[url]
		e := &peerv1.Endpoint{
			Url: url, Answered: age(c.answered, now), Failed: age(c.failed, now), Error: c.err, Reads: c.reads.byOutcome(),
		}
		if !c.answered.IsZero() {
			e.RoundTrip = durationpb.New(c.took)
		}
		list = append(list, e)
	}
	return list
}

// byOutcome names every outcome, those too that never came.
func (r reads) byOutcome() map[string]uint64 {
	return map[string]uint64{"ok": r.ok, "unreachable": r.unreachable, "refused": r.refused, "missing": r.missing}
}

// reachWindow is how long an answer shows that a witness can be reached, as the
// core counts it (A7).
func reachWindow(s v1alpha1.NodeGuardSpec) time.Duration {
	profile := s.Timing.Resolve(timing.Standard())
	return 3*max(s.ProbeEvery.Duration, profile.RollInterval) + profile.LostAfter()
}

// within reports whether the peer has answered anything for so long.
func (t trace) within(window time.Duration, now timing.Instant) bool {
	return !t.reached.IsZero() && t.reached.Age(now) <= window
}

// quorums says of each epoch how many of its witnesses answer.
func (a *admin) quorums(r roll.Roll, now timing.Instant) []*peerv1.Quorum {
	spec := a.d.spec.Load()
	if spec == nil {
		return nil
	}
	window := reachWindow(*spec)
	var list []*peerv1.Quorum
	for _, e := range r.Epochs {
		q := &peerv1.Quorum{Epoch: e.Number, Retiring: e.Retiring, Witnesses: int32(len(e.Witnesses)), Needed: int32(e.Quorum())}
		for _, w := range e.Witnesses {
			if w == a.d.config.Node || a.d.seen.peer(w).within(window, now) {
				q.Reached++
			}
		}
		list = append(list, q)
	}
	return list
}

package daemon

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/agent/internal/clock"
	"github.com/picket-dev/picket/agent/internal/hold"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/timing"
)

// Status answers the CLI.
func (a *admin) Status(_ context.Context, req *peerv1.StatusRequest) (*peerv1.StatusReply, error) {
	return a.status(int(req.GetDecisions())), nil
}

// status is the one message of which all screens and metrics are made, with so
// many decisions. It asks nobody, so it is there at once whatever is broken.
func (a *admin) status(decisions int) *peerv1.StatusReply {
	now := clock.Now()
	r := &peerv1.StatusReply{
		Node: a.d.config.Node, BootId: a.d.machine.BootID, Version: a.d.version, Addresses: a.d.config.addresses(),
		Peers: a.peers(now), Endpoints: a.endpoints(now), WatchdogPolicy: a.d.watchdogPolicy(),
		LostAfter: durationpb.New(a.d.profile().LostAfter()), Decisions: a.decisions(now, decisions),
		Watchdog: a.watchdog(), Fingerprint: a.d.identity.Fingerprint(),
	}
	if s := a.d.spec.Load(); s != nil {
		r.Zone, r.Rack = s.Zone, s.Rack
	}
	if v := a.d.verdict.Load(); v != nil {
		a.judged(r, *v, now)
	}
	return r
}

// judged enters what the core's verdict says.
func (a *admin) judged(r *peerv1.StatusReply, v decide.Verdict, now timing.Instant) {
	r.Phase, r.Reason, r.Message = v.Phase.String(), string(v.Reason), v.Message
	r.Next = next(v, a.d.keeper.status.Load(), now)
	r.History, r.Refutes = v.Status.History, v.Status.Refutes
	r.Conditions = conditionsOf(v.Status)
	r.Published = a.d.published.has(v.Status)
	if p := v.Status.Promise; gated(v) {
		left := -v.PetUntil.Age(now)
		r.PetLeft, r.ResetLeft = durationpb.New(left), durationpb.New(left+alone(p))
		r.Promise = &peerv1.Promise{
			RollLife: durationpb.New(p.RollLife), PetDelay: durationpb.New(p.PetDelay),
			Timeout: durationpb.New(p.Timeout), Kappa: int32(p.Kappa), Ungated: int32(p.Ungated),
		}
	}
	if v.Relay != nil {
		r.RollAge, r.RollVia, r.RollSerial = durationpb.New(v.Relay.Sent.Age(now)), v.Via, v.Relay.Roll.Serial
		r.Quorums = a.quorums(v.Relay.Roll, now)
		r.Entries = peerv1.EncodeRoll(v.Relay.Roll).GetEntries()
	}
}

// gated reports whether the watchdog pets under a deadline.
func gated(v decide.Verdict) bool { return v.Status.Promise.Armed && v.Hold != decide.HoldCoast }

// alone is how long after the deadline the watchdog has reset the node, though
// nobody else does anything.
func alone(p timing.Promise) time.Duration {
	return p.PetDelay + time.Duration(1+p.Ungated)*p.RealTimeout()
}

// conditionsOf names what is not as it should be.
func conditionsOf(s decide.Status) []*peerv1.Condition {
	var all []*peerv1.Condition
	add := func(on bool, kind, message string) {
		if on {
			all = append(all, &peerv1.Condition{Type: kind, Message: message})
		}
	}
	add(s.PeersLost, v1alpha1.ConditionPeersLost, "fewer than a quorum of witnesses answer: the next API outage would leave this node without a roll")
	add(s.HistoryBroken != "", v1alpha1.ConditionHistoryBroken, s.HistoryBroken)
	add(s.StorageUnreachable, v1alpha1.ConditionStorageUnreachable, "the links of the storage network are down; that alone resets nobody (A10)")
	return all
}

// watchdog says how it stands with the holder and its device; nil before the
// holder's first word.
func (a *admin) watchdog() *peerv1.Watchdog {
	h := a.d.keeper.status.Load()
	if h == nil {
		return nil
	}
	w := &peerv1.Watchdog{
		Device: a.d.device(), Driver: h.Device.Driver, Kind: h.Device.Kind.String(), Timeout: durationpb.New(h.Timeout),
		Kappa: int32(h.Device.Kappa), RealTimeout: durationpb.New(h.Device.RealTimeout(h.Timeout)), State: h.State.String(),
		WorstPetDelay: durationpb.New(h.WorstDelay), Pets: h.Pets, LastError: cmp.Or(a.d.launchProblem(), h.LastError),
		Reachable: a.d.keeper.reachable.Load(), Outlives: h.Outlives, HolderVersion: h.Version,
	}
	w.Verified, w.SelfTest = a.d.tests.verified(h.Device)
	return w
}

// decisions returns the newest n, oldest first.
func (a *admin) decisions(now timing.Instant, n int) []*peerv1.Decision {
	all := a.d.journal.all()
	all = all[max(len(all)-max(n, 0), 0):]
	list := make([]*peerv1.Decision, 0, len(all))
	for _, e := range all {
		d := &peerv1.Decision{
			Age: durationpb.New(e.at.Age(now)), Rule: string(e.note.Rule), What: e.note.What,
			Phase: e.phase.String(), Reason: string(e.reason),
		}
		if !e.petUntil.IsZero() {
			d.PetLeft = durationpb.New(-e.petUntil.Age(e.at))
		}
		if !e.sent.IsZero() {
			d.RollVia, d.RollSerial, d.RollAge = e.via, e.serial, durationpb.New(e.sent.Age(e.at))
		}
		list = append(list, d)
	}
	return list
}

// next says what happens if nothing changes. The holder's word is nil before its
// first one.
func next(v decide.Verdict, h *hold.Status, now timing.Instant) string {
	switch {
	case h != nil && h.State == hold.Testing:
		return "its watchdog, which is being tested, must reset it " + h.Device.RealTimeout(h.Timeout).String() + " after the last ping"
	case v.Hold == decide.HoldCoast:
		return "shuts down; the watchdog resets it " + v.Timeout.String() + " after its last ping, if that hangs"
	}
	switch v.Phase {
	case decide.Armed, decide.Leaving:
		return nextOfArmed(v, -v.PetUntil.Age(now), now)
	case decide.Latched:
		return "resets"
	case decide.Unarmed, decide.Arming, decide.PhaseUnknown:
	}
	return "stays up whatever happens, and cannot be fenced on time"
}

// nextOfArmed is next for a node that has so long left to pet.
func nextOfArmed(v decide.Verdict, left time.Duration, now timing.Instant) string {
	tenths := func(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }
	if v.Relay != nil && v.Relay.Sent.Age(now) > left {
		return "resets in " + tenths(left) + ", unless the API or enough peers call the roll"
	}
	text := "stays up; if API and peers vanish now, resets in " + tenths(left)
	if v.Status.Promise.Armed {
		text += ", or in " + tenths(left+alone(v.Status.Promise)) + " by the watchdog alone if the agent hangs too"
	}
	return text
}

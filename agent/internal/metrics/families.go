package metrics

import (
	"maps"
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
)

// phases are all that a node may be in; a node of which nothing was decided yet
// is in none.
func phases() []string { return []string{"Unarmed", "Arming", "Armed", "Leaving", "Latched"} }

// conditions are all that may be true of a node.
func conditions() []string {
	return []string{v1alpha1.ConditionPeersLost, v1alpha1.ConditionHistoryBroken, v1alpha1.ConditionStorageUnreachable}
}

// standing tells how the node stands.
func (s scrape) standing(r *peerv1.StatusReply) {
	s.gauge("build_info", "1 for the version that runs.", 1, label{"version", r.GetVersion()})
	s.gauge("key_info", "1 for the fingerprint of the key by which peers know this agent.", 1, label{"fingerprint", r.GetFingerprint()})
	for _, p := range phases() {
		s.gauge("phase", "1 for the phase that the node is in.", truth(p == r.GetPhase()), label{"phase", p})
	}
	if r.GetReason() != "" {
		s.gauge("reason_info", "1 for why the node is in its phase; absent where nothing needs a reason.", 1, label{"reason", r.GetReason()})
	}
	s.gauge("status_published", "1 while the API server has acknowledged the node's phase and reason.", truth(r.GetPublished()))
	s.gauge("suspected", "1 while a fence suspects this very boot, which denies it.", truth(r.GetRefutes() != ""))
	for _, kind := range conditions() {
		on := slices.ContainsFunc(r.GetConditions(), func(c *peerv1.Condition) bool { return c.GetType() == kind })
		s.gauge("condition", "1 for each condition that holds and should not.", truth(on), label{"condition", kind})
	}
}

// evidence tells what the node may pet on, and for how long.
func (s scrape) evidence(r *peerv1.StatusReply) {
	s.seconds("pet_margin_seconds", "Time left until the node may not pet any more; absent while no deadline holds.", r.GetPetLeft())
	s.seconds("reset_margin_seconds", "Time left until the watchdog alone has reset the node; absent while no deadline holds.", r.GetResetLeft())
	if p := r.GetPromise(); p != nil {
		s.seconds("roll_life_seconds", "L: how old a roll may be while the node pets; absent while no deadline holds.", p.GetRollLife())
		s.seconds("pet_delay_limit_seconds", "The longest delay of a pet that the holder accepts; absent while no deadline holds.", p.GetPetDelay())
	}
	ages := rollAges(r)
	for _, source := range slices.Sorted(maps.Keys(ages)) {
		s.seconds("roll_age_seconds", "Age of the newest roll that was got so: by the API, by witnesses, or relayed by a neighbour.", ages[source], label{"source", source})
	}
	for _, e := range r.GetEndpoints() {
		at := label{"endpoint", e.GetUrl()}
		for _, outcome := range slices.Sorted(maps.Keys(e.GetReads())) {
			s.counter("roll_reads_total", "Questions for the Roll by API server and outcome: ok, unreachable, refused (an answer that is no Roll), missing.",
				e.GetReads()[outcome], at, label{"outcome", outcome})
		}
		s.seconds("roll_read_duration_seconds", "Time that the newest answer with a Roll took.", e.GetRoundTrip(), at)
	}
	spare, known := 0, false
	for _, q := range r.GetQuorums() {
		if n := int(q.GetReached() - q.GetNeeded()); !q.GetRetiring() && (!known || n < spare) {
			spare, known = n, true
		}
	}
	if known {
		s.gauge("witnesses_spare", "Witnesses that answer beyond those that a roll needs; below 0, the next API outage leaves the node without a roll.", float64(spare))
	}
}

// rollAges returns the age of the newest roll by source. The best one that the
// node holds counts under the way it came.
func rollAges(r *peerv1.StatusReply) map[string]*durationpb.Duration {
	ages := make(map[string]*durationpb.Duration)
	for _, e := range r.GetEndpoints() {
		ages["api"] = least(ages["api"], e.GetAnswered())
	}
	for _, p := range r.GetPeers() {
		if p.GetNeighbour() {
			ages["relay"] = least(ages["relay"], p.GetRollAge())
		}
	}
	if via := r.GetRollVia(); via != "" {
		ages[via] = least(ages[via], r.GetRollAge())
	}
	return ages
}

// network tells how the neighbours are.
func (s scrape) network(r *peerv1.StatusReply) {
	neighbours, lost := 0, 0
	for _, p := range r.GetPeers() {
		if !p.GetNeighbour() {
			continue
		}
		neighbours++
		if p.GetLost() {
			lost++
		}
		s.neighbour(p)
	}
	s.gauge("neighbours", "Nodes that this one watches.", float64(neighbours))
	s.gauge("neighbours_lost", "Of those, the ones that do not answer.", float64(lost))
}

func (s scrape) neighbour(p *peerv1.PeerStatus) {
	who := label{"neighbour", p.GetNode()}
	s.gauge("neighbour_lost", "1 while the neighbour does not answer.", truth(p.GetLost()), who)
	pings := p.GetPings()
	s.counter("pings_total", "Pings to the neighbour.", pings.GetAllSent(), who)
	s.counter("pings_lost_total", "Those of them that went unanswered.", pings.GetAllLost(), who)
	desc, values := describe("ping_rtt_seconds", "Round trips of the answered pings; the quantiles are of the newest 120 pings.", []label{who})
	s.to <- prometheus.MustNewConstSummary(desc, pings.GetAllSent()-pings.GetAllLost(), pings.GetAllTrips().AsDuration().Seconds(), quantiles(pings), values...)
}

// watchdog tells of the device and its holder, once that has spoken.
func (s scrape) watchdog(r *peerv1.StatusReply) {
	w := r.GetWatchdog()
	s.gauge("holder_up", "1 while picket-holder answers.", truth(w.GetReachable()))
	if w == nil {
		return
	}
	s.counter("pets_total", "Pings of the watchdog since picket-holder started.", w.GetPets())
	s.seconds("pet_delay_max_seconds", "The longest delay of a pet since picket-holder started.", w.GetWorstPetDelay())
	if w.GetDriver() == "" {
		return
	}
	s.gauge("watchdog_info", "1 for the watchdog in use.", 1, label{"device", w.GetDevice()}, label{"driver", w.GetDriver()},
		label{"kind", w.GetKind()}, label{"verified", strconv.FormatBool(w.GetVerified())})
	if w.GetTimeout().AsDuration() > 0 {
		s.seconds("watchdog_timeout_seconds", "T: the watchdog's nominal timeout.", w.GetTimeout())
		s.seconds("watchdog_real_timeout_seconds", "κT: how long after the last ping the watchdog resets the node at the latest.", w.GetRealTimeout())
	}
}

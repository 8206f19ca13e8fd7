package metrics

import (
	"regexp"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/timing"
)

// Fences count the fences as the leader's plans see them.
type fences struct {
	now      *prometheus.GaugeVec
	entered  *prometheus.CounterVec
	blockers *prometheus.GaugeVec
	wait     prometheus.Histogram
	failover prometheus.Histogram
	detach   prometheus.Histogram

	open    map[string]course // by UID
	blocked map[string]bool   // the words that have a series; there are no more than C9 knows
}

// A course is how far a fence has come, and when this leader saw it get there.
type course struct {
	phase plan.Phase
	// began, withheld and fenced are zero where this leader did not see it: what
	// lasted how long is only known to one who saw both ends.
	began, withheld, fenced timing.Instant
}

func newFences() fences {
	return fences{
		now: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "picket_controller_fences", Help: "Fences by phase and by why they were asked for, as the leader sees them.",
		}, []string{"phase", "reason"}),
		entered: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "picket_controller_fence_phases_total", Help: "How often a fence entered a phase while this replica led.",
		}, []string{"phase", "reason"}),
		blockers: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "picket_controller_fences_blocked", Help: "Fences that something keeps from going on, by what that is.",
		}, []string{"blocker"}),
		wait: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "picket_controller_fence_wait_seconds", Help: "Time from the withholding of a boot to its out-of-service taint.",
			Buckets: []float64{1, 5, 10, 12.5, 15, 17.5, 20, 22.5, 25, 30, 60, 120, 300},
		}),
		failover: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "picket_controller_failover_seconds", Help: "Time from when a fence was asked for to the out-of-service taint.",
			Buckets: []float64{5, 10, 15, 17.5, 20, 22.5, 25, 27.5, 30, 40, 60, 120, 300, 600},
		}),
		detach: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "picket_controller_fence_detach_seconds", Help: "Time from the out-of-service taint until nothing was attached any more.",
			Buckets: []float64{0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600},
		}),
		open: make(map[string]course), blocked: make(map[string]bool),
	}
}

func (x *fences) register(r prometheus.Registerer) {
	r.MustRegister(x.now, x.entered, x.blockers, x.wait, x.failover, x.detach)
}

// saw takes the fences of one plan.
func (x *fences) saw(now timing.Instant, list []plan.Fence) {
	type kind struct {
		phase  plan.Phase
		reason plan.Reason
	}
	standing, blocked := make(map[kind]int), make(map[string]int)
	before := x.open
	x.open = make(map[string]course, len(list))
	for i := range list {
		f := &list[i]
		last, known := before[f.UID]
		x.open[f.UID] = x.follow(now, f, last, known)
		standing[kind{f.Status.Phase, reasonOf(f)}]++
		for b := range blockersOf(f) {
			x.blocked[b] = true
			blocked[b]++
		}
	}
	for _, p := range phases() {
		for _, r := range reasons() {
			x.now.WithLabelValues(string(p), string(r)).Set(float64(standing[kind{p, r}]))
		}
	}
	for b := range x.blocked {
		x.blockers.WithLabelValues(b).Set(float64(blocked[b]))
	}
}

// follow returns the fence's course, and counts what it has just entered. One
// that was there before this replica led enters nothing.
func (x *fences) follow(now timing.Instant, f *plan.Fence, last course, known bool) course {
	c := last
	c.phase = f.Status.Phase
	if !known {
		if c.phase == "" {
			c.began = now
		}
		return c
	}
	if c.phase == last.phase {
		return c
	}
	x.entered.WithLabelValues(string(c.phase), string(reasonOf(f))).Inc()
	switch c.phase {
	case plan.Withheld:
		c.withheld = now
	case plan.Fenced:
		c.fenced = now
		observe(x.wait, c.withheld, now)
		observe(x.failover, c.began, now)
	case plan.Detached:
		observe(x.detach, c.fenced, now)
	case plan.Pending, plan.Blocked, plan.Suspected, plan.Recovered, plan.Refuted:
	}
	return c
}

// observe notes how long something lasted whose beginning was seen.
func observe(h prometheus.Histogram, from, to timing.Instant) {
	if !from.IsZero() {
		h.Observe(from.Age(to).Seconds())
	}
}

func phases() []plan.Phase {
	return []plan.Phase{
		plan.Pending, plan.Blocked, plan.Suspected, plan.Withheld, plan.Fenced, plan.Detached, plan.Recovered, plan.Refuted,
	}
}

func reasons() []plan.Reason {
	return []plan.Reason{plan.PeersLost, plan.KubeletSilent, plan.Requested, plan.Orphaned}
}

// reasonOf returns why a fence was asked for, as the planner takes it: people and
// other operators may have written anything.
func reasonOf(f *plan.Fence) plan.Reason {
	switch f.Reason {
	case plan.PeersLost, plan.KubeletSilent, plan.Orphaned:
		return f.Reason
	case plan.Requested:
	}
	return plan.Requested
}

// blockerWord is what a blocker of C9 begins with.
var blockerWord = regexp.MustCompile(`^[A-Z][A-Za-z]{2,31}:`)

// blockersOf returns what keeps the fence from going on, a word for each kind:
// the words of C9, what is left to be detached (C6), and the quorum.
func blockersOf(f *plan.Fence) map[string]bool {
	words := make(map[string]bool)
	if f.Status.QuorumShort {
		words["QuorumBlocked"] = true
	}
	for _, b := range f.Status.Blockers {
		switch word := blockerWord.FindString(b); {
		case word != "":
			words[strings.TrimSuffix(word, ":")] = true
		case strings.HasPrefix(b, "pod "):
			words["Pod"] = true
		case strings.HasPrefix(b, "volumeattachment "), strings.HasPrefix(b, "attached volume "):
			words["Volume"] = true
		default:
			words["Other"] = true
		}
	}
	return words
}

package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/picket-dev/picket/controller/plan"
)

// Metrics are the controller's counts. They are safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	leader   prometheus.Gauge
	plans    prometheus.Histogram
	actions  *prometheus.CounterVec
	reads    *prometheus.CounterVec
	fences   *prometheus.GaugeVec
}

// New returns metrics that stand at zero, in a registry of their own.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		leader: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "picket_controller_leader", Help: "1 while this replica leads.",
		}),
		plans: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "picket_controller_plan_seconds", Help: "Time that one plan took.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 8),
		}),
		actions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "picket_controller_actions_total", Help: "Actions carried out, by kind and result.",
		}, []string{"kind", "result"}),
		reads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "picket_controller_roll_reads_total", Help: "Consistent reads of the Roll, by result.",
		}, []string{"result"}),
		fences: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "picket_controller_fences", Help: "Fences by phase, as the leader sees them.",
		}, []string{"phase"}),
	}
	m.registry.MustRegister(m.leader, m.plans, m.actions, m.reads, m.fences,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Leading notes whether this replica leads.
func (m *Metrics) Leading(leads bool) {
	m.leader.Set(0)
	if leads {
		m.leader.Set(1)
	}
}

// Planned notes a plan that took d on these fences.
func (m *Metrics) Planned(d time.Duration, fences []plan.Fence) {
	m.plans.Observe(d.Seconds())
	phases := map[plan.Phase]int{
		plan.Pending: 0, plan.Blocked: 0, plan.Suspected: 0, plan.Withheld: 0,
		plan.Fenced: 0, plan.Detached: 0, plan.Recovered: 0, plan.Refuted: 0,
	}
	for _, f := range fences {
		phases[f.Status.Phase]++
	}
	for p, n := range phases {
		if p != "" {
			m.fences.WithLabelValues(string(p)).Set(float64(n))
		}
	}
}

// Acted notes an action of that kind; result is ok, conflict or error.
func (m *Metrics) Acted(kind, result string) { m.actions.WithLabelValues(kind, result).Inc() }

// ReadRoll notes a read of the Roll.
func (m *Metrics) ReadRoll(err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	m.reads.WithLabelValues(result).Inc()
}

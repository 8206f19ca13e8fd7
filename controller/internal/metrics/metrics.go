package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/timing"
)

// Metrics are the controller's counts. They are safe for concurrent use but for
// Planned, which belongs to the goroutine that plans.
type Metrics struct {
	registry *prometheus.Registry
	leader   prometheus.Gauge
	plans    prometheus.Histogram
	actions  *prometheus.CounterVec
	reads    *prometheus.CounterVec
	requests *prometheus.CounterVec
	fences   fences
	cluster  cluster
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
			Name: "picket_controller_actions_total", Help: "Actions carried out, by kind and result: ok, conflict or error.",
		}, []string{"kind", "result"}),
		reads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "picket_controller_roll_reads_total", Help: "Consistent reads of the Roll, by result: ok or error.",
		}, []string{"result"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "picket_controller_api_requests_total", Help: "Requests to the API server by method and HTTP status; the code is error where no answer came.",
		}, []string{"method", "code"}),
		fences:  newFences(),
		cluster: newCluster(),
	}
	m.registry.MustRegister(m.leader, m.plans, m.actions, m.reads, m.requests,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.fences.register(m.registry)
	m.cluster.register(m.registry)
	return m
}

// Leading notes whether this replica leads.
func (m *Metrics) Leading(leads bool) { m.leader.Set(truth(leads)) }

// Planned notes a plan of this world that took d and was made at now.
func (m *Metrics) Planned(now timing.Instant, d time.Duration, w plan.World) {
	m.plans.Observe(d.Seconds())
	m.fences.saw(now, w.Fences)
	m.cluster.saw(now, w)
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

// truth is 1 for what is so, else 0.
func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

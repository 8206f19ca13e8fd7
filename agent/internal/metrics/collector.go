package metrics

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"google.golang.org/protobuf/types/known/durationpb"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
)

// A Source returns the agent's status message as of now, without its decisions.
type Source func() *peerv1.StatusReply

// NewRegistry returns a registry that asks the source at each scrape, and tells
// of the process itself.
func NewRegistry(source Source) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collector{source}, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// A collector makes metrics of one status message for each scrape. It describes
// none of them beforehand: which there are depends on the neighbours.
type collector struct{ source Source }

// Describe implements prometheus.Collector.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	r, s := c.source(), scrape{to}
	s.standing(r)
	s.evidence(r)
	s.network(r)
	s.watchdog(r)
}

// A scrape sends metrics to whoever collects.
type scrape struct{ to chan<- prometheus.Metric }

// A label is a label's name and value.
type label struct{ name, value string }

func (s scrape) gauge(name, help string, value float64, labels ...label) {
	s.send(prometheus.GaugeValue, name, help, value, labels)
}

func (s scrape) counter(name, help string, value uint64, labels ...label) {
	s.send(prometheus.CounterValue, name, help, float64(value), labels)
}

func (s scrape) send(kind prometheus.ValueType, name, help string, value float64, labels []label) {
	desc, values := describe(name, help, labels)
	s.to <- prometheus.MustNewConstMetric(desc, kind, value, values...)
}

// seconds is a gauge of a time, if there is one.
func (s scrape) seconds(name, help string, d *durationpb.Duration, labels ...label) {
	if d != nil {
		s.gauge(name, help, d.AsDuration().Seconds(), labels...)
	}
}

// describe returns a metric's description, and its labels' values as a scrape
// may hold them: a driver may name itself in any bytes.
func describe(name, help string, labels []label) (*prometheus.Desc, []string) {
	names, values := make([]string, len(labels)), make([]string, len(labels))
	for i, l := range labels {
		names[i], values[i] = l.name, strings.ToValidUTF8(l.value, "\uFFFD")
	}
	return prometheus.NewDesc("picket_agent_"+name, help, names, nil), values
}

// truth is 1 for what is so, else 0.
func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// least returns the shorter of two times, of which either may be absent.
func least(a, b *durationpb.Duration) *durationpb.Duration {
	if a == nil || b != nil && b.AsDuration() < a.AsDuration() {
		return b
	}
	return a
}

// quantiles returns the percentiles of the newest round trips; none where no
// ping was answered.
func quantiles(p *peerv1.Pings) map[float64]float64 {
	if p.GetP50() == nil {
		return nil
	}
	return map[float64]float64{
		0.5: p.GetP50().AsDuration().Seconds(), 0.95: p.GetP95().AsDuration().Seconds(), 0.99: p.GetP99().AsDuration().Seconds(),
	}
}

package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/timing"
)

// countEvery is how often all nodes are counted: plans may come much faster.
const countEvery = time.Second

// Cluster counts the nodes by how they are guarded, and says whether fencing is
// in force.
type cluster struct {
	nodes, lost, lonely     prometheus.Gauge
	armed, unarmed, unheard prometheus.Gauge
	excluded                prometheus.Gauge
	paused, observe, broken prometheus.Gauge
	witnesses               prometheus.Gauge

	counted timing.Instant
}

func newCluster() cluster {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "picket_controller_" + name, Help: help})
	}
	return cluster{
		nodes:     gauge("nodes", "Nodes of the cluster."),
		armed:     gauge("nodes_armed", "Nodes that can be fenced on time."),
		unarmed:   gauge("nodes_unarmed", "Nodes whose agent speaks and is not armed, whatever the reason."),
		excluded:  gauge("nodes_excluded", "Nodes that a label excludes; they count as nothing else."),
		unheard:   gauge("nodes_unheard", "Nodes whose agent has said nothing in the node's present boot."),
		lost:      gauge("nodes_lost", "Nodes that at least one neighbour reports lost."),
		lonely:    gauge("nodes_peers_lost", "Nodes whose agent reaches no quorum of witnesses (A7, C12)."),
		witnesses: gauge("witnesses", "Witnesses of the newest epoch that is active."),
		paused:    gauge("paused", "1 while new fences are paused, by a person, a bad policy or a broken history."),
		observe:   gauge("observe", "1 while the policy only observes."),
		broken:    gauge("history_broken", "1 while the Roll's history is broken, until a person resumes fencing."),
	}
}

func (c *cluster) register(r prometheus.Registerer) {
	r.MustRegister(c.nodes, c.armed, c.unarmed, c.unheard, c.excluded, c.lost, c.lonely, c.witnesses, c.paused, c.observe, c.broken)
}

// saw takes the world of one plan.
func (c *cluster) saw(now timing.Instant, w plan.World) {
	if !c.counted.IsZero() && c.counted.Age(now) < countEvery {
		return
	}
	c.counted = now
	c.count(w)
	broken := w.Roll != nil && w.Roll.Broken != ""
	c.broken.Set(truth(broken))
	c.paused.Set(truth(broken || w.Policy.Paused != ""))
	c.observe.Set(truth(w.Policy.Observe))
	witnesses := 0
	if w.Roll != nil {
		for _, e := range w.Roll.Epochs {
			if !e.Retiring {
				witnesses = len(e.Witnesses)
			}
		}
	}
	c.witnesses.Set(float64(witnesses))
}

// count counts the nodes. What an agent said of an earlier boot does not count.
func (c *cluster) count(w plan.World) {
	var armed, unarmed, unheard, excluded, lonely int
	lost := make(map[string]bool)
	for name, n := range w.Nodes {
		s := w.Guards[name].Status
		switch {
		case n.Excluded:
			excluded++
		case s.Boot == "" || s.Boot != n.Boot:
			unheard++
			continue
		case s.Promise.Armed:
			armed++
		default:
			unarmed++
		}
		if s.PeersLost {
			lonely++
			continue // it abstains
		}
		for _, l := range s.Lost {
			if _, there := w.Nodes[l]; there {
				lost[l] = true
			}
		}
	}
	for gauge, n := range map[prometheus.Gauge]int{
		c.nodes: len(w.Nodes), c.armed: armed, c.unarmed: unarmed, c.unheard: unheard, c.excluded: excluded,
		c.lost: len(lost), c.lonely: lonely,
	} {
		gauge.Set(float64(n))
	}
}

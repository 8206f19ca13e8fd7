package bench

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkMemory measures agent and holder, each a real process, after a
// minute in clusters in which each agent has 4 and 8 neighbours.
func BenchmarkMemory(b *testing.B) {
	for _, neighbours := range []int{4, 8} {
		b.Run(fmt.Sprintf("neighbours=%d", neighbours), func(b *testing.B) { measureNodes(b, neighbours) })
	}
}

// measureNodes starts a cluster in which everybody watches everybody, and
// judges its worst node.
func measureNodes(b *testing.B, neighbours int) {
	f := startFleet(b, neighbours+1)
	time.Sleep(30 * time.Second)
	var nodes []processes
	var before []time.Duration
	for _, n := range f.Nodes {
		p := processesOf(b, n)
		nodes = append(nodes, p)
		before = append(before, p.cpu(b))
	}
	began := time.Now()
	time.Sleep(measured(30 * time.Second))
	took := time.Since(began)
	var agent, worker, supervisor, holder memory
	var cpu, worstCPU time.Duration
	for i, p := range nodes {
		d := p.cpu(b) - before[i]
		cpu += d
		worstCPU = max(worstCPU, d)
		s, w := memoryOf(b, p.supervisor), memoryOf(b, p.worker)
		if sum := s.add(w); sum.rss > agent.rss {
			agent, supervisor, worker = sum, s, w
		}
		if h := memoryOf(b, p.holder); h.rss > holder.rss {
			holder = h
		}
	}
	mean := percent(cpu, took) / float64(len(nodes))
	result("bench=rss neighbours=%d agent_mib=%.1f supervisor_mib=%.1f worker_mib=%.1f agent_pss_mib=%.1f agent_anon_mib=%.1f holder_mib=%.1f holder_anon_mib=%.1f agent_cpu_percent=%.2f agent_cpu_worst_percent=%.2f cpu_ratio=%.2f seconds=%.0f",
		neighbours, agent.rss, supervisor.rss, worker.rss, agent.pss, agent.anon, holder.rss, holder.anon,
		mean, percent(worstCPU, took), mean/maxCPUPercent, took.Seconds())
	within(b, "MiB of the agent, supervisor and worker", agent.rss, maxAgentMiB)
	within(b, "MiB of the holder", holder.rss, maxHolderMiB)
	within(b, "percent of a core for the agent", mean, maxCPUPercent)
	b.ReportMetric(agent.rss, "MiB")
	if err := allArmed(b, f); err != nil {
		b.Error(err)
	}
}

// cpu is the time of the agent's two processes.
func (p processes) cpu(b *testing.B) time.Duration {
	return cpuOf(b, p.supervisor) + cpuOf(b, p.worker)
}

func percent(part, of time.Duration) float64 { return 100 * part.Seconds() / of.Seconds() }

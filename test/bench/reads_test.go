package bench

import (
	"fmt"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/proto/api/client"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/test/bench/swarm"
	"github.com/picket-dev/picket/test/cluster/controlplane"
	"github.com/picket-dev/picket/test/cluster/fleet"
	"github.com/picket-dev/picket/test/cluster/proxy"
)

// BenchmarkAPIReads lets a cluster grow from 300 to 600 nodes and counts, in
// the steady state of each, how often all agents together read the API. The
// control plane and the controller are real; of the agents see package swarm.
func BenchmarkAPIReads(b *testing.B) {
	bin, err := build()
	if err != nil {
		b.Fatal(err)
	}
	plane := startPlane(b)
	if err := fleet.Install(b.Context(), plane); err != nil {
		b.Fatal(err)
	}
	c, err := client.New(plane.Config(), nil)
	if err != nil {
		b.Fatal(err)
	}
	policy := v1alpha1.FencingPolicySpec{Mode: v1alpha1.Enforce, Profile: "standard"}
	if err := fleet.SetPolicy(b.Context(), c, policy); err != nil {
		b.Fatal(err)
	}
	controller, err := fleet.StartController(b.Context(), plane, startProxy(b, plane), bin, b.TempDir(), "controller-1")
	if err != nil {
		b.Fatal(err)
	}
	defer controller.End()
	api := startProxy(b, plane)
	agents := swarm.New(plane, api.URL())
	defer agents.Close()

	var reads []float64
	for _, n := range []int{300, 600} {
		grow(b, agents, n)
		reads = append(reads, countReads(b, agents, api, n))
	}
	growth := reads[1] / reads[0]
	result("bench=api-reads agents=300..600 ratio=%.3f", growth)
	within(b, "API reads/s with 300 agents", reads[0], maxReads)
	within(b, "API reads/s with 600 agents over those with 300", growth, maxGrowth)
	within(b, "API reads/s with 300 agents over those with 600", 1/growth, maxGrowth)
	b.ReportMetric(reads[1], "reads/s")
}

// grow adds nodes, not all at once, until n agents are armed, and then lets them
// settle for as long as each takes from one read to the next.
func grow(b *testing.B, agents *swarm.Swarm, n int) {
	b.Helper()
	const batch = 20
	for size := agents.Size(); size < n; {
		size = min(size+batch, n)
		if err := agents.Grow(b.Context(), size); err != nil {
			b.Fatal(err)
		}
		allAgree(b, agents, size)
	}
	r, _ := agents.Agree()
	time.Sleep(2 * r.PollEvery)
}

// allAgree waits until all n agents are armed under one and the same Roll.
func allAgree(b *testing.B, agents *swarm.Swarm, n int) {
	b.Helper()
	eventually(b, fmt.Sprintf("%d armed agents", n), func() error {
		if latched := agents.Latched(); len(latched) > 0 {
			b.Fatalf("%d agents latched, among them %s", len(latched), latched[0])
		}
		if armed := agents.Count(decide.Armed); armed != n {
			return fmt.Errorf("%d are armed", armed)
		}
		if r, ok := agents.Agree(); !ok || len(r.Epochs) != 1 {
			return fmt.Errorf("serial %d with %d epochs is not everybody's Roll", r.Serial, len(r.Epochs))
		}
		return nil
	})
}

// countReads counts for 30 s, and looks at the age of everybody's best roll
// meanwhile.
func countReads(b *testing.B, agents *swarm.Swarm, api *proxy.API, n int) float64 {
	b.Helper()
	const look = 250 * time.Millisecond
	var ages []time.Duration
	before, began := api.Counts(), time.Now()
	for time.Since(began) < 30*time.Second {
		ages = append(ages, agents.Ages()...)
		time.Sleep(look)
	}
	took := time.Since(began).Seconds()
	rolls, others := 0.0, 0.0
	for request, count := range api.Counts() {
		d := float64(count - before[request])
		if request == (proxy.Request{Verb: "get", Resource: "rolls"}) {
			rolls += d
		} else {
			others += d
		}
	}
	slices.Sort(ages)
	armed, latched := agents.Count(decide.Armed), agents.Latched()
	result("bench=api-reads agents=%d reads_per_s=%.1f other_requests_per_s=%.2f armed=%d latched=%d roll_age_p50_ms=%d roll_age_p99_ms=%d roll_age_max_ms=%d seconds=%.0f",
		n, rolls/took, others/took, armed, len(latched), quantile(ages, 50).Milliseconds(), quantile(ages, 99).Milliseconds(),
		quantile(ages, 100).Milliseconds(), took)
	if armed != n || len(latched) > 0 {
		b.Errorf("of %d agents %d are armed; latched: %v", n, armed, latched)
	}
	return rolls / took
}

// quantile returns the value that so many percent of the sorted ones do not
// exceed.
func quantile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)-1)*percent/100]
}

// startPlane starts a control plane that ends with the benchmark.
func startPlane(b *testing.B) *controlplane.Plane {
	b.Helper()
	binaries, err := controlplane.Binaries(b.Context(), os.Stderr)
	if err != nil {
		b.Fatal(err)
	}
	o := controlplane.Default()
	o.Dir, o.Binaries = b.TempDir(), binaries
	plane, err := controlplane.Start(b.Context(), o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(plane.Stop)
	return plane
}

// startProxy starts a proxy in front of the API that ends with the benchmark.
func startProxy(b *testing.B, plane *controlplane.Plane) *proxy.API {
	b.Helper()
	cert, err := plane.CA().Serving("kube-apiserver", net.IPv4(127, 0, 0, 1))
	if err != nil {
		b.Fatal(err)
	}
	api, err := proxy.NewAPI("127.0.0.1:0", cert, plane.CA().Pool(), plane.URL())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = api.Close() })
	return api
}

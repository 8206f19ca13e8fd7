package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/test/cluster/stage"
)

// BenchmarkPetDelay presses the machine for a minute (PICKET_BENCH_LONG=1: ten)
// and asks the holders for the worst time from when a pet was due until it was
// done.
func BenchmarkPetDelay(b *testing.B) {
	f := startFleet(b, 3)
	d := measured(time.Minute)
	press(b, d)
	time.Sleep(d)
	var worst time.Duration
	var pets uint64
	granted := true
	for _, n := range f.Nodes {
		dog := watchdogOf(b, n)
		worst = max(worst, dog.GetWorstPetDelay().AsDuration())
		pets += dog.GetPets()
		granted = granted && realTime(b, processesOf(b, n).holder)
	}
	ms := float64(worst.Microseconds()) / 1000
	result("bench=pet-delay worst_ms=%.2f pets=%d real_time=%t seconds=%.0f", ms, pets, granted, d.Seconds())
	within(b, "worst delay of a pet in ms", ms, float64(maxPetDelay.Milliseconds()))
	b.ReportMetric(ms, "worst-ms")
	if pets == 0 {
		b.Error("nobody was petted")
	}
	if err := allArmed(b, f); err != nil {
		b.Error(err)
	}
}

// watchdogOf asks a node's agent, as the CLI does, for what its holder says.
func watchdogOf(b *testing.B, n *stage.Node) *peerv1.Watchdog {
	b.Helper()
	socket := filepath.Join(n.Machine.Identity().Root, "run/picket/agent.sock")
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
	defer cancel()
	reply, err := peerv1.NewAdminClient(conn).Status(ctx, &peerv1.StatusRequest{})
	if err != nil {
		b.Fatal(fmt.Errorf("ask the agent of %s: %w", n.Name, err))
	}
	return reply.GetWatchdog()
}

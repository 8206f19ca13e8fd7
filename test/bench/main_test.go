package bench

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"k8s.io/klog/v2"

	"github.com/picket-dev/picket/test/cluster/fleet"
)

// The budgets of DESIGN.md §12.
const (
	maxReads      = 250.0 // API reads/s of all agents
	maxGrowth     = 1.2   // of these reads, from 300 to 600 nodes
	maxAgentMiB   = 40.0
	maxHolderMiB  = 10.0
	maxCPUPercent = 1.0 // of one core
	maxPetDelay   = 100 * time.Millisecond
)

// patience bounds the set-up of a cluster on a busy machine.
const patience = 5 * time.Minute

var programs string // directory that TestMain removes

func TestMain(m *testing.M) {
	if os.Getenv(hogEnv) != "" {
		hog()
		return
	}
	// client-go logs each request that the end of a benchmark cuts off.
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	var err error
	if programs, err = os.MkdirTemp("", "picket-bench-"); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(programs)
	os.Exit(code)
}

// build builds Picket's programs once.
var build = sync.OnceValues(func() (fleet.Binaries, error) {
	return fleet.Build(context.Background(), programs, os.Stderr)
})

// result prints a RESULT line; the benchmark's name stands on the line before.
func result(format string, args ...any) { fmt.Printf("\nRESULT "+format+"\n", args...) }

// within fails the benchmark if a budget is broken.
func within(b *testing.B, what string, got, budget float64) {
	b.Helper()
	if got > budget {
		b.Errorf("%s: %.2f, the budget is %.2f", what, got, budget)
	}
}

// eventually asks four times a second until the answer is nil.
func eventually(b *testing.B, what string, ask func() error) {
	b.Helper()
	err := ask()
	for end := time.Now().Add(patience); err != nil; err = ask() {
		if time.Now().After(end) {
			b.Fatalf("%s: not within %v: %v", what, patience, err)
		}
		time.Sleep(250 * time.Millisecond)
	}
}

// measured is how long to measure: the given time, or ten minutes with
// PICKET_BENCH_LONG=1.
func measured(d time.Duration) time.Duration {
	if os.Getenv("PICKET_BENCH_LONG") == "1" {
		return 10 * time.Minute
	}
	return d
}

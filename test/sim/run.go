package main

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/picket-dev/picket/test/sim/world"
)

// A result is what many schedules came to.
type result struct {
	schedules  uint64
	violations int
	worst      found // of the lowest seed
	counts     world.Counts
	wall, cpu  time.Duration
}

// told is how many violations are told of, in a line each.
const told = 20

// found is a violation.
type found struct {
	seed    uint64
	outcome world.Outcome
}

func (r *result) perSecond() float64    { return float64(r.schedules) / r.wall.Seconds() }
func (r *result) perCPUSecond() float64 { return float64(r.schedules) / r.cpu.Seconds() }

// run runs seeds on some processors. Which seeds fail does not depend on how
// many there are.
func run(o options) *result {
	r := &result{}
	start, used := time.Now(), cpuTime()
	var next atomic.Uint64
	next.Store(o.first)
	var ended atomic.Bool
	var mu sync.Mutex
	var workers sync.WaitGroup
	stopTelling := progress(&next, o)
	for range max(1, o.workers) {
		workers.Go(func() {
			var counts world.Counts
			var n uint64
			for !ended.Load() {
				seed := next.Add(1) - 1
				if seed >= o.first+o.seeds {
					break
				}
				out := world.Run(world.Draw(seed), nil)
				n++
				out.Counts.Events = out.Events
				counts.Add(&out.Counts)
				if out.Violation != "" {
					mu.Lock()
					if r.violations == 0 || seed < r.worst.seed {
						r.worst = found{seed, out}
					}
					r.violations++
					if r.violations <= told {
						fmt.Printf("seed=%d violation=%s: %s\n", seed, out.Violation, out.What)
					}
					mu.Unlock()
					ended.Store(ended.Load() || o.stop)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			r.schedules += n
			r.counts.Add(&counts)
		})
	}
	workers.Wait()
	stopTelling()
	r.wall, r.cpu = time.Since(start), cpuTime()-used
	return r
}

// cpuTime is what this process has used: on a machine that does other work, too,
// the only fair measure.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// progress tells a person who waits how far it is. It returns the function that
// ends it.
func progress(next *atomic.Uint64, o options) func() {
	info, err := os.Stderr.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return func() {}
	}
	quit := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(2 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				fmt.Fprint(os.Stderr, "\r\x1b[K")
				return
			case <-tick.C:
				n := next.Load() - o.first
				fmt.Fprintf(os.Stderr, "\r%d of %d schedules (%d %%)", n, o.seeds, 100*n/max(1, o.seeds))
			}
		}
	})
	return func() {
		close(quit)
		done.Wait()
	}
}

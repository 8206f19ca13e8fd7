package main

import (
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"runtime/pprof"
	"strings"

	"github.com/picket-dev/picket/test/sim/world"
)

// options are the command line's.
type options struct {
	seeds, first uint64
	workers      int
	stop         bool
	seed         int64
	trace        bool
	profile      string
}

func main() {
	var o options
	flag.Uint64Var(&o.seeds, "seeds", 10000, "how many `schedules` to run")
	flag.Uint64Var(&o.first, "first", 0, "the first `seed`")
	flag.IntVar(&o.workers, "j", 1, "how many `processors` to use")
	flag.BoolVar(&o.stop, "stop", false, "end at the first violation, and neither shrink nor tell it")
	flag.Int64Var(&o.seed, "seed", -1, "run this one `seed`")
	flag.BoolVar(&o.trace, "trace", false, "with -seed: tell its story")
	flag.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile to this `file`")
	flag.Parse()
	debug.SetGCPercent(800) // a schedule leaves little behind
	if o.profile != "" {
		f, err := os.Create(o.profile)
		if err != nil {
			fmt.Fprintln(os.Stderr, "sim:", err)
			os.Exit(2)
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			fmt.Fprintln(os.Stderr, "sim:", err)
			os.Exit(2)
		}
	}
	var status int
	if o.seed >= 0 {
		status = one(world.Draw(uint64(o.seed)), o.trace)
	} else {
		status = many(o)
	}
	pprof.StopCPUProfile()
	os.Exit(status)
}

// one runs one seed as it is.
func one(s world.Setting, trace bool) int {
	fmt.Printf("seed %d: %v\n", s.Seed, s)
	var tell func(string)
	if trace {
		tell = func(line string) { fmt.Println(line) }
	}
	o := world.Run(s, tell)
	o.Counts.Events = o.Events
	fmt.Printf("RESULT seed=%d violation=%s lasted=%v %v\n", s.Seed, orNone(o.Violation), o.Lasted, &o.Counts)
	if o.Violation != "" {
		fmt.Println(o.What)
		return 1
	}
	return 0
}

// many runs seeds, and tells of the first violation.
func many(o options) int {
	r := run(o)
	status := 0
	if r.violations > 0 {
		status = 1
		if !o.stop {
			report(world.Draw(r.worst.seed), r.worst.outcome)
		}
	}
	fired, all, silent := r.counts.Coverage()
	if o.seeds >= 1000 && len(silent) > 0 && !o.stop {
		status = 1
		fmt.Printf("rules that never fired: %s\n", strings.Join(silent, " "))
	}
	fmt.Printf("RESULT schedules=%d per_s=%.0f per_cpu_s=%.0f violations=%d coverage=%d/%d seconds=%.1f\n",
		r.schedules, r.perSecond(), r.perCPUSecond(), r.violations, fired, all, r.wall.Seconds())
	fmt.Printf("RESULT %v\n", &r.counts)
	return status
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

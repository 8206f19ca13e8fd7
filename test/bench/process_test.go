package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// memory is what one process occupies, in MiB.
type memory struct {
	rss  float64 // resident, shared pages in full
	pss  float64 // shared pages in part
	anon float64 // nobody else's, and no file's
}

func (m memory) add(n memory) memory { return memory{m.rss + n.rss, m.pss + n.pss, m.anon + n.anon} }

// memoryOf reads /proc/PID.
func memoryOf(b *testing.B, pid int) memory {
	b.Helper()
	return memory{
		rss:  fieldOf(b, pid, "status", "VmRSS:"),
		pss:  fieldOf(b, pid, "smaps_rollup", "Pss:"),
		anon: fieldOf(b, pid, "smaps_rollup", "Anonymous:"),
	}
}

// fieldOf returns a field of a file in /proc/PID that is given in KiB, in MiB.
func fieldOf(b *testing.B, pid int, file, field string) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) == 3 && words[0] == field {
			kib, err := strconv.ParseFloat(words[1], 64)
			if err != nil {
				b.Fatal(err)
			}
			return kib / 1024
		}
	}
	b.Fatalf("no %s in /proc/%d/%s", field, pid, file)
	return 0
}

// statOf returns a number of /proc/PID/stat, counted from 1 as in proc(5).
func statOf(b *testing.B, pid, field int) int {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	// The name, field 2, may hold anything; state follows it.
	words := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	n, err := strconv.Atoi(words[field-3])
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// cpuOf returns the time that a process has spent on processors. The kernel
// tells it in hundredths of a second.
func cpuOf(b *testing.B, pid int) time.Duration {
	b.Helper()
	const utime, stime, tick = 14, 15, 10 * time.Millisecond
	return time.Duration(statOf(b, pid, utime)+statOf(b, pid, stime)) * tick
}

// realTime reports whether a process runs in a real-time scheduling class,
// which not every kernel grants.
func realTime(b *testing.B, pid int) bool {
	b.Helper()
	const priority = 40
	return statOf(b, pid, priority) > 0
}

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// grants says which protections the kernel gave.
type grants struct {
	locked, realTime, unkillable bool
}

const (
	// priority is the lowest of SCHED_RR: above all that is not real-time,
	// below the kernel's own threads.
	priority = 1
	// heapLimit starts a collection only when years of status calls have
	// filled it; the pet loop itself does not allocate.
	heapLimit = 8 << 20
)

// harden protects the calling thread and its process from memory pressure, CPU
// pressure and the OOM killer, as far as the kernel lets it. The error says
// what it did not grant.
func harden() (grants, error) {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(heapLimit)
	var g grants
	var errs []error
	grant := func(to *bool, what string, err error) {
		if *to = err == nil; err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
		}
	}
	grant(&g.locked, "lock memory (CAP_IPC_LOCK, or no RLIMIT_MEMLOCK)", lockMemory())
	grant(&g.realTime, "take SCHED_RR (CAP_SYS_NICE)",
		unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: priority}, 0))
	grant(&g.unkillable, "set oom_score_adj to -1000 (CAP_SYS_RESOURCE)",
		os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0))
	return g, errors.Join(errs...)
}

// lockMemory keeps all pages that are or will be touched in memory, and loads
// the whole program. It spares pages that nobody ever touches: the Go runtime
// reserves 32 MiB of index that a plain mlockall would fill.
func lockMemory() error {
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		return err
	}
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if err := loadMapping(lines.Text()); err != nil {
			return fmt.Errorf("load %q: %w", lines.Text(), err)
		}
	}
	return nil
}

// loadMapping locks one line of /proc/self/maps, if it is of a file or the
// stack: range, permissions, offset, device, inode, path.
func loadMapping(line string) error {
	fields := strings.Fields(line)
	if len(fields) < 6 || !strings.HasPrefix(fields[1], "r") || !strings.HasPrefix(fields[5], "/") && fields[5] != "[stack]" {
		return nil
	}
	from, to, _ := strings.Cut(fields[0], "-")
	start, err := strconv.ParseUint(from, 16, 64)
	if err != nil {
		return err
	}
	end, err := strconv.ParseUint(to, 16, 64)
	if err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_MLOCK, uintptr(start), uintptr(end-start), 0); errno != 0 {
		return errno
	}
	return nil
}

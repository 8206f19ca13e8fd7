package proc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// SignalTree sends a signal to the child and to all its descendants, the child
// first: a supervisor that is stopped cannot replace a worker that is killed.
func (p *Process) SignalTree(sig syscall.Signal) error {
	below, err := descendants(p.pid)
	if err != nil {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	if err := p.Signal(sig); err != nil {
		return err
	}
	for _, pid := range below {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("signal %s, descendant %d: %w", p.name, pid, err)
		}
	}
	return nil
}

// Descendants returns the IDs of all processes that the child started,
// directly or not: an agent's worker.
func (p *Process) Descendants() ([]int, error) { return descendants(p.pid) }

// descendants walks the process table.
func descendants(root int) ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	children := make(map[int][]int)
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// PID (name) state PPID …; the name may hold anything but a newline.
		head, rest, _ := strings.Cut(string(text), " ")
		fields := strings.Fields(rest[strings.LastIndex(rest, ")")+1:])
		pid, err1 := strconv.Atoi(head)
		if len(fields) < 2 {
			continue
		}
		parent, err2 := strconv.Atoi(fields[1])
		if err1 == nil && err2 == nil {
			children[parent] = append(children[parent], pid)
		}
	}
	var found []int
	for queue := []int{root}; len(queue) > 0; queue = queue[1:] {
		below := children[queue[0]]
		slices.Sort(below)
		found = append(found, below...)
		queue = append(queue, below...)
	}
	return found, nil
}

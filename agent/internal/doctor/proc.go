package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// readNumber returns the number that a file holds, or nil.
func readNumber(path string) *int {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	n, err := parseNumber(string(text))
	if err != nil {
		return nil
	}
	return &n
}

// parseNumber reads a file that holds one number.
func parseNumber(text string) (int, error) { return strconv.Atoi(strings.TrimSpace(text)) }

// readHolder finds picket-holder, and how its kernel treats it.
func readHolder(proc string) Holder {
	names, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "comm"))
	if err != nil {
		return Holder{Trouble: err.Error()}
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil || strings.TrimSpace(string(text)) != "picket-holder" {
			continue
		}
		h, err := readProcess(filepath.Dir(name))
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ESRCH):
			continue // it has ended
		case err != nil:
			return Holder{Trouble: err.Error()}
		}
		return h
	}
	return Holder{}
}

// readProcess reads what /proc says of one process.
func readProcess(dir string) (Holder, error) {
	var h Holder
	var err error
	if h.PID, err = strconv.Atoi(filepath.Base(dir)); err != nil {
		return h, err
	}
	if h.Policy, h.Priority, err = readSchedule(dir); err != nil {
		return h, err
	}
	oom, err := os.ReadFile(filepath.Join(dir, "oom_score_adj"))
	if err == nil {
		h.OOM, err = parseNumber(string(oom))
	}
	if err != nil {
		return h, fmt.Errorf("read %s/oom_score_adj: %w", dir, err)
	}
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err == nil {
		h.Locked, err = parseLocked(string(status))
	}
	if err != nil {
		return h, fmt.Errorf("read %s/status: %w", dir, err)
	}
	return h, nil
}

// readSchedule returns the policy and the priority of the process's thread that has
// the highest: as a service all have one, as a child of the agent only the one
// that pets.
func readSchedule(dir string) (policy, priority int, err error) {
	stats, err := filepath.Glob(filepath.Join(dir, "task", "[0-9]*", "stat"))
	if err != nil {
		return 0, 0, err
	}
	if len(stats) == 0 {
		return 0, 0, fmt.Errorf("read %s/task: %w", dir, fs.ErrNotExist)
	}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // a thread that has ended
		} else if err != nil {
			return 0, 0, err
		}
		how, rt, err := parseSchedule(string(text))
		if err != nil {
			return 0, 0, fmt.Errorf("read %s: %w", path, err)
		}
		if rt > priority {
			policy, priority = how, rt
		}
	}
	return policy, priority, nil
}

// The fields of a stat file behind the name, from 0: proc(5) counts them from 3.
const (
	fieldPriority = 40 - 3
	fieldPolicy   = 41 - 3
)

// parseSchedule reads a thread's policy and real-time priority from its stat file. The
// thread chooses its own name, which may hold anything, parentheses too: what counts
// begins behind the last one.
func parseSchedule(stat string) (policy, priority int, err error) {
	end := strings.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, 0, errors.New("it names no thread")
	}
	fields := strings.Fields(stat[end+1:])
	if len(fields) <= fieldPolicy {
		return 0, 0, fmt.Errorf("it has %d fields", len(fields))
	}
	if priority, err = strconv.Atoi(fields[fieldPriority]); err != nil {
		return 0, 0, err
	}
	if policy, err = strconv.Atoi(fields[fieldPolicy]); err != nil {
		return 0, 0, err
	}
	return policy, priority, nil
}

// parseLocked reads from a status file how many bytes of its memory the process has
// locked: 0 where the kernel does not say, as of one without memory of its own.
func parseLocked(status string) (int64, error) {
	for line := range strings.Lines(status) {
		value, ok := strings.CutPrefix(line, "VmLck:")
		if !ok {
			continue
		}
		kib, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 63-10)
		if err != nil {
			return 0, fmt.Errorf("VmLck: %w", err)
		}
		return int64(kib) << 10, nil
	}
	return 0, nil
}

package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/agent/internal/host"
	"github.com/picket-dev/picket/systemd"
)

const (
	// settle is how long the clocks are watched.
	settle = 50 * time.Millisecond
	// systemdWithin bounds the conversation with systemd, which answers in
	// milliseconds unless the host is in trouble.
	systemdWithin = 5 * time.Second
)

// Read collects what the host itself shows: all facts but those of the agent and
// the choice of a watchdog, which the caller knows how to make.
func Read(ctx context.Context, c host.Config) Facts {
	f := Facts{Node: readNode(c.Root), Machine: readMachine(c), Systemd: readSystemd(ctx, c.Root), Holder: readHolder(filepath.Join(c.Root, "proc"))}
	f.Sysrq = readSysrq(c.Root)
	f.Clock = readClock(ctx, c.Root)
	number := func(name string) *int { return readNumber(filepath.Join(c.Root, "proc/sys/kernel", name)) }
	f.Kernel = Kernel{
		Panic: number("panic"), PanicOnOops: number("panic_on_oops"), HungTaskPanic: number("hung_task_panic"),
		HungTaskTimeout: number("hung_task_timeout_secs"), RealTime: number("sched_rt_runtime_us"), Period: number("sched_rt_period_us"),
	}
	return f
}

// readNode returns what the host calls itself, which is mostly what Kubernetes
// calls the node.
func readNode(root string) string {
	text, err := os.ReadFile(filepath.Join(root, "proc/sys/kernel/hostname"))
	if err != nil {
		return "NODE"
	}
	return strings.TrimSpace(string(text))
}

func readMachine(c host.Config) Machine {
	m := Machine{SharedKernel: host.SharedKernel(c), Hypervisor: host.Hypervisor(c), BreakGlass: host.BreakGlass(c)}
	if id, err := host.ReadIdentity(c); err == nil {
		m.HasMachineID, m.HasUUID = id.MachineID != "", id.SystemUUID != ""
	}
	return m
}

func readSystemd(ctx context.Context, root string) Systemd {
	if _, err := os.Stat(filepath.Join(root, "run/systemd/system")); err != nil {
		return Systemd{}
	}
	s := Systemd{There: true}
	ctx, cancel := context.WithTimeout(ctx, systemdWithin)
	defer cancel()
	m, err := systemd.Dial(ctx, filepath.Join(root, systemd.PrivateSocket))
	if err != nil {
		s.Trouble = err.Error()
		return s
	}
	defer m.Close()
	if s.Release, s.Version, err = m.Version(ctx); err != nil {
		s.Trouble = err.Error()
		return s
	}
	if s.Watchdogs, err = m.Watchdogs(ctx); err != nil {
		s.Trouble = err.Error()
	}
	return s
}

// readSysrq asks whether sysrq-trigger could be written. It does not open it: no
// descriptor that can reset the host belongs into a command of people.
func readSysrq(root string) Sysrq {
	s := Sysrq{}
	if text, err := os.ReadFile(filepath.Join(root, "proc/sys/kernel/sysrq")); err == nil {
		s.Mask = strings.TrimSpace(string(text))
	}
	path := filepath.Join(root, "proc/sysrq-trigger")
	err := unix.Access(path, unix.W_OK)
	if errors.Is(err, unix.EROFS) { // the pod has the host's /proc for reading, and writes by its own
		path = "/proc/sysrq-trigger"
		err = unix.Access(path, unix.W_OK)
	}
	if err != nil {
		s.Trouble = fmt.Sprintf("%s: %v", path, err)
	}
	return s
}

func readClock(ctx context.Context, root string) Clock {
	c := Clock{}
	text, err := os.ReadFile(filepath.Join(root, "sys/devices/system/clocksource/clocksource0/current_clocksource"))
	if err == nil {
		c.Source = strings.TrimSpace(string(text))
	}
	var at [2]struct{ raw, boot time.Duration }
	for i := range at {
		if i > 0 {
			wait := time.NewTimer(settle)
			select {
			case <-wait.C:
			case <-ctx.Done():
				wait.Stop()
				return c
			}
		}
		for _, x := range []struct {
			id   int32
			name string
			to   *time.Duration
		}{{unix.CLOCK_MONOTONIC_RAW, "CLOCK_MONOTONIC_RAW", &at[i].raw}, {unix.CLOCK_BOOTTIME, "CLOCK_BOOTTIME", &at[i].boot}} {
			var ts unix.Timespec
			if err := unix.ClockGettime(x.id, &ts); err != nil {
				c.Trouble = fmt.Sprintf("read %s: %v", x.name, err)
				return c
			}
			*x.to = time.Duration(ts.Nano())
		}
	}
	c.Raw, c.Boot = at[1].raw-at[0].raw, at[1].boot-at[0].boot
	return c
}

// readNumber returns the number that a file holds, or nil.
func readNumber(path string) *int {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return nil
	}
	return &n
}

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
		h, err := parseHolder(filepath.Dir(name))
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

// The fields of a stat file behind the name, from 0: proc(5) counts them from 3.
const (
	fieldPriority = 40 - 3
	fieldPolicy   = 41 - 3
)

// schedule returns the policy and the priority of the process's thread that has
// the highest: as a service all have one, as a child of the agent only the one
// that pets.
func schedule(dir string) (policy, priority int, err error) {
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
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) <= fieldPolicy {
			return 0, 0, fmt.Errorf("read %s: it has %d fields", path, len(fields))
		}
		rt, err := strconv.Atoi(fields[fieldPriority])
		if err != nil {
			return 0, 0, fmt.Errorf("read %s: %w", path, err)
		}
		if rt > priority {
			priority = rt
			if policy, err = strconv.Atoi(fields[fieldPolicy]); err != nil {
				return 0, 0, fmt.Errorf("read %s: %w", path, err)
			}
		}
	}
	return policy, priority, nil
}

// parseHolder reads what /proc says of one process.
func parseHolder(dir string) (Holder, error) {
	var h Holder
	var err error
	if h.PID, err = strconv.Atoi(filepath.Base(dir)); err != nil {
		return h, err
	}
	if h.Policy, h.Priority, err = schedule(dir); err != nil {
		return h, err
	}
	oom, err := os.ReadFile(filepath.Join(dir, "oom_score_adj"))
	if err == nil {
		h.OOM, err = strconv.Atoi(strings.TrimSpace(string(oom)))
	}
	if err != nil {
		return h, fmt.Errorf("read %s/oom_score_adj: %w", dir, err)
	}
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return h, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmLck:"); ok {
			kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64) // 0 if it says nothing
			h.Locked = kib << 10
		}
	}
	return h, nil
}

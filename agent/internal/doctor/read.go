package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

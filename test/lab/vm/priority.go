package vm

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// A machine that boots takes a whole processor for a minute, and would starve
// the ones beside it, which in the world have processors of their own: it waits
// until they have what they need. Both are relative to the lab's own priority,
// by which the control plane runs: that goes first, as if it were elsewhere.
const (
	running = 3
	booting = 15
)

// Favour ends the time in which the machine boots.
func (m *Machine) Favour() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.prefer(running)
}

// prefer sets the priority of all threads of QEMU; what it starts later
// inherits it. A machine without power has none. mu is held.
func (m *Machine) prefer(nice int) {
	if m.power == nil || m.nice == nice {
		return
	}
	own, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return
	}
	m.nice = nice
	threads, _ := os.ReadDir(filepath.Join("/proc", fmt.Sprint(m.power.process.PID()), "task"))
	for _, t := range threads {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			_ = unix.Setpriority(unix.PRIO_PROCESS, id, 20-own+nice) // the system call counts from 40 to 1
		}
	}
}

package machine

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/picket-dev/picket/test/cluster/proc"
	"github.com/picket-dev/picket/test/cluster/rawclock"
)

// dogPoll is how often the dog's file is read; close to its due time it is
// read more often.
const dogPoll = 10 * time.Millisecond

// run is the running part of one boot.
type run struct {
	boot  Boot
	sysrq *os.File
	// kernel is a process that does nothing but lead the boot's group: the
	// group's ID is known before the holder starts, and its death is the
	// group's.
	kernel *proc.Process

	mu    sync.Mutex
	dead  bool
	procs map[string]*proc.Process
}

// boot starts a new boot. The caller holds lifecycle.
func (m *Machine) boot() (_ *run, err error) {
	m.mu.Lock()
	m.boots++
	number := m.boots
	m.mu.Unlock()
	id := newUUID()
	if err := m.prepareHost(id); err != nil {
		return nil, err
	}
	r := &run{procs: make(map[string]*proc.Process)}
	// Read and write: a FIFO without a writer would be at its end for ever.
	if r.sysrq, err = os.OpenFile(m.Sysrq(), os.O_RDWR, 0); err != nil {
		return nil, fmt.Errorf("open sysrq: %w", err)
	}
	r.kernel, err = proc.Start(proc.Command{Name: m.opts.Name, Argv: []string{"sleep", "infinity"}})
	if err != nil {
		r.sysrq.Close()
		return nil, err
	}
	r.boot = Boot{
		ID: id, Number: number, Group: r.kernel.Group(),
		Began: rawclock.Now(), Power: newPower(), Machine: m.Identity(),
	}
	m.setLinks(true)
	for _, c := range m.commands(r.boot) {
		if err := r.start(c); err != nil {
			m.setLinks(false)
			r.kill()
			return nil, err
		}
	}
	m.mu.Lock()
	m.run = r
	m.mu.Unlock()
	m.watchers.Go(func() { m.watch(r) })
	if m.opts.Kubelet != nil {
		m.opts.Kubelet.PowerOn(r.boot)
	}
	return r, nil
}

// commands are the boot's, with what the machine decides.
func (m *Machine) commands(b Boot) []proc.Command {
	if m.opts.Commands == nil {
		return nil
	}
	commands := m.opts.Commands(b)
	for i := range commands {
		commands[i].Group = b.Group
		if commands[i].Log == "" {
			commands[i].Log = m.path("log/" + commands[i].Name + ".log")
		}
	}
	return commands
}

// start starts one process of the boot.
func (r *run) start(c proc.Command) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead {
		return fmt.Errorf("start %s: the machine is off", c.Name)
	}
	if old := r.procs[c.Name]; old != nil && old.State() == nil {
		return fmt.Errorf("start %s: it runs", c.Name)
	}
	p, err := proc.Start(c)
	if err != nil {
		return err
	}
	r.procs[c.Name] = p
	return nil
}

// kill ends all processes of the boot, at once and together.
func (r *run) kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dead = true
	r.kernel.KillGroup()
	for _, p := range r.procs {
		<-p.Done()
	}
	r.sysrq.Close()
}

// watch ends the boot when the dog fires, when sysrq is written, or when the
// group is killed by its own holder.
func (m *Machine) watch(r *run) {
	sysrq := make(chan struct{})
	go func() {
		defer close(sysrq)
		for buffer := make([]byte, 64); ; {
			n, err := r.sysrq.Read(buffer)
			if bytes.ContainsRune(buffer[:n], 'b') || err != nil {
				return // err: the boot has ended
			}
		}
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-sysrq:
			m.end(r.boot.ID, Sysrq, 0, true)
			return
		case <-r.kernel.Done():
			m.end(r.boot.ID, Sysrq, 0, true) // no-op after any other end
			<-sysrq
			return
		case <-timer.C:
		}
		wait := dogPoll
		if dog, err := readDog(m.Device()); err == nil && dog.Running {
			left := time.Duration(m.opts.Kappa*float64(dog.Timeout)) - (rawclock.Now() - dog.Ping)
			if left <= 0 {
				m.end(r.boot.ID, Watchdog, rawclock.Now()+left, true)
				<-sysrq
				return
			}
			wait = min(wait, left)
		}
		timer.Reset(wait)
	}
}

// noProcess says what to do.
func noProcess(machine, name string) error {
	return fmt.Errorf("%s runs no process %q: the machine is off, or Options.Commands did not name it", machine, name)
}

// Process returns a process of the current boot by its command's name.
func (m *Machine) Process(name string) (*proc.Process, error) {
	m.mu.Lock()
	r := m.run
	m.mu.Unlock()
	if r == nil {
		return nil, noProcess(m.opts.Name, name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.procs[name]; p != nil {
		return p, nil
	}
	return nil, noProcess(m.opts.Name, name)
}

// Start starts a process of the current boot again, after it was killed or
// stopped: what systemd does for the holder, and the kubelet for the agent.
func (m *Machine) Start(name string) error {
	m.mu.Lock()
	r := m.run
	m.mu.Unlock()
	if r == nil {
		return noProcess(m.opts.Name, name)
	}
	for _, c := range m.commands(r.boot) {
		if c.Name == name {
			return r.start(c)
		}
	}
	return noProcess(m.opts.Name, name)
}

// Signal sends a signal to a process of the current boot and to all its
// descendants: SIGSTOP, SIGCONT or SIGKILL of an agent take its supervised
// worker along.
func (m *Machine) Signal(name string, sig syscall.Signal) error {
	p, err := m.Process(name)
	if err != nil {
		return err
	}
	return p.SignalTree(sig)
}

// Freeze stops everything that runs on the machine but the dog: a kernel that
// hangs. Thaw lets it run on as if nothing had happened.
func (m *Machine) Freeze() error { return m.freeze(syscall.SIGSTOP, (*Power).freeze) }

// Thaw ends a Freeze.
func (m *Machine) Thaw() error { return m.freeze(syscall.SIGCONT, (*Power).thaw) }

func (m *Machine) freeze(sig syscall.Signal, change func(*Power)) error {
	boot, on := m.Boot()
	if !on {
		return fmt.Errorf("freeze or thaw %s: it is off", m.opts.Name)
	}
	change(boot.Power)
	if err := syscall.Kill(-boot.Group, sig); err != nil {
		return fmt.Errorf("freeze or thaw %s: %w", m.opts.Name, err)
	}
	return nil
}

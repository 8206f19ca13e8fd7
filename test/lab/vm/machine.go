package vm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/picket-dev/picket/test/cluster/proc"
	"github.com/picket-dev/picket/test/cluster/rawclock"
	"github.com/picket-dev/picket/test/lab/wire"
)

// Machine is a virtual machine, on or off.
type Machine struct {
	opts Options

	mu     sync.Mutex
	power  *power // nil while it is off
	events []Event
	boot   string // of the last greeting, empty once that boot has ended
	nice   int    // of QEMU, 0 where it was not set
}

// power is one run of QEMU.
type power struct {
	process *proc.Process
	monitor *qmp
	hand    *hand
	cut     bool // its end was asked for
}

// New describes a machine, which is off.
func New(o Options) *Machine { return &Machine{opts: o} }

// Name is the machine's.
func (m *Machine) Name() string { return m.opts.Name }

// PowerOn starts the machine and returns while it boots.
func (m *Machine) PowerOn(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.power != nil {
		return fmt.Errorf("power on %s: it is on", m.opts.Name)
	}
	for _, socket := range []string{"qmp", "hand"} {
		_ = os.Remove(m.path(socket))
	}
	p := &power{}
	m.record(PowerOn)
	var err error
	p.process, err = proc.Start(proc.Command{Name: "qemu " + m.opts.Name, Argv: m.argv(), Dir: m.opts.Dir, Log: m.path("qemu")})
	if err != nil {
		return err
	}
	if err := m.connect(ctx, p); err != nil {
		p.process.KillGroup()
		log, _ := os.ReadFile(m.path("qemu"))
		return fmt.Errorf("power on %s: %w; QEMU says: %s", m.opts.Name, err, log)
	}
	m.power, m.nice = p, 0
	m.prefer(booting)
	go m.mourn(p)
	return nil
}

// connect opens the sockets that QEMU listens on.
func (m *Machine) connect(ctx context.Context, p *power) error {
	monitor, err := dial(ctx, m.path("qmp"), p.process.Done())
	if err != nil {
		return err
	}
	port, err := dial(ctx, m.path("hand"), p.process.Done())
	if err != nil {
		return err
	}
	p.hand = newHand(port, func(boot string) { m.greeted(p, boot) })
	p.monitor, err = openQMP(monitor, func(name string, data qmpData) { m.heard(p, name) })
	return err
}

// dial waits until somebody listens at a unix socket.
func dial(ctx context.Context, path string, gone <-chan struct{}) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
		if err == nil {
			return conn, nil
		}
		select {
		case <-gone:
			return nil, errors.New("QEMU has ended")
		case <-ctx.Done():
			return nil, err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// mourn notes the end of QEMU.
func (m *Machine) mourn(p *power) {
	<-p.process.Done()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.power != p {
		return
	}
	m.power = nil
	if !p.cut {
		m.record(Died)
	}
	m.boot = ""
}

// heard takes QEMU's events.
func (m *Machine) heard(p *power, name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch name {
	case "WATCHDOG":
		m.record(Watchdog)
	case "RESET":
		m.reset()
	case "SHUTDOWN":
		if !p.cut {
			p.cut = true
			m.record(PowerOff)
		}
	}
}

// reset notes a reset once: a kernel that reboots tries several ways, within
// milliseconds. mu is held.
func (m *Machine) reset() {
	last := m.events[len(m.events)-1]
	if last.Cause == Reset && rawclock.Now()-last.At < time.Second {
		return
	}
	m.record(Reset)
	m.boot = ""
	m.prefer(booting)
}

// greeted takes the first word of a boot, or of a guest's program that was
// started again.
func (m *Machine) greeted(p *power, boot string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.power != nil && m.power != p || m.boot == boot {
		return
	}
	m.boot = boot
	m.record(Booted)
}

// record appends an event; mu is held.
func (m *Machine) record(cause Cause) {
	e := Event{At: rawclock.Now(), Machine: m.opts.Name, Cause: cause, Boot: m.boot}
	m.events = append(m.events, e)
	if m.opts.Notify != nil {
		m.opts.Notify(e)
	}
}

// PowerCut ends the machine at once, as if its plug were pulled, and returns
// the raw time at which it was about to. A machine that is off stays off.
func (m *Machine) PowerCut() time.Duration {
	m.mu.Lock()
	p := m.power
	if p == nil {
		m.mu.Unlock()
		return rawclock.Now()
	}
	p.cut = true
	m.record(PowerCut)
	at := m.events[len(m.events)-1].At
	m.power, m.boot = nil, ""
	m.mu.Unlock()
	p.process.KillGroup()
	return at
}

// Press presses the reset button.
func (m *Machine) Press() error { return m.monitor("system_reset", nil) }

// Carrier sets the link of a card, counted from 0, up or down, as the node sees
// it.
func (m *Machine) Carrier(card int, up bool) error {
	return m.monitor("set_link", map[string]any{"name": fmt.Sprintf("net%d", card), "up": up})
}

func (m *Machine) monitor(command string, arguments map[string]any) error {
	m.mu.Lock()
	p := m.power
	m.mu.Unlock()
	if p == nil {
		return fmt.Errorf("%s: %s is off", command, m.opts.Name)
	}
	return p.monitor.do(command, arguments)
}

// On reports whether the machine has power, and the ID of the boot that has
// spoken; empty while it boots.
func (m *Machine) On() (boot string, on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.boot, m.power != nil
}

// Events returns all that has happened so far.
func (m *Machine) Events() []Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.events)
}

// WaitBoot waits until a boot speaks that is not the one given.
func (m *Machine) WaitBoot(ctx context.Context, not string) (string, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		boot, on := m.On()
		switch {
		case boot != "" && boot != not:
			return boot, nil
		case !on:
			return "", fmt.Errorf("wait for %s to boot: it is off", m.opts.Name)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", fmt.Errorf("wait for %s to boot: %w; its console is %s", m.opts.Name, ctx.Err(), m.path("console"))
		}
	}
}

// Do runs a script inside, with an input, and returns what it wrote. The reply
// is given even if the script's exit code, as an error, is not 0.
func (m *Machine) Do(ctx context.Context, within time.Duration, command string, stdin []byte) (wire.Reply, error) {
	m.mu.Lock()
	p := m.power
	m.mu.Unlock()
	if p == nil {
		return wire.Reply{}, fmt.Errorf("run %q on %s: it is off", command, m.opts.Name)
	}
	ctx, cancel := context.WithTimeout(ctx, within+5*time.Second)
	defer cancel()
	reply, err := p.hand.ask(ctx, wire.Request{Command: command, Stdin: stdin, Timeout: within})
	if err == nil && reply.Exit != 0 {
		err = fmt.Errorf("exit code %d: %s%s", reply.Exit, reply.Err, reply.Out)
	}
	if err != nil {
		return reply, fmt.Errorf("run %q on %s: %w", command, m.opts.Name, err)
	}
	return reply, nil
}

// Exec runs a script inside and returns what it wrote to stdout.
func (m *Machine) Exec(ctx context.Context, command string) (string, error) {
	reply, err := m.Do(ctx, 30*time.Second, command, nil)
	return string(reply.Out), err
}

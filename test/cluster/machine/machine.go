package machine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/picket-dev/picket/test/cluster/rawclock"
)

// Boot is one run of the machine's kernel.
type Boot struct {
	ID     string
	Number int // 1 is the first
	// Group is the process group of everything that runs in this boot.
	Group int
	Began time.Duration // raw monotonic time
	Power *Power
	// Machine is the machine's identity and paths, the same in each boot.
	Machine Identity
}

// Identity is what a reboot does not change.
type Identity struct {
	Name       string
	Root       string // of the host's file system
	MachineID  string
	SystemUUID string
	Device     string // the watchdog
	Sysrq      string
}

// Machine is a simulated bare-metal machine. All methods may be called from
// any goroutine.
type Machine struct {
	opts       Options
	machineID  string
	systemUUID string
	memory     string // where /run and /dev are; empty: below Dir

	// lifecycle serialises power-on and power-off; mu guards the fields.
	lifecycle sync.Mutex
	mu        sync.Mutex
	boots     int
	stayOff   bool
	closed    bool
	run       *run
	events    []Event
	reboot    *time.Timer
	watchers  sync.WaitGroup
}

// New describes a machine, which is off. The caller must call Close.
func New(o Options) (*Machine, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	m := &Machine{opts: o, machineID: newMachineID(), systemUUID: newUUID(), stayOff: o.StayOff}
	if err := os.MkdirAll(m.path("proc"), 0o755); err != nil {
		return nil, fmt.Errorf("make machine %s: %w", o.Name, err)
	}
	if err := m.makeMemory(); err != nil {
		return nil, fmt.Errorf("make machine %s: %w", o.Name, err)
	}
	return m, nil
}

// Name is the node's name.
func (m *Machine) Name() string { return m.opts.Name }

// Identity is what a reboot does not change.
func (m *Machine) Identity() Identity {
	return Identity{
		Name: m.opts.Name, Root: m.opts.Dir, MachineID: m.machineID, SystemUUID: m.systemUUID,
		Device: m.Device(), Sysrq: m.Sysrq(),
	}
}

// Device is the path of the watchdog file.
func (m *Machine) Device() string { return m.path("dev/watchdog") }

// Sysrq is the path of the sysrq file, a FIFO: a "b" resets at once.
func (m *Machine) Sysrq() string { return m.path("proc/sysrq-trigger") }

// Dog is the state of the watchdog.
func (m *Machine) Dog() (Dog, error) { return readDog(m.Device()) }

// SetStayOff decides whether the next reset boots the machine again.
func (m *Machine) SetStayOff(off bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stayOff = off
}

// Boot returns the boot that runs; false while the power is off.
func (m *Machine) Boot() (Boot, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.run == nil {
		return Boot{}, false
	}
	return m.run.boot, true
}

// Events returns the begins and ends of all boots so far.
func (m *Machine) Events() []Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Event(nil), m.events...)
}

// errClosed is what a closed machine answers.
var errClosed = errors.New("machine is closed")

// PowerOn boots the machine at once, without the firmware's BootTime.
func (m *Machine) PowerOn() error {
	m.lifecycle.Lock()
	defer m.lifecycle.Unlock()
	m.mu.Lock()
	closed, running := m.closed, m.run != nil
	m.mu.Unlock()
	switch {
	case closed:
		return fmt.Errorf("power on %s: %w", m.opts.Name, errClosed)
	case running:
		return fmt.Errorf("power on %s: it is on", m.opts.Name)
	}
	r, err := m.boot()
	if err != nil {
		return fmt.Errorf("boot %s: %w", m.opts.Name, err)
	}
	m.note(Event{Cause: PowerOn, Boot: r.boot.ID, At: r.boot.Began})
	return nil
}

// PowerCut takes the power away, for good. Off already, it does nothing.
func (m *Machine) PowerCut() {
	if boot, on := m.Boot(); on {
		m.end(boot.ID, PowerCut, 0, false)
	}
}

// Reset presses the reset button: the machine boots again after its BootTime,
// unless it is to stay off.
func (m *Machine) Reset() {
	if boot, on := m.Boot(); on {
		m.end(boot.ID, Pressed, 0, true)
	}
}

// Close cuts the power and lets nothing run on.
func (m *Machine) Close() {
	m.forbidBoots()
	m.PowerCut()
	m.watchers.Wait()
	if m.memory != "" {
		_ = os.RemoveAll(m.memory) // the machine is gone: its memory is nobody's
	}
}

// forbidBoots waits for a boot that is under way and lets none follow.
func (m *Machine) forbidBoots() {
	m.lifecycle.Lock()
	defer m.lifecycle.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	if m.reboot != nil {
		m.reboot.Stop()
	}
}

// end ends one boot, if it still runs. Nothing that the machine did is visible
// from outside after the instant at which its links went dark.
func (m *Machine) end(bootID string, cause Cause, due time.Duration, again bool) {
	m.lifecycle.Lock()
	defer m.lifecycle.Unlock()
	m.mu.Lock()
	r := m.run
	if r == nil || r.boot.ID != bootID {
		m.mu.Unlock()
		return
	}
	m.run = nil
	m.mu.Unlock()

	m.setLinks(false)
	r.boot.Power.turnOff()
	at := rawclock.Now()
	r.kill()
	if m.opts.Kubelet != nil {
		m.opts.Kubelet.PowerOff()
	}
	m.note(Event{Cause: cause, Boot: bootID, At: at, Due: due})
	if again {
		m.bootLater()
	}
}

// bootLater boots again after the firmware's time.
func (m *Machine) bootLater() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || m.stayOff {
		return
	}
	m.reboot = time.AfterFunc(m.opts.BootTime, func() {
		// A scenario may have powered it on meanwhile, or closed it.
		_ = m.PowerOn()
	})
}

func (m *Machine) setLinks(on bool) {
	for _, l := range m.opts.Links {
		l.SetPower(on)
	}
}

// note keeps an event and passes it on.
func (m *Machine) note(e Event) {
	e.Machine = m.opts.Name
	m.mu.Lock()
	m.events = append(m.events, e)
	m.mu.Unlock()
	if m.opts.Notify != nil {
		m.opts.Notify(e)
	}
}

func (m *Machine) path(name string) string { return filepath.Join(m.opts.Dir, name) }

package hold

import (
	"fmt"
	"time"

	"github.com/picket-dev/picket/proto/timing"
)

// An Act is what the holder must do now. The zero Act is nothing.
type Act uint8

const (
	// Nothing is to be done before Next.
	Nothing Act = iota
	// Open opens the device, or takes over the one that was handed on, without
	// pinging more than the opening itself does.
	Open
	// SetTimeout sets T, which pings.
	SetTimeout
	// Ping keeps the device from firing.
	Ping
	// Close stops the device by a magic close.
	Close
	// Reset resets the host by sysrq-b.
	Reset
	// Exit ends the process and leaves the device as it is.
	Exit
)

// String returns the name for logs and test failures.
func (a Act) String() string {
	switch a {
	case Nothing:
		return "Nothing"
	case Open:
		return "Open"
	case SetTimeout:
		return "SetTimeout"
	case Ping:
		return "Ping"
	case Close:
		return "Close"
	case Reset:
		return "Reset"
	case Exit:
		return "Exit"
	}
	return fmt.Sprintf("Act(%d)", uint8(a))
}

// An Action is one Act with its arguments. Whoever receives one carries it out
// at once and reports by Done.
type Action struct {
	Act Act
	// Timeout is the T to set, or the T for which the device is opened.
	Timeout time.Duration
	// Resume says that a running device is ours and may be opened.
	Resume bool
}

// A Result is how an Action ended.
type Result struct {
	// Timeout is the T in force, after Open and SetTimeout.
	Timeout time.Duration
	// Nowayout says, after Open, that the device cannot be stopped.
	Nowayout bool
	// Err is why the action failed.
	Err error
}

const (
	// MaxLead bounds how far ahead a petUntil may lie. No roll lives that
	// long; an instant beyond it was read from another clock.
	MaxLead = 10 * time.Minute

	// retry is the pace at which a failed reset, or a failed opening of a
	// device that is ours, is tried again.
	retry = time.Second
)

// Machine decides when the device may be pinged. Its rules:
//
//   - In Armed nothing that pings is allowed unless petUntil lies ahead on both
//     clocks, at the instant that the caller read just before.
//   - petUntil passed in Armed: latched, reset (A6). So is a ping that ended
//     after petUntil and more than δ after its check (overrun).
//   - Latched is for ever: the only action is Reset.
//   - petUntil never moves back while Armed.
//   - Coasting and Testing are for ever, too, but for a Latch: nothing pings, no
//     deadline passes, and the dog decides.
//
// The caller feeds it instants that never go back, carries out each Action
// before the next call, and does nothing between reading the clock and the
// device call of an Action than what lies in the Machine. The zero Machine is
// not ready: make one by Resume.
type Machine struct {
	petDelay time.Duration

	state    State
	timeout  time.Duration  // T in force, or wanted while opening; 0 unknown
	petUntil timing.Instant // Armed only
	due      timing.Instant // the next ping, or the next try
	checked  timing.Instant // the clock that allowed the action under way

	open     bool // the device is open
	nowayout bool
	origin   State // while arming: the state to fall back to
	undo     bool  // SetTimeout under way only restores the old T
	last     bool  // SetTimeout under way is the last ping, by OpCoast
	unsure   bool  // until it has worked, the T in force is too long
	trial    bool  // the action under way prepares a test, or is its last ping
	fresh    bool  // the device was opened for the test that begins
	leaving  bool  // told to terminate
	refusal  error // why this holder must never open the device
	unread   bool  // the marker could not be trusted and must stay as it is

	reason    string
	lastPet   timing.Instant
	pets      uint64
	worst     time.Duration
	failing   bool
	lastError string
}

// Request carries out a call of the agent. The Action comes first; the call is
// answered when it and its successors are done, by the last error among them.
func (m *Machine) Request(q Request, now timing.Instant) (Action, error) {
	m.checked = now
	if m.state == Armed && m.petUntil.Passed(now) {
		return m.latch("A6: petUntil passed before a call")
	}
	if m.state == Latched && q.Op != OpLatch && q.Op != OpStatus {
		return Action{}, refuse(ErrLatched, "%s", m.reason)
	}
	switch q.Op {
	case OpStatus:
		return Action{}, nil
	case OpLatch:
		return m.latch("A1: the agent asked for it")
	default:
	}
	switch m.state {
	case Coasting:
		return m.coasting(q)
	case Testing:
		return m.testing(q)
	default:
	}
	switch q.Op {
	case OpArm:
		return m.arm(q, now)
	case OpExtend, OpSetTimeout, OpCoast:
		return m.extend(q, now)
	case OpFree:
		m.free()
		return Action{}, nil
	case OpDisarm:
		return m.disarm()
	case OpTest:
		return m.test(q)
	default:
	}
	return Action{}, refuse(ErrInvalid, "unknown operation %d", uint8(q.Op))
}

// valid returns why q must not be the ground for a ping at now.
func valid(q Request, now timing.Instant) error {
	switch {
	case q.PetUntil.Passed(now):
		return refuse(ErrExpired, "%v ago", q.PetUntil.Age(now))
	case !q.PetUntil.Passed(now.Add(MaxLead)):
		return refuse(ErrInvalid, "petUntil lies more than %v ahead: it was read from another clock", MaxLead)
	case q.Op != OpExtend && q.Timeout <= 0:
		return refuse(ErrInvalid, "timeout %v is not positive", q.Timeout)
	}
	return nil
}

func (m *Machine) arm(q Request, now timing.Instant) (Action, error) {
	if m.state == Armed {
		q.Op = OpSetTimeout
		return m.extend(q, now)
	}
	if m.refusal != nil {
		return Action{}, m.refusal
	}
	if err := valid(q, now); err != nil {
		return Action{}, err
	}
	from := m.state
	m.state, m.petUntil = Armed, q.PetUntil
	switch {
	case !m.open:
		m.origin, m.timeout = from, q.Timeout
		return Action{Act: Open, Timeout: q.Timeout, Resume: from == Free}, nil
	case m.timeout != q.Timeout:
		m.origin = from
		return Action{Act: SetTimeout, Timeout: q.Timeout}, nil
	}
	return Action{}, nil
}

func (m *Machine) extend(q Request, now timing.Instant) (Action, error) {
	if m.state != Armed {
		return Action{}, refuse(ErrNotArmed, "it is %v", m.state)
	}
	err := valid(q, now)
	if err == nil && q.PetUntil.After(m.petUntil) {
		m.petUntil = q.PetUntil
	}
	switch {
	case q.Op == OpExtend && err != nil && q.PetUntil.Passed(now):
		return Action{}, nil // older than what is in force: ignored
	case err != nil || q.Op == OpExtend || q.Op == OpSetTimeout && q.Timeout == m.timeout:
		return Action{}, err
	case !m.open:
		return Action{}, refuse(ErrDevice, "it is not open: %s", m.lastError)
	}
	m.last = q.Op == OpCoast
	return Action{Act: SetTimeout, Timeout: q.Timeout}, nil
}

// coasting answers what would change a holder that coasts.
func (m *Machine) coasting(q Request) (Action, error) {
	if q.Op == OpCoast {
		return Action{}, nil // done already; the T in force stays
	}
	return Action{}, refuse(ErrRefused,
		"the holder coasts with a timeout of %v because the host shuts down: reboot the host, its next boot can be armed", m.timeout)
}

// free needs no device: it only takes the deadline away.
func (m *Machine) free() {
	if m.state == Armed {
		m.state, m.petUntil = Free, timing.Instant{}
	}
}

func (m *Machine) disarm() (Action, error) {
	if m.state == Idle {
		return Action{}, nil
	}
	// A holder that is killed while it closes must not leave an armed marker.
	m.free()
	switch {
	case m.nowayout:
		return Action{}, refuse(ErrRefused, "the device is nowayout and cannot be stopped; the holder is Free and goes on petting")
	case !m.open:
		m.idle()
		return Action{}, nil
	}
	return Action{Act: Close}, nil
}

// Terminate carries out a SIGTERM. The device is closed only in Free; an armed
// one is left to fire unless a successor takes over. As the end of the process
// can close the last descriptor, which pings, an armed holder leaves only
// while petUntil is more than δ ahead, else stays for the next Extend or the
// latch. A latched one never leaves. Nor does one that tests its device: the
// ping of the close would be taken for a part of the measured silence.
//
// A coasting holder leaves at once, without a magic close. The kernel pings once
// when the last descriptor goes: with this process, or, where the FD store has
// another, when the service manager discards that. systemd does so at the end of
// a shutdown at the latest, so the u of the long T must count one ping even
// where the holder outlives its agent. A successor that coasts
// never opens the device again, so that it is one at most.
func (m *Machine) Terminate(now timing.Instant) (Action, error) {
	m.checked, m.leaving = now, true
	switch {
	case m.state == Latched || m.state == Testing:
		return Action{}, nil
	case m.state == Armed && m.petUntil.Passed(now):
		return m.latch("A6: petUntil passed before SIGTERM")
	case m.state == Armed && m.petUntil.Passed(now.Add(m.petDelay)):
		return Action{}, nil
	case m.state == Free && m.open && !m.nowayout:
		return Action{Act: Close}, nil
	}
	return Action{Act: Exit}, nil
}

// Tick carries out what time alone asks for. Call it at Next, or earlier.
func (m *Machine) Tick(now timing.Instant) (Action, error) {
	m.checked = now
	switch {
	case m.state == Armed && m.petUntil.Passed(now):
		return m.latch("A6: petUntil passed")
	case m.leaving && m.state != Latched:
		if action, err := m.Terminate(now); action.Act != Nothing || err != nil {
			return action, err
		}
	}
	if m.state == Idle || m.state == Coasting || m.state == Testing || !m.due.Passed(now) {
		return Action{}, nil
	}
	switch {
	case m.state == Latched:
		return m.latch(m.reason)
	case !m.open:
		return Action{Act: Open, Timeout: m.timeout, Resume: true}, nil
	}
	return Action{Act: Ping}, nil
}

// Next returns the instant at which Tick must be called, and whether there is
// one: a holder that is idle, coasts or tests waits for its agent only.
func (m *Machine) Next() (timing.Instant, bool) {
	switch m.state {
	case Armed:
		return m.due.Earlier(m.petUntil), true
	case Free, Latched:
		return m.due, true
	case StateUnknown, Idle, Coasting, Testing:
	}
	return timing.Instant{}, false
}

// Record returns what the marker must say before anything else is done.
func (m *Machine) Record() Record {
	return Record{State: m.state, Timeout: m.timeout, PetUntil: m.petUntil}
}

// Unread reports that the marker on disk could not be trusted. It must stay as
// it is, or the next holder would take this one's record for the truth.
func (m *Machine) Unread() bool { return m.unread }

// Report fills the part of a Status that the Machine knows.
func (m *Machine) Report(s *Status) {
	s.State, s.PetDelay, s.PetUntil = m.state, m.petDelay, m.petUntil
	s.LastPet, s.WorstDelay, s.Pets = m.lastPet, m.worst, m.pets
	s.Failing, s.LastError = m.failing, m.lastError
	s.Timeout = m.timeout
}

// Reason returns why the Machine has latched, with the rule's number.
func (m *Machine) Reason() string { return m.reason }

// interval returns T/4, so that three pings may fail.
func (m *Machine) interval() time.Duration {
	if m.timeout <= 0 {
		return retry / 4
	}
	return m.timeout / 4
}

// latch is the end of this boot. It allocates nothing: memory may be what the
// host has run out of.
func (m *Machine) latch(reason string) (Action, error) {
	if m.state != Latched {
		m.state, m.reason, m.lastError = Latched, reason, reason
	}
	m.due = m.checked.Add(retry)
	return Action{Act: Reset}, ErrLatched
}

func (m *Machine) idle() {
	m.state, m.petUntil, m.timeout, m.open, m.failing = Idle, timing.Instant{}, 0, false, false
}

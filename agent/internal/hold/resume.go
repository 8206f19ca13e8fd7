package hold

import (
	"time"

	"github.com/picket-dev/picket/agent/internal/watchdog"
	"github.com/picket-dev/picket/proto/timing"
)

// Evidence is what a holder finds when it starts.
type Evidence struct {
	// Record is the marker's, if Verdict is Ours.
	Record  Record
	Verdict Verdict
	// Adopted says that the service manager handed the open device back.
	Adopted bool
	// Active says whether the device runs, as far as sysfs tells.
	Active watchdog.Answer
	// NoReset is why the host cannot be reset by sysrq, or nil. Such a holder
	// refuses to arm.
	NoReset error
}

// Resume returns the Machine of a holder that starts at now with this evidence
// and this δ, and its first Action. A device that is ours is opened by the
// first Tick, which checks petUntil anew:
//
//   - A latched marker of this boot, or an armed one whose petUntil has passed:
//     the device is never opened, set or pinged again, and the host is reset
//     at once (A6).
//   - Armed and petUntil ahead: goes on under the old petUntil. Free: goes on.
//   - Coasting and Testing: go on. The device is not opened, since that pings,
//     and a descriptor that was handed back stays open, since its close may.
//   - Idle, or a boot without a marker: starts idle.
//   - A marker that cannot be read, or none, while the device runs or may run:
//     the last holder may have latched, so a ping could keep a condemned boot
//     alive; and the dog may be another's, so a reset could hit a healthy one.
//     The holder therefore neither pings nor resets. It stays idle, refuses to
//     arm, and lets the device decide.
//
// Where there is no marker and no descriptor was handed back, a running device
// is somebody else's: opening it refuses it then, with a better reason.
func Resume(e Evidence, petDelay time.Duration, now timing.Instant) (*Machine, Action, error) {
	m := &Machine{petDelay: petDelay, state: Idle, due: now, checked: now}
	if e.NoReset != nil {
		m.refusal = refuse(ErrRefused, "the host cannot be reset: %v", e.NoReset)
		m.lastError = m.refusal.Error()
	}
	switch {
	case e.Verdict == Ours && e.Record.State == Latched:
		action, err := m.latch("A6: the marker of this boot is latched")
		return m, action, err
	case e.Verdict == Ours && e.Record.State == Armed && e.Record.PetUntil.Passed(now):
		action, err := m.latch("A6: petUntil of this boot's marker has passed")
		return m, action, err
	case e.Verdict == Ours && (e.Record.State == Armed || e.Record.State == Free):
		m.state, m.timeout = e.Record.State, e.Record.Timeout
		if m.state == Armed {
			m.petUntil = e.Record.PetUntil
		}
		return m, Action{}, nil
	case e.Verdict == Ours && (e.Record.State == Coasting || e.Record.State == Testing):
		m.state, m.timeout = e.Record.State, e.Record.Timeout
		return m, Action{}, nil
	case e.Verdict == Ours && e.Adopted:
		// Stopped by its last holder, but for the descriptor.
		m.state, m.open = Free, true
		return m, Action{Act: Close}, nil
	case e.Verdict == Ours:
		return m, Action{}, nil
	case e.Adopted || e.Verdict == Corrupt && e.Active != watchdog.No:
		err := refuse(ErrRefused, "the marker is %v while the device runs or may run, so it must not be pinged: "+
			"if the host is not reset by it, stop the process that keeps the device, remove the marker and restart the holder",
			e.Verdict)
		m.refusal, m.lastError, m.unread = err, err.Error(), true
		return m, Action{}, err
	}
	return m, Action{}, nil
}

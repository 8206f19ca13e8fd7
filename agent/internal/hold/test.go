package hold

import "github.com/picket-dev/picket/proto/timing"

// test begins a self-test of a device that nothing gates. Its steps are to open
// the device if need be, to set T, and one explicit ping, since not every
// driver pings when T is set. Whatever fails on the way undoes the test.
func (m *Machine) test(q Request) (Action, error) {
	switch {
	case m.state != Idle && m.state != Free:
		return Action{}, refuse(ErrRefused, "the holder is %v: become unarmed first", m.state)
	case m.refusal != nil:
		return Action{}, m.refusal
	case q.Timeout <= 0:
		return Action{}, refuse(ErrInvalid, "timeout %v is not positive", q.Timeout)
	case m.state == Free && !m.open:
		return Action{}, refuse(ErrDevice, "it is not open: %s", m.lastError)
	}
	m.trial = true
	switch {
	case !m.open:
		return Action{Act: Open, Timeout: q.Timeout}, nil
	case m.timeout != q.Timeout:
		return Action{Act: SetTimeout, Timeout: q.Timeout}, nil
	}
	return Action{Act: Ping}, nil
}

// testing answers what would end a test.
func (m *Machine) testing(q Request) (Action, error) {
	if q.Op == OpTest {
		return Action{}, nil // begun already; the T in force stays
	}
	return Action{}, refuse(ErrRefused, "the holder tests its device with a timeout of %v, which must reset the host; "+
		"if it does not, the device is no good: reboot the host", m.timeout)
}

// tried takes the result of a step of a test that begins.
func (m *Machine) tried(a Action, r Result, now timing.Instant) (Action, error) {
	m.trial = false
	if r.Err != nil && a.Act == Open {
		m.lastError = r.Err.Error()
		return Action{}, refuse(ErrRefused, "%s", m.lastError)
	}
	switch a.Act {
	case Open:
		// From here on the device runs, and is kept like one that was freed.
		m.state, m.open, m.nowayout, m.timeout, m.due, m.fresh = Free, true, r.Nowayout, r.Timeout, now, true
		if r.Timeout != a.Timeout {
			m.trial, m.checked = true, now
			return Action{Act: SetTimeout, Timeout: a.Timeout}, nil
		}
	case SetTimeout:
		m.timeout, m.due = r.Timeout, now
		if r.Err != nil || r.Timeout != a.Timeout {
			return m.untried(a, r)
		}
	case Ping:
		return m.lastPing(a, r)
	default:
		return Action{}, nil
	}
	m.trial, m.checked = true, now
	return Action{Act: Ping}, nil
}

// lastPing begins the silence, if the ping worked.
func (m *Machine) lastPing(a Action, r Result) (Action, error) {
	if r.Err != nil {
		return m.untried(a, r)
	}
	m.lastPet, m.failing, m.fresh = m.checked, false, false
	m.pets++
	m.state, m.petUntil = Testing, timing.Instant{}
	return Action{}, nil
}

// untried goes back to where the test came from: free, or closed.
func (m *Machine) untried(a Action, r Result) (Action, error) {
	err := refuse(ErrDevice, "it makes a timeout of %v of the %v asked for", r.Timeout, a.Timeout)
	if r.Err != nil {
		err = refuse(ErrDevice, "%s", r.Err.Error())
	}
	m.lastError = err.Error()
	fresh := m.fresh
	m.fresh = false
	if fresh && !m.nowayout {
		return Action{Act: Close}, err
	}
	return Action{}, err
}

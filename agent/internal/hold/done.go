package hold

import "github.com/picket-dev/picket/proto/timing"

// Done takes the result of an Action, with an instant read right after it, and
// returns what must follow. Its error says what went wrong; it is the answer
// to the call that began with the Action.
func (m *Machine) Done(a Action, r Result, now timing.Instant) (Action, error) {
	if m.trial {
		return m.tried(a, r, now)
	}
	switch a.Act {
	case Open:
		return m.opened(a, r, now)
	case SetTimeout:
		return m.timeoutSet(a, r, now)
	case Ping:
		return m.pinged(r, now)
	case Close:
		return m.closed(r, now)
	case Reset:
		// Who is still alive here tries again.
		if r.Err != nil {
			m.lastError = "reset: " + r.Err.Error()
		}
	case Nothing, Exit:
	}
	return Action{}, nil
}

func (m *Machine) opened(a Action, r Result, now timing.Instant) (Action, error) {
	if r.Err != nil {
		m.lastError = r.Err.Error()
		origin := m.origin
		m.origin = StateUnknown
		if origin == Idle {
			m.idle()
			return Action{}, refuse(ErrRefused, "%s", m.lastError)
		}
		if origin == Free {
			m.free()
		}
		m.failing, m.due = true, now.Add(retry)
		return Action{}, refuse(ErrDevice, "%s", m.lastError)
	}
	m.open, m.nowayout, m.failing, m.due = true, r.Nowayout, false, now
	if m.origin != StateUnknown {
		m.timeout = r.Timeout // whoever resumes keeps the marker's T: it is promised
	}
	if action, over, err := m.overrun(now); over {
		return action, err
	}
	if a.Timeout <= 0 || r.Timeout == a.Timeout {
		m.timeout, m.origin = r.Timeout, StateUnknown
		return Action{}, nil
	}
	m.checked, m.unsure = now, r.Timeout > a.Timeout || r.Timeout == 0
	return Action{Act: SetTimeout, Timeout: a.Timeout}, nil
}

func (m *Machine) timeoutSet(a Action, r Result, now timing.Instant) (Action, error) {
	protected := m.state == Armed && m.origin == StateUnknown
	longer := r.Timeout > max(a.Timeout, m.timeout)
	undo, unsure, last := m.undo, m.unsure, m.last
	m.undo, m.unsure, m.last = false, false, false
	if r.Err != nil {
		m.lastError = r.Err.Error()
		err := refuse(ErrDevice, "%s", m.lastError)
		switch {
		case protected && (longer || unsure && r.Timeout == 0):
			return m.tooLong(now)
		case protected && r.Timeout == 0:
			m.timeout = max(m.timeout, a.Timeout) // a bound: it is one of the two
		default:
			m.timeout = r.Timeout
		}
		if m.origin != StateUnknown {
			return m.abandon(err)
		}
		m.failing = r.Timeout == 0 // else it only dislikes this T
		return Action{}, err
	}
	if !protected || !longer {
		m.timeout = r.Timeout
	}
	m.lastPet, m.due, m.failing = m.checked, m.checked.Add(m.interval()), false
	if action, over, err := m.overrun(now); over {
		return action, err
	}
	m.origin = StateUnknown
	switch {
	case protected && longer && undo:
		return m.tooLong(now)
	case protected && longer:
		// The agent has published what it asked for, so no more may stand.
		m.checked, m.undo, m.unsure = now, true, true
		return Action{Act: SetTimeout, Timeout: m.timeout}, nil
	case undo:
		return Action{}, refuse(ErrRefused, "the device makes a longer timeout of the one asked for; %v is in force", m.timeout)
	case last:
		m.state, m.petUntil = Coasting, timing.Instant{}
	}
	return Action{}, nil
}

// tooLong latches because the device holds a longer T than the agent has
// published, and will not take the old one back: every further ping would
// break the promise.
func (m *Machine) tooLong(now timing.Instant) (Action, error) {
	m.checked = now
	return m.latch("A11: the device holds a longer timeout than was published")
}

func (m *Machine) pinged(r Result, now timing.Instant) (Action, error) {
	m.worst = max(m.worst, m.due.Age(now))
	m.due = m.checked.Add(m.interval())
	m.failing = r.Err != nil
	var failure error
	if r.Err != nil {
		m.lastError = r.Err.Error()
		failure = refuse(ErrDevice, "%s", m.lastError)
	} else {
		m.lastPet = m.checked
		m.pets++
	}
	if action, over, err := m.overrun(now); over {
		return action, err
	}
	return Action{}, failure
}

// overrun judges an action that pinged, or may have, when petUntil had passed
// by its end. An arming that took so long is undone, since nothing was built
// on it yet; everything else latches.
func (m *Machine) overrun(now timing.Instant) (Action, bool, error) {
	if m.state != Armed || !m.petUntil.Passed(now) {
		return Action{}, false, nil
	}
	if m.origin != StateUnknown {
		action, err := m.abandon(refuse(ErrExpired, "the device took %v to arm", m.checked.Age(now)))
		return action, true, err
	}
	reason := "A6: petUntil passed during a ping"
	if m.checked.Age(now) > m.petDelay {
		reason = "A6: petUntil passed during a ping that overran petDelay"
	}
	m.checked = now
	action, err := m.latch(reason)
	return action, true, err
}

// abandon falls back from an arming that failed to where it came from.
func (m *Machine) abandon(err *Error) (Action, error) {
	origin := m.origin
	m.origin = StateUnknown
	m.lastError = err.Error()
	m.free()
	if origin == Free || m.nowayout {
		return Action{}, err
	}
	return Action{Act: Close}, err
}

func (m *Machine) closed(r Result, now timing.Instant) (Action, error) {
	var err error
	if r.Err == nil {
		m.idle()
	} else {
		// It may still run, and nobody keeps it: a tick takes it back.
		m.lastError = r.Err.Error()
		m.open, m.failing, m.due = false, true, now
		err = refuse(ErrDevice, "%s", m.lastError)
	}
	if m.leaving {
		return Action{Act: Exit}, err
	}
	return Action{}, err
}

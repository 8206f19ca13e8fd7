package world

import (
	"errors"
	"time"
)

// A dog is a watchdog device. It bites κT and its granularity after its last ping.
type dog struct {
	open    bool          // by a holder
	stored  bool          // the service manager keeps it open, too
	running bool          // it will bite
	timeout time.Duration // T
	pinged  time.Duration
	waits   bool // its expiry is planned
}

var (
	errDog  = errors.New("device failed")
	errBusy = errors.New("device or resource busy")
)

// expires returns when the dog bites unless it is pinged before. All that its
// machine is late is granularity here: pings help for as long as they can.
func (m *machine) expires() time.Duration {
	return m.dog.pinged + m.dog.timeout*time.Duration(m.Real)/1000 + m.Latency
}

func (m *machine) ping() {
	m.dog.pinged = m.now
	m.watch()
}

// watch plans the expiry. Pings on the way put it off.
func (m *machine) watch() {
	if m.dog.waits || !m.dog.running {
		return
	}
	m.dog.waits = true
	boot := m.boot
	m.at(m.expires(), func() {
		if !m.on || m.boot != boot {
			return
		}
		m.dog.waits = false
		switch {
		case !m.dog.running:
		case m.expires() > m.now:
			m.watch()
		default:
			m.reset("the watchdog bites")
		}
	})
}

// setTimeout returns what the driver makes of t, and pings.
func (m *machine) setTimeout(t time.Duration) (time.Duration, error) {
	if m.broken {
		return m.dog.timeout, errDog
	}
	if m.Round > 0 {
		t = (t + m.Round - 1).Truncate(m.Round)
	}
	sooner := t < m.dog.timeout
	m.dog.timeout = t
	m.ping()
	if sooner { // the bite that is planned may come too late
		m.dog.waits = false
		m.watch()
	}
	return t, nil
}

// openDog opens the device, which starts and pings it. One that was handed on
// is open already.
func (m *machine) openDog(resume, adopted bool) (time.Duration, error) {
	d := &m.dog
	switch {
	case adopted && d.running:
	case d.running && !resume:
		return 0, errBusy
	default:
		if !d.running {
			d.timeout = 2 * m.Profile.RealTimeout // the driver's own
		}
		d.running = true
		m.ping()
	}
	d.open, d.stored = true, m.Ungated == 0
	return d.timeout, nil
}

// closeDog stops the device by the magic character.
func (m *machine) closeDog() error {
	m.dog.open, m.dog.stored = false, false
	if m.Nowayout {
		return errDog
	}
	m.dog.running = false
	return nil
}

// closeOne closes the holder's descriptor of the device, or the manager's. The
// last close without the magic character pings.
func (m *machine) closeOne(descriptor *bool) {
	if !*descriptor {
		return
	}
	*descriptor = false
	if !m.dog.open && !m.dog.stored && m.dog.running {
		m.ping()
		m.outcome.Counts.Ungated++
		m.say(m.name, "the device is closed, which pings it")
	}
}

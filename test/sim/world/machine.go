package world

import (
	"strconv"
	"time"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/agent/seam"
	"github.com/picket-dev/picket/controller/plan"
)

// A machine is a node: its power, its kernel, what runs on it, and its disk. As
// long as it is on it can write to its volume, whatever its processes do.
type machine struct {
	*World
	Gear
	i    int
	name string

	on    bool
	gone  bool // does not come back by itself
	boots int
	boot  string // ID of the present boot, or of the last one
	key   string // its agent's fingerprint
	clock clock
	hung  bool // nothing runs any more but the kernel, its disk and its dog
	downs bool // it shuts down: its holder runs, too, until the last kill
	ended []end

	agent   *agent   // nil: it does not run
	holder  *holder  // nil: it does not run
	kubelet *kubelet // nil: it does not run
	dog     dog
	run     tmpfs
	left    time.Duration // when the last holder ended
	lately  time.Duration // when its Node was last tainted out-of-service
	unready time.Duration // since when its Node is not Ready

	broken   bool // the device fails
	deaf     bool // its kubelet hangs
	stall    time.Duration
	stallEnd bool // the kernel hangs right after the stalled ping
	gasp     bool // all that at the last instant before the deadline
}

// An end is when the writes of a boot had all reached the storage.
type end struct {
	boot string
	at   time.Duration
}

// A tmpfs is /run: it outlives processes, and no boot.
type tmpfs struct {
	memory   decide.Memory
	guidance *plan.GuardSpec
	marker   *seam.Record
}

// power switches the machine on: a new boot begins.
func (m *machine) power() {
	if m.on {
		return
	}
	m.begin(m.now)
	m.moment(Boots, m.i)
	r := m.Profile.RollInterval
	first := m.upTo(r / 2)
	m.during(first, m.startKubelet)
	m.during(first+m.upTo(r/4), func() { m.startHolder(false) })
	m.during(first+r/4+m.upTo(r/2), m.startAgent)
}

// begin names a new boot.
func (m *machine) begin(at time.Duration) {
	m.boots++
	m.boot = m.name + "/" + strconv.Itoa(m.boots)
	m.key = "key-" + m.boot
	m.on, m.hung, m.downs, m.gone = true, false, false, false
	m.run, m.dog = tmpfs{}, dog{}
	m.broken, m.deaf, m.stall, m.gasp = false, false, 0, false
	m.clock = clock{origin: at - m.upTo(10*time.Second), raw: m.Raw, boot: m.Boot}
	m.say(m.name, "boots: %s", m.boot)
}

// stop ends the present boot.
func (m *machine) stop() {
	m.on = false
	m.ended = append(m.ended, end{m.boot, m.now + m.Drain})
	m.agent, m.holder, m.kubelet = nil, nil, nil
	m.dog = dog{}
	m.judge.self[m.i].note(m.now)
	m.judge.busy[m.i].note(m.now)
}

// reset is the end of a boot by its watchdog or by sysrq. The next one follows,
// sooner or later.
func (m *machine) reset(why string) {
	m.outcome.Counts.Resets++
	m.say(m.name, "is reset: %s", why)
	m.judgeReset(why)
	m.stop()
	if m.gone = m.gone || m.chance(1, 2) && !m.healed; !m.gone {
		m.back(m.upTo(2 * m.Profile.RollInterval))
	}
}

// back boots the machine after a while, unless something else does so before.
func (m *machine) back(d time.Duration) {
	boots := m.boots
	m.after(d, func() {
		if m.boots == boots && !m.gone {
			m.power()
		}
	})
}

// writesUntil returns until when writes of a boot may reach the storage, and
// false while there is no end to them.
func (m *machine) writesUntil(boot string) (time.Duration, bool) {
	if m.on && m.boot == boot {
		return 0, false
	}
	for _, e := range m.ended {
		if e.boot == boot {
			return e.at, true
		}
	}
	return 0, true
}

// hang stops everything in userland. The kernel, the disk and the dog go on.
func (m *machine) hang() {
	m.hung, m.downs = true, false
	m.judge.self[m.i].note(m.now)
	m.judge.busy[m.i].note(m.now)
	m.agent, m.kubelet = nil, nil
}

// heal ends what is wrong with the machine. A hang ends by the dog, or by a
// human's hand.
func (m *machine) heal() {
	m.broken, m.deaf, m.stall, m.gasp = false, false, 0, false
	switch {
	case m.on && m.hung && !m.dog.running:
		m.say(m.name, "somebody switches it off")
		m.stop()
		m.back(m.upTo(m.Profile.RollInterval))
	case m.on && !m.hung:
		if m.holder == nil {
			m.startHolder(m.dog.stored)
		}
		if m.agent == nil {
			m.startAgent()
		}
		if !m.on {
			return // its holder found that it has to reset
		}
		m.holder.pausedUntil = min(m.holder.pausedUntil, m.now)
		m.agent.pausedUntil = min(m.agent.pausedUntil, m.now)
		if m.kubelet == nil {
			m.startKubelet()
		}
	case !m.on && !m.gone:
		m.back(m.upTo(m.Profile.RollInterval))
	}
}

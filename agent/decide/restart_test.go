package decide_test

import (
	"testing"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// resumed is an agent that starts anew at 100 s while the holder gates until
// 104 s, with what the earlier run has stored.
func resumed(t *testing.T, m decide.Memory) *script {
	t.Helper()
	s := start(t, func(c *decide.Config) { c.Memory = m }).step(decide.Guided{Spec: spec()})
	return s.gates()
}

// gates is the holder's first word to a new agent: it pets until 104 s.
func (s *script) gates() *script {
	s.order = decide.Held{Mode: decide.HoldArmed, Device: s.device, Timeout: 10 * sec, PetUntil: timing.At(104 * sec)}
	return s.step(s.order)
}

func kept() decide.Memory {
	r := firstRoll()
	return decide.Memory{Roll: &r, Promise: promise()}
}

func TestRestart_GoesOnUnderTheStoredPromise(t *testing.T) {
	s := resumed(t, kept())
	s.phase(decide.Armed).hold(decide.HoldArmed).uses(promise()).promised(promise()).petUntil(104 * sec)
	s.after(100 * ms).api().petUntil(s.now - ms + 5*sec)
	s.obey().phase(decide.Armed).uses(promise()).promised(promise())
}

// An API outage: witnesses and relays alone carry the new agent on.
func TestRestart_InAnOutageGoesOn(t *testing.T) {
	for name, help := range map[string]func(*script){
		"witnesses": func(s *script) { s.states("a", s.roll, 10*ms).states("b", s.roll, 10*ms) },
		"relays":    func(s *script) { s.relay(s.roll, 10*ms) },
	} {
		t.Run(name, func(t *testing.T) {
			s := resumed(t, kept())
			for range 120 {
				s.after(500 * ms).miss()
				help(s)
				s.phase(decide.Armed).uses(promise()).promised(promise())
			}
			s.petUntil(s.now - 10*ms + 5*sec)
		})
	}
}

func TestRestart_AsksEverybodyAtOnce(t *testing.T) {
	s := start(t, func(c *decide.Config) { c.Memory = kept() }).step(decide.Guided{Spec: spec()})
	s.asks(decide.Ask{API: true, Urgent: true, Witnesses: true, Neighbours: true})
}

func TestRestart_AWitnessStatesWhatItStored(t *testing.T) {
	m := kept()
	s := start(t, func(c *decide.Config) { c.Memory = m; c.Node = "a" }).step(decide.Guided{Spec: spec()}).gates()
	if s.v.Memory.Roll == nil || s.v.Memory.Roll.Serial != 10 || s.v.Status.Serial != 10 {
		t.Errorf("memory %+v, status %+v: want serial 10", s.v.Memory.Roll, s.v.Status)
	}
	s.after(sec).states("b", s.roll, 10*ms).petUntil(s.now - 10*ms + 5*sec) // itself and b
}

// The controller's word comes later: nothing changes until then.
func TestRestart_BeforeTheSpecArrivesGoesOn(t *testing.T) {
	m := kept()
	s := start(t, func(c *decide.Config) { c.Memory = m }).gates()
	s.phase(decide.Armed).hold(decide.HoldArmed).uses(promise()).promised(promise())
	if s.v.Timeout != 10*sec {
		t.Errorf("T = %v, want the one in use", s.v.Timeout)
	}
	for range 80 {
		s.after(500 * ms).api()
		s.phase(decide.Armed).promised(promise()).petUntil(s.now - ms + 5*sec)
	}
	s.step(decide.Guided{Spec: spec()}).phase(decide.Armed).promised(promise())
	s.after(100 * ms).api().witnesses().phase(decide.Armed).promised(promise())
}

// Memory lost: nobody knows what was published, so nothing extends the
// deadline, and nothing easier than the truth may be published. The node
// becomes unarmed by the handshake, and arms again.
func TestRestart_WithMemoryLostUnarmsFirst(t *testing.T) {
	s := resumed(t, decide.Memory{}).phase(decide.Leaving).hold(decide.HoldArmed).promised(timing.Promise{})
	s.after(500 * ms).api().witnesses().petUntil(104 * sec).phase(decide.Leaving)
	s.publish().phase(decide.Leaving).after(5 * ms).api().phase(decide.Unarmed).hold(decide.HoldFree)
	s.obey().phase(decide.Arming).promised(timing.Promise{})
	s.obey().phase(decide.Armed).promised(promise()).uses(promise())
}

func TestRestart_WithMemoryLostInAnOutageResets(t *testing.T) {
	s := resumed(t, decide.Memory{}).miss().witnesses().relay(s0(), 10*ms)
	s.at(104*sec - 1).phase(decide.Leaving)
	s.at(104 * sec).phase(decide.Latched).cites(decide.A6)
}

func TestRestart_WithMemoryLostAndWithheldLatches(t *testing.T) {
	s := resumed(t, decide.Memory{}).publish().lists(roll.Withheld, "f").after(ms).api()
	s.phase(decide.Latched).cites(decide.A1)
}

func TestRestart_HolderLatched(t *testing.T) {
	s := start(t, func(c *decide.Config) { c.Memory = kept() }).step(decide.Guided{Spec: spec()}).held(decide.HoldLatched)
	s.phase(decide.Latched).hold(decide.HoldLatched).api().witnesses().phase(decide.Latched)
}

func TestRestart_DeadlinePassedMeanwhileLatches(t *testing.T) {
	s := start(t, func(c *decide.Config) { c.Memory = kept() }).step(decide.Guided{Spec: spec()})
	s.jump(4 * sec).gates().phase(decide.Latched).cites(decide.A6)
}

func TestRestart_HolderCoastsGoesOnCoasting(t *testing.T) {
	for name, m := range map[string]decide.Memory{"memory kept": kept(), "memory lost": {}} {
		t.Run(name, func(t *testing.T) {
			m.Promise.Timeout = 294 * sec
			if !m.Promise.Armed {
				m.Promise = timing.Promise{}
			}
			s := start(t, func(c *decide.Config) { c.Memory = m }).step(decide.Guided{Spec: spec()})
			s.held(decide.HoldCoast).hold(decide.HoldCoast).phase(decide.Armed).reason(decide.ReasonShutdown)
			s.obey().hold(decide.HoldCoast)
			order := s.v.Order
			for range 120 {
				s.after(500 * ms).api().publish().hold(decide.HoldCoast)
			}
			if s.v.Order != order || !s.v.Done || s.v.Memory.Promise.Armed != true {
				t.Errorf("order %d after %d, done %v, in use %+v", s.v.Order, order, s.v.Done, s.v.Memory.Promise)
			}
			if p := s.v.Status.Promise; p != m.Promise {
				t.Errorf("promises %+v, want %+v", p, m.Promise)
			}
		})
	}
}

func TestRestart_HolderFreeOrIdleStartsUnarmed(t *testing.T) {
	for _, mode := range []decide.HoldMode{decide.HoldFree, decide.HoldIdle} {
		s := start(t, func(c *decide.Config) { c.Memory = decide.Memory{} }).held(mode)
		s.phase(decide.Unarmed).hold(mode).promised(timing.Promise{}).uses(timing.Promise{})
	}
}

// A shorter T counts as in use only after the holder confirmed an order of this
// agent: one of the last agent's may still be under way.
func TestRestart_EasesOnlyOnAnOwnOrder(t *testing.T) {
	m := kept()
	m.Promise.Timeout = 20 * sec
	s := start(t, func(c *decide.Config) { c.Memory = m }).step(decide.Guided{Spec: spec()}).api()
	s.gates().promised(m.Promise).uses(m.Promise).api().promised(m.Promise)
	s.obey().promised(promise()).uses(promise())
}

// The holder cannot be reached at first. Whether it gates is not known until it
// says so: a node that is let go meanwhile may have been fenced as armed.
func TestRestart_HolderAwayAtFirstIsNotTakenForIdle(t *testing.T) {
	away := decide.Held{Err: "reach picket-holder: connection refused"}
	s := start(t, func(c *decide.Config) { c.Memory = kept() }).step(decide.Guided{Spec: spec()}).step(away)
	s.phase(decide.Unarmed).promised(timing.Promise{}).hold(decide.HoldUnknown)
	s.api().witnesses().after(500 * ms).phase(decide.Unarmed).hold(decide.HoldUnknown)
	s.gates().phase(decide.Armed).hold(decide.HoldArmed).uses(promise()).promised(promise())
}

// Away in mid-run it is a failing device; once unarmed it is freed, not closed.
func TestA11_HolderAwayInMidRunIsFreedOnceUnarmed(t *testing.T) {
	s := armed(t).step(decide.Held{Order: 1, Err: "holder is away"})
	s.phase(decide.Leaving).hold(decide.HoldArmed).uses(promise())
	s.publish().after(5 * ms).api().phase(decide.Unarmed).hold(decide.HoldFree)
}

// An agent that ends before its holder spoke hands on what it found.
func TestRestart_MemoryIsKeptUntilTheHolderSpeaks(t *testing.T) {
	s := start(t, func(c *decide.Config) { c.Memory = kept() }).step(decide.Guided{Spec: spec()}).uses(promise())
	s.step(decide.Held{Err: "away"}).uses(promise()).publish().after(500 * ms).api().uses(promise())
	s.held(decide.HoldIdle).uses(timing.Promise{})
}

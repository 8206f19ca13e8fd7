package decide_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// A world is everything around one agent: the API server with the Roll and the
// NodeGuard, three witnesses, a neighbour, a controller that fences the node
// whenever it likes, the holder with its device, and a network in which each
// message may be late, twice or lost. What happens next is always chosen by
// choose: the adversary.
//
// Two things must hold at every moment, whatever is chosen:
//
//   - The promise that the API server holds is at least as hard as what the
//     node does. Any promise that a controller may read is then true.
//   - A fence that has read its promise, counted its acknowledgements and read
//     its clock c: the node, whatever it does later, writes nothing after
//     c + W as long as the fence stands.
type world struct {
	faults
	choose func(n int) int
	keen   bool // the controller fences whenever it can
	now    time.Duration
	wrong  string // the first violation

	// The API server.
	rolls   []roll.Roll // all that were ever committed
	guard   decide.Status
	version int

	witnesses map[string]*roll.Roll // what each has read and stored
	mate      *decide.Core          // a neighbour's, which relays
	net       []message
	noAPI     bool // the node cannot reach the API server
	noPeers   bool // the node cannot reach its peers

	spec   decide.Spec
	memory decide.Memory
	before []decide.Memory // earlier contents of the memory
	agent  *agent          // nil while it is down
	holder holder
	fence  *fencing
	fences int

	did map[string]int // how often something worth knowing happened
}

// faults break one rule each of those that the core relies on.
type faults struct {
	noPrecondition bool // a write does not name the version that was last seen
	ackWhenSent    bool // a write counts as stored once it is sent
	memoryLate     bool // the memory is stored after the rest
	memoryOld      bool // a restart finds an older memory
	sentLate       bool // a roll counts from when it was received
	ageIgnored     bool // a relay counts from when it was asked for
	staleReads     bool // reads of the Roll are not linearizable
	orderEarly     bool // the holder echoes orders that it has not carried out
	readEarly      bool // the NodeGuard is read before the withholding is written
	fewerAcks      bool // C−1 acknowledgements start the wait
}

// A message is under way: deliver does what its arrival does, lose what the
// sender notices when it gives up on it.
type message struct {
	api     bool // between the node and the API server, else between it and a peer
	deliver func()
	lose    func()
}

// An agent is one run of the agent: the core and its adapters.
type agent struct {
	core    *decide.Core
	v       decide.Verdict
	version int  // of the NodeGuard, as last seen; −1: unknown
	writing bool // one write at a time
	said    decide.Status
	acked   bool
	orders  []order
	carried uint64        // the last order carried out
	echoes  []decide.Held // the holder's words under way
}

// An order is what the adapter wants of the holder.
type order struct {
	number   uint64
	mode     decide.HoldMode
	timeout  time.Duration
	petUntil time.Duration
}

// A holder is the holder and its device.
type holder struct {
	mode     decide.HoldMode
	timeout  time.Duration
	petUntil time.Duration
	rounding time.Duration // of the driver, when the timeout is first set
}

// A fencing is the controller's one fence of the node's boot.
type fencing struct {
	id       string
	serial   int64
	history  string
	judged   bool
	promise  timing.Promise
	counting bool
	deadline time.Duration // c + W, but for what does not depend on the node
}

func newWorld(f faults, choose func(int) int) *world {
	w := &world{
		faults: f, choose: choose, keen: choose(2) == 0, now: 100 * sec,
		rolls:     []roll.Roll{firstRoll()},
		witnesses: map[string]*roll.Roll{"a": nil, "b": nil, "c": nil},
		spec:      spec(),
		holder:    holder{mode: decide.HoldIdle, rounding: time.Duration(1+2*choose(2)) * sec},
		did:       map[string]int{},
	}
	w.mate = decide.New(decide.Config{Node: "m", Boot: "boot-m"}, timing.At(w.now))
	w.mate.Step(timing.At(w.now), decide.Guided{Spec: w.spec})
	w.startAgent()
	return w
}

// run makes steps until something is wrong or the node is dead for good.
func (w *world) run(steps int) {
	for range 40 {
		w.calm()
	}
	for range steps {
		if w.wrong != "" || w.holder.mode == decide.HoldLatched {
			return
		}
		w.act()
		w.check()
	}
}

func (w *world) one(of ...func()) { of[w.choose(len(of))]() }

// act is the next thing that happens.
func (w *world) act() {
	w.one(
		w.pass, w.pass, w.calm, w.calm, w.calm,
		w.deliver, w.deliver, w.deliver, w.deliver, w.deliver, w.deliver, w.deliver, w.deliver,
		w.holderActs, w.holderActs, w.holderActs, w.echo, w.echo, w.echo,
		w.witnessReads, w.witnessReads, w.mateLearns, w.hearMate, w.hearMate,
		w.fencingActs, w.fencingActs, w.fencingActs, w.fencingActs,
		w.steer,
		func() { w.sometimes(4, w.crash) },
		func() { w.sometimes(20, w.changeHistory) },
		func() { w.sometimes(10, w.witnessReboots) },
		func() { w.noAPI = w.choose(5) == 0 },
		func() { w.noPeers = w.choose(6) == 0 },
	)
	if w.agent == nil {
		w.sometimes(8, w.crash)
	}
	if w.keen || w.fence != nil {
		w.sometimes(2, w.fencingActs)
	}
}

func (w *world) sometimes(n int, f func()) {
	if w.choose(n) == 0 {
		f()
	}
}

// pass lets time pass. The agent may oversleep; the holder never does.
func (w *world) pass() {
	steps := []time.Duration{ms, ms, 10 * ms, 10 * ms, 100 * ms, 100 * ms, 300 * ms, 300 * ms, 300 * ms, sec, sec, 4 * sec}
	w.wait(steps[w.choose(len(steps))])
}

func (w *world) wait(d time.Duration) {
	w.now += d
	w.holderClock()
	if a := w.agent; a != nil && a.v.Wake.Raw <= w.now && w.choose(4) > 0 {
		w.tell(decide.Tick{})
	}
}

// calm lets everybody do their work for a moment, in order and without loss.
func (w *world) calm() {
	for range 4 {
		w.wait(20 * ms)
		for name := range w.sorted() {
			w.sometimes(5, func() { w.readBy(name) })
		}
		w.sometimes(5, w.mateReads)
		for n := len(w.net); n > 0 && len(w.net) > 0; n-- {
			m := w.net[0]
			w.net = w.net[1:]
			if w.cut(m) {
				m.lose()
			} else {
				m.deliver()
			}
		}
		w.holderActs()
		w.echo()
		w.hearMate()
	}
	w.check()
}

// deliver lets any message arrive, be lost, or arrive twice.
func (w *world) deliver() {
	if len(w.net) == 0 {
		return
	}
	i := w.choose(len(w.net))
	m := w.net[i]
	switch fate := w.choose(8); {
	case fate == 0 || w.cut(m): // lost
		w.net = slices.Delete(w.net, i, i+1)
		m.lose()
	case fate == 1: // given up, and still under way
		m.lose()
		w.net[i].lose = func() {}
	case fate == 2: // twice
		m.deliver()
	default:
		w.net = slices.Delete(w.net, i, i+1)
		m.deliver()
	}
}

func (w *world) cut(m message) bool { return m.api && w.noAPI || !m.api && w.noPeers }

func (w *world) sendAPI(deliver, lose func()) { w.net = append(w.net, message{true, deliver, lose}) }

func (w *world) sendPeer(deliver func()) {
	if len(w.net) < 40 {
		w.net = append(w.net, message{false, deliver, func() {}})
	}
}

// The agent and its adapters.

func (w *world) startAgent() {
	memory := w.memory
	switch {
	case w.memoryOld && len(w.before) > 0:
		memory = w.before[w.choose(len(w.before))]
	case w.choose(5) == 0:
		memory = decide.Memory{} // lost
	}
	w.agent = &agent{
		core:    decide.New(decide.Config{Node: "x", Boot: boot, Memory: memory}, timing.At(w.now)),
		version: -1,
	}
	w.agent.echoes = []decide.Held{w.word(0)}
	if w.choose(3) > 0 {
		w.tell(decide.Guided{Spec: w.spec})
	}
}

// crash ends the agent. Orders that it has sent may still be carried out.
func (w *world) crash() {
	if w.agent != nil {
		for range w.choose(len(w.agent.orders) + 1) {
			w.holderActs()
		}
		w.agent = nil
		w.did["crashes"]++
		return
	}
	w.startAgent()
}

// steer is a word of the controller, or of the host.
func (w *world) steer() {
	w.spec.Profile.RollLife = []time.Duration{5 * sec, 4 * sec, 20 * sec}[w.choose(3)]
	w.spec.Profile.RealTimeout = []time.Duration{10200 * ms, 5100 * ms, 20400 * ms}[w.choose(3)]
	w.spec.Profile.ShutdownTimeout = 60 * sec
	w.spec.Unarmed = []string{"", "", "", "Excluded"}[w.choose(4)]
	w.tell(decide.Guided{Spec: w.spec})
	switch w.choose(12) {
	case 0:
		w.tell(decide.Stop{Uninstall: w.choose(2) == 0})
	case 1:
		w.tell(decide.Shutdown{})
	}
}

// tell brings the agent an event, and carries out the verdict.
func (w *world) tell(e decide.Event) {
	a := w.agent
	if a == nil {
		return
	}
	was := a.v
	a.v = a.core.Step(timing.At(w.now), e)
	w.count(was, a.v)
	if !w.memoryLate && !w.store() {
		return
	}
	w.command(was)
	w.publish()
	w.ask(a.v.Ask)
	if w.memoryLate && !w.store() {
		return
	}
	if a.v.Done && w.choose(2) == 0 {
		w.agent = nil
	}
}

// store keeps the memory. The agent may die just before or after.
func (w *world) store() bool {
	if w.choose(60) == 0 {
		w.crash()
		return false
	}
	w.before = append(w.before, w.memory)
	w.memory = w.agent.v.Memory
	if w.choose(60) == 0 {
		w.crash()
		return false
	}
	return true
}

func (w *world) command(was decide.Verdict) {
	a := w.agent
	if a.v.Hold == decide.HoldUnknown || a.v.Order == was.Order && a.v.PetUntil == was.PetUntil {
		return
	}
	o := order{a.v.Order, a.v.Hold, a.v.Timeout, a.v.PetUntil.Raw}
	if w.choose(4) == 0 {
		a.orders = nil // only the newest wish counts
	}
	a.orders = append(a.orders, o)
	if w.orderEarly {
		a.carried = o.number
	}
}

// publish writes the status if it is not the one that was acknowledged last.
func (w *world) publish() {
	a := w.agent
	if a.v.Phase == decide.PhaseUnknown || a.writing || a.acked && a.said.Equal(a.v.Status) {
		return
	}
	if a.version < 0 {
		a.version = w.version // read first
	}
	s, version, sent := a.v.Status, a.version, timing.At(w.now)
	a.writing = true
	gaveUp := false
	done := func(ok bool, version int) {
		if w.agent != a {
			return
		}
		a.version = version
		a.writing = false
		if a.acked = ok; ok {
			a.said = s
			w.did["acknowledgements"]++
			w.tell(decide.Published{Status: s, Sent: sent})
		}
	}
	reply := func(ok bool, version int) {
		w.sendAPI(func() {
			if !gaveUp {
				gaveUp = true
				done(ok, version)
			} else if ok && w.agent == a {
				w.tell(decide.Published{Status: s, Sent: sent}) // late, or twice
			}
		}, func() {})
	}
	giveUp := func() {
		if !gaveUp {
			gaveUp = true
			w.did["lost writes"]++
			done(false, -1)
		}
	}
	w.sendAPI(func() {
		if version != w.version && !w.noPrecondition {
			reply(false, -1)
			return
		}
		w.version++
		w.guard = s
		w.check()
		reply(true, w.version)
	}, giveUp)
	if w.ackWhenSent {
		w.tell(decide.Published{Status: s, Sent: sent})
	}
}

func (w *world) ask(q decide.Ask) {
	a := w.agent
	sent := w.now
	if q.API {
		for range 1 + w.choose(2)*w.choose(2) { // sometimes of two endpoints
			w.sendAPI(func() {
				r := w.rolls[len(w.rolls)-1]
				if w.staleReads {
					r = w.rolls[max(0, len(w.rolls)-1-w.choose(3))]
				}
				w.sendAPI(func() {
					if w.agent == a {
						w.tell(decide.RollRead{Roll: r.Clone(), Sent: timing.At(w.stamp(sent))})
					}
				}, func() { w.missed(a) })
			}, func() { w.missed(a) })
		}
	}
	if !q.Witnesses {
		return
	}
	for name := range w.sorted() {
		w.sendPeer(func() {
			r := w.witnesses[name]
			w.sendPeer(func() {
				if w.agent == a {
					w.tell(decide.Stated{Witness: name, Roll: r, Sent: timing.At(w.stamp(sent))})
				}
			})
		})
	}
}

func (w *world) missed(a *agent) {
	if w.agent == a {
		w.tell(decide.RollMissed{})
	}
}

// stamp is the send time that an answer counts from.
func (w *world) stamp(sent time.Duration) time.Duration {
	if w.sentLate {
		return w.now
	}
	return sent
}

// sorted yields the witnesses in a fixed order.
func (w *world) sorted() func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, n := range []string{"a", "b", "c"} {
			if !yield(n) {
				return
			}
		}
	}
}

// The holder.

// holderClock is what the holder does by itself: the deadline (A6).
func (w *world) holderClock() {
	if h := &w.holder; h.mode == decide.HoldArmed && w.now >= h.petUntil {
		h.mode = decide.HoldLatched
		w.did["deadlines"]++
	}
}

// holderActs carries out the next order.
func (w *world) holderActs() {
	a := w.agent
	if a == nil || len(a.orders) == 0 {
		return
	}
	o := a.orders[0]
	a.orders = a.orders[1:]
	if w.holder.obey(o, w.now) {
		a.carried = max(a.carried, o.number)
	}
	w.check()
	a.echoes = append(a.echoes, w.word(a.carried))
}

// obey reports whether the order was carried out.
func (h *holder) obey(o order, now time.Duration) bool {
	switch {
	case h.mode == decide.HoldLatched:
		return false
	case o.mode == decide.HoldLatched:
		h.mode = decide.HoldLatched
	case o.mode == decide.HoldIdle:
		h.mode = decide.HoldIdle
	case o.mode == decide.HoldFree:
		if h.mode == decide.HoldArmed {
			h.mode = decide.HoldFree
		}
	case o.mode == decide.HoldCoast:
		if h.mode == decide.HoldCoast {
			return true
		}
		if h.mode != decide.HoldArmed {
			return false
		}
		h.mode, h.timeout = decide.HoldCoast, o.timeout
	case h.mode != decide.HoldArmed:
		if o.petUntil <= now || h.mode == decide.HoldCoast {
			return false
		}
		h.mode, h.petUntil = decide.HoldArmed, o.petUntil
		h.timeout = h.round(o.timeout)
	default:
		h.petUntil = max(h.petUntil, o.petUntil)
		rounded := h.round(o.timeout)
		if rounded > max(o.timeout, h.timeout) {
			return false // refused: longer than what was published
		}
		h.timeout = rounded
	}
	return true
}

// round is what the driver makes of a timeout.
func (h *holder) round(t time.Duration) time.Duration {
	return (t + h.rounding - 1).Truncate(h.rounding)
}

// word is what the holder says.
func (w *world) word(carried uint64) decide.Held {
	return decide.Held{
		Order: carried, Mode: w.holder.mode, Device: dog(),
		Timeout: w.holder.timeout, PetUntil: timing.At(w.holder.petUntil),
	}
}

// echo brings the holder's next word to the agent.
func (w *world) echo() {
	if a := w.agent; a != nil && len(a.echoes) > 0 {
		if w.choose(30) == 0 {
			w.tell(decide.Held{Order: a.carried, Err: "away"})
			return
		}
		h := a.echoes[0]
		a.echoes = a.echoes[1:]
		w.tell(h)
	}
}

// The witnesses and the neighbour.

func (w *world) witnessReads() { w.readBy([]string{"a", "b", "c"}[w.choose(3)]) }

func (w *world) readBy(name string) {
	r := w.rolls[len(w.rolls)-1]
	if m := w.witnesses[name]; m == nil || m.History != r.History || r.Serial > m.Serial {
		w.witnesses[name] = &r
	}
}

func (w *world) witnessReboots() { w.witnesses[[]string{"a", "b", "c"}[w.choose(3)]] = nil }

// mateLearns: the neighbour reads the API, or asks the witnesses.
func (w *world) mateLearns() {
	if w.choose(2) == 0 {
		w.mateReads()
		return
	}
	for name := range w.sorted() {
		if r := w.witnesses[name]; r != nil && w.choose(4) > 0 {
			w.mate.Step(timing.At(w.now), decide.Stated{Witness: name, Roll: r, Sent: timing.At(w.now)})
		}
	}
}

func (w *world) mateReads() {
	r := w.rolls[len(w.rolls)-1].Clone()
	w.mate.Step(timing.At(w.now), decide.RollRead{Roll: r, Sent: timing.At(w.now)})
}

// hearMate is a heartbeat: the neighbour's relay comes with its age.
func (w *world) hearMate() {
	a, sent := w.agent, w.now
	w.sendPeer(func() {
		best := w.mate.Step(timing.At(w.now), decide.Tick{}).Relay
		age := time.Duration(0)
		if best != nil && !w.ageIgnored {
			age = best.Sent.Age(timing.At(w.now))
		}
		w.sendPeer(func() {
			if w.agent != a || a == nil {
				return
			}
			e := decide.Heard{Node: "a", Sent: timing.At(sent)}
			if best != nil {
				e.Relay = &roll.Held{Roll: best.Roll, Sent: timing.At(w.stamp(sent) - age)}
			}
			w.tell(e)
		})
	})
}

// The controller.

func (w *world) commit(change func(*roll.Roll)) int64 {
	r := w.rolls[len(w.rolls)-1].Clone()
	r.Serial++
	change(&r)
	w.rolls = append(w.rolls, r)
	return r.Serial
}

func (w *world) drop() {
	w.commit(func(r *roll.Roll) { r.Entries = nil })
	w.fence = nil
}

// fencingActs is the controller's next step of a fence, or its end.
func (w *world) fencingActs() {
	f := w.fence
	switch {
	case f == nil && (!w.keen || !w.guard.Promise.Armed) && w.choose(10) > 0:
		return
	case f == nil:
		w.fences++
		w.fence = &fencing{id: fmt.Sprint("f", w.fences), history: w.rolls[len(w.rolls)-1].History}
	case w.readEarly && !f.judged:
		if !w.judge(f) {
			w.fence = nil
		}
	case f.serial == 0:
		entry := roll.Entry{Node: "x", UID: "uid", Boot: boot, Fence: f.id, State: roll.Withheld}
		f.serial = w.commit(func(r *roll.Roll) { r.Entries = []roll.Entry{entry} })
	case w.choose(30) == 0:
		w.drop()
	case !f.judged:
		if !w.judge(f) {
			w.drop() // unarmed, or published under another history
		}
	case !f.counting && w.acks(f) >= w.cover():
		f.counting = true
		p := f.promise
		f.deadline = w.now + p.RollLife + p.PetDelay + time.Duration(1+p.Ungated)*p.RealTimeout()
		w.did["waits"]++
	}
}

// judge takes the promise from the NodeGuard.
func (w *world) judge(f *fencing) bool {
	if !w.guard.Promise.Armed || w.guard.History != f.history {
		return false
	}
	f.judged, f.promise = true, w.guard.Promise
	return true
}

func (w *world) cover() int {
	if w.fewerAcks {
		return 1
	}
	return 2
}

func (w *world) acks(f *fencing) int {
	n := 0
	for _, m := range w.witnesses {
		if m != nil && m.History == f.history && m.Serial >= f.serial && slices.Contains(m.Fences(), f.id) {
			n++
		}
	}
	return n
}

func (w *world) changeHistory() {
	w.commit(func(r *roll.Roll) {
		r.History = fmt.Sprint("h", len(w.rolls)+1)
		r.Serial = 1
		r.Entries = nil
	})
	w.fence = nil
	w.did["histories"]++
}

// The judge.

// check looks for a violation.
func (w *world) check() {
	h, p := w.holder, w.guard.Promise
	actual := timing.Promise{Kappa: 1020, Timeout: h.timeout}
	if h.mode == decide.HoldCoast {
		actual.Ungated = 1 // the service manager closes the device
	}
	switch {
	case w.wrong != "" || h.mode == decide.HoldLatched:
		return
	case h.mode == decide.HoldIdle || h.mode == decide.HoldFree:
		if p.Armed {
			w.wrong = fmt.Sprintf("at %v: the holder is free or idle, and the API server holds %+v", w.now, p)
		}
		if f := w.fence; f != nil && f.counting {
			w.wrong = fmt.Sprintf("at %v: the holder is free or idle, and fence %s waits until %v", w.now, f.id, f.deadline)
		}
		return
	case p.Armed && actual.RealTimeout() > p.RealTimeout():
		w.wrong = fmt.Sprintf("at %v: T = %v is in force, and the API server holds %+v", w.now, h.timeout, p)
	case p.Armed && h.mode == decide.HoldArmed && h.petUntil > w.now+p.RollLife:
		w.wrong = fmt.Sprintf("at %v: petUntil is %v, and the API server holds %+v", w.now, h.petUntil, p)
	}
	f := w.fence
	if f == nil || !f.counting {
		return
	}
	// The device may be pinged until petUntil and δ.
	end := h.petUntil + sec + time.Duration(1+actual.Ungated)*actual.RealTimeout()
	if end > f.deadline {
		w.wrong = fmt.Sprintf("at %v: fence %s ends its wait at %v on %+v, but the node may write until %v (T = %v, petUntil %v)",
			w.now, f.id, f.deadline, f.promise, end, h.timeout, h.petUntil)
	}
}

// count notes what the core has done, so that a test can prove that its
// schedules go where it hurts.
func (w *world) count(was, v decide.Verdict) {
	p, q := was.Memory.Promise, v.Memory.Promise
	switch {
	case !p.Armed && q.Armed && was.Phase == decide.Arming:
		w.did["armed"]++
	case !p.Armed && q.Armed:
		w.did["resumed"]++
	case p.Armed && !q.Armed:
		w.did["unarmed"]++
	case p.Armed && p.Harder(q):
		w.did["harder"]++
	case p != q:
		w.did["easier"]++
	}
	if v.Hold == decide.HoldCoast && was.Hold != decide.HoldCoast {
		w.did["coasting"]++
	}
	for _, n := range v.Notes {
		w.did[string(n.Rule)]++
	}
}

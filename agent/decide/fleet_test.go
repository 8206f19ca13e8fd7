package decide_test

import (
	"container/heap"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// A fleet is five nodes, all of them witnesses and neighbours of each other,
// with one API server, in virtual time on ideal links: what is not cut arrives.
type fleet struct {
	t     *testing.T
	now   time.Duration
	queue events
	seq   int
	nodes map[string]*node
	roll  roll.Roll
	noAPI bool                   // the API server is away
	hangs bool                   // …and swallows questions, else it refuses them at once
	cut   func(a, b string) bool // links that are down; the API server is "api"
	guard map[string]decide.Status
	reads int
}

// A node is one core with the plainest adapters, and its holder.
type node struct {
	name     string
	core     *decide.Core // nil while the agent is down
	run      int          // of the agent; what an earlier one began is void
	v        decide.Verdict
	memory   decide.Memory
	said     decide.Status
	acked    bool
	writing  bool
	mode     decide.HoldMode
	timeout  time.Duration
	petUntil time.Duration
	order    uint64
	spec     decide.Spec
}

type event struct {
	at  time.Duration
	seq int
	do  func()
}

type events []event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any)   { *q = append(*q, x.(event)) }
func (q *events) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

const hop = 5 * ms // one way, on any link

// newFleet starts five nodes and lets them arm.
func newFleet(t *testing.T, profile timing.Profile, pollEvery time.Duration) *fleet {
	t.Helper()
	names := []string{"n1", "n2", "n3", "n4", "n5"}
	f := &fleet{
		t: t, now: 100 * sec, nodes: map[string]*node{}, guard: map[string]decide.Status{},
		cut:  func(string, string) bool { return false },
		roll: roll.Roll{History: "h", Serial: 1, PollEvery: pollEvery, Epochs: []roll.Epoch{{Number: 1, Witnesses: names[:3]}}},
	}
	for i, name := range names {
		n := &node{name: name, mode: decide.HoldIdle, spec: decide.Spec{
			Neighbours: slices.DeleteFunc(slices.Clone(names), func(o string) bool { return o == name }),
			Witnesses:  names[:3], Profile: profile, ProbeEvery: 2 * profile.RollInterval,
		}}
		f.nodes[name] = n
		f.after(time.Duration(i)*37*ms, func() { f.start(n) })
		f.beat(n, time.Duration(i)*91*ms)
	}
	f.until(f.now + 5*sec)
	f.all(decide.Armed)
	return f
}

func (f *fleet) after(d time.Duration, do func()) {
	f.seq++
	heap.Push(&f.queue, event{f.now + d, f.seq, do})
}

// until runs everything that happens before the time.
func (f *fleet) until(end time.Duration) {
	for len(f.queue) > 0 && f.queue[0].at < end {
		e := heap.Pop(&f.queue).(event)
		f.now = e.at
		e.do()
	}
	f.now = end
}

// all checks the phase of each node.
func (f *fleet) all(want decide.Phase) {
	f.t.Helper()
	for _, n := range f.nodes {
		f.phase(n.name, want)
	}
}

func (f *fleet) phase(name string, want decide.Phase) {
	f.t.Helper()
	if n := f.nodes[name]; n.v.Phase != want {
		f.t.Fatalf("at %v: %s is %v (%s: %s), want %v", f.now, name, n.v.Phase, n.v.Reason, n.v.Message, want)
	}
}

// start starts the node's agent with what an earlier one has stored.
func (f *fleet) start(n *node) {
	n.run++
	n.core = decide.New(decide.Config{
		Node: n.name, Boot: "boot-" + n.name, Memory: n.memory, Phase: float64(n.name[1]-'1') / 5,
	}, timing.At(f.now))
	n.order, n.acked, n.writing, n.v = 0, false, false, decide.Verdict{}
	f.tell(n, n.run, decide.Guided{Spec: n.spec})
	f.report(n)
	f.tick(n, n.run)
}

// restart ends the agent and starts it anew after a while.
func (f *fleet) restart(name string, down time.Duration) {
	n := f.nodes[name]
	n.core = nil
	n.run++
	f.after(down, func() {
		f.start(n) // dies before its holder has spoken
		n.run++
		f.start(n)
	})
}

func (f *fleet) tick(n *node, run int) {
	if n.run == run && n.core != nil {
		f.tell(n, run, decide.Tick{})
		f.after(max(n.v.Wake.Raw-f.now, ms), func() { f.tick(n, run) })
	}
}

// tell brings the node's agent an event, and carries the verdict out.
func (f *fleet) tell(n *node, run int, e decide.Event) {
	if n.run != run || n.core == nil {
		return
	}
	was := n.v
	n.v = n.core.Step(timing.At(f.now), e)
	if n.v.Phase != was.Phase {
		f.t.Logf("%v %s %v %s %v", f.now, n.name, n.v.Phase, n.v.Reason, n.v.Notes)
	}
	n.memory = n.v.Memory
	if v := n.v; v.Hold != decide.HoldUnknown && (v.Order != was.Order || v.PetUntil != was.PetUntil) {
		f.after(ms, func() {
			n.timeout, n.petUntil = v.Timeout, max(n.petUntil, v.PetUntil.Raw)
			if n.mode != decide.HoldLatched {
				n.mode = v.Hold
			}
			if n.run == run && n.order != v.Order {
				n.order = v.Order
				f.report(n)
			}
		})
		f.after(v.PetUntil.Raw-f.now, func() { f.holderClock(n) })
	}
	f.ask(n, n.v.Ask)
	f.publish(n)
}

// holderClock is the holder's own deadline.
func (f *fleet) holderClock(n *node) {
	if n.mode == decide.HoldArmed && f.now >= n.petUntil {
		f.t.Logf("%v the holder of %s latches", f.now, n.name)
		n.mode = decide.HoldLatched
		f.report(n)
	}
}

// report is the holder's word.
func (f *fleet) report(n *node) {
	run := n.run
	h := decide.Held{Order: n.order, Mode: n.mode, Device: dog(), Timeout: n.timeout, PetUntil: timing.At(n.petUntil)}
	f.after(ms, func() { f.tell(n, run, h) })
}

// reach reports whether a message passes now.
func (f *fleet) reach(from, to string) bool {
	return !f.cut(from, to) && (to != "api" || !f.noAPI)
}

// call is a question and its answer; failed is called where either is lost.
func (f *fleet) call(from, to string, ask func() (answer func()), failed func()) {
	patience := sec
	if to == "api" && f.noAPI && !f.hangs && !f.cut(from, to) {
		patience = hop
	}
	f.after(hop, func() {
		if !f.reach(from, to) {
			f.after(patience-hop, failed)
			return
		}
		answer := ask()
		f.after(hop, func() {
			if f.reach(from, to) {
				answer()
			} else {
				f.after(sec-2*hop, failed)
			}
		})
	})
}

func (f *fleet) ask(n *node, q decide.Ask) {
	run, sent := n.run, timing.At(f.now)
	if q.API {
		f.reads++
		f.call(n.name, "api", func() func() {
			r := f.roll.Clone()
			return func() { f.tell(n, run, decide.RollRead{Roll: r, Sent: sent}) }
		}, func() { f.tell(n, run, decide.RollMissed{Err: "no answer"}) })
	}
	if q.Witnesses {
		for _, w := range n.spec.Witnesses {
			if w == n.name {
				continue
			}
			f.call(n.name, w, func() func() {
				r := f.nodes[w].memory.Roll
				if f.nodes[w].core == nil {
					return func() {}
				}
				return func() { f.tell(n, run, decide.Stated{Witness: w, Roll: r, Sent: sent}) }
			}, func() {})
		}
	}
	if q.Neighbours {
		f.ping(n)
	}
}

// beat pings the neighbours at each heartbeat.
func (f *fleet) beat(n *node, phase time.Duration) {
	f.after(phase, func() {
		f.ping(n)
		f.beat(n, n.spec.Profile.Heartbeat)
	})
}

func (f *fleet) ping(n *node) {
	run, sent := n.run, f.now
	for _, m := range n.spec.Neighbours {
		f.call(n.name, m, func() func() {
			other := f.nodes[m]
			if other.core == nil {
				return func() {}
			}
			best := other.v.Relay
			asked := f.now
			return func() {
				e := decide.Heard{Node: m, Sent: timing.At(sent)}
				if best != nil {
					e.Relay = &roll.Held{Roll: best.Roll, Sent: timing.At(sent - (asked - best.Sent.Raw))}
				}
				f.tell(n, run, e)
			}
		}, func() {})
	}
}

func (f *fleet) publish(n *node) {
	if n.v.Phase == decide.PhaseUnknown || n.writing || n.acked && n.said.Equal(n.v.Status) {
		return
	}
	run, s, sent := n.run, n.v.Status, timing.At(f.now)
	n.writing = true
	f.call(n.name, "api", func() func() {
		f.guard[n.name] = s
		return func() {
			if n.run == run {
				n.writing, n.acked, n.said = false, true, s
				f.tell(n, run, decide.Published{Status: s, Sent: sent})
			}
		}
	}, func() {
		f.after(250*ms, func() {
			if n.run == run {
				n.writing = false
				f.tell(n, run, decide.Tick{})
			}
		})
	})
}

// profiles are those that ship.
func profiles() map[string]timing.Profile {
	return map[string]timing.Profile{"standard": timing.Standard(), "fast": timing.Fast(), "patient": timing.Patient()}
}

// An outage of the API for a minute, from any moment, in a small or a large
// cluster, however the server fails: nobody resets, nobody disarms.
func TestFleet_APIOutageResetsNobody(t *testing.T) {
	for name, profile := range profiles() {
		for _, hangs := range []bool{false, true} {
			for _, poll := range []time.Duration{0, 25 * sec} {
				for begin := time.Duration(0); begin < 2*sec; begin += 430 * ms {
					t.Run(fmt.Sprintf("%s hangs=%v poll=%v at %v", name, hangs, poll, begin), func(t *testing.T) {
						f := newFleet(t, profile, poll)
						f.until(f.now + begin)
						f.noAPI, f.hangs = true, hangs
						f.until(f.now + 60*sec)
						f.all(decide.Armed)
						f.noAPI = false
						f.until(f.now + 20*sec)
						f.all(decide.Armed)
					})
				}
			}
		}
	}
}

// An outage that begins while a suspicion is open: the suspected node lives,
// and says so when the API is back.
func TestFleet_APIOutageWithASuspicionOpenResetsNobody(t *testing.T) {
	for begin := time.Duration(0); begin < 1500*ms; begin += 110 * ms {
		f := newFleet(t, timing.Standard(), 0)
		f.roll.Serial++
		f.roll.Entries = []roll.Entry{{Node: "n5", Boot: "boot-n5", Fence: "f", State: roll.Suspected}}
		f.until(f.now + begin)
		f.noAPI, f.hangs = true, true
		f.until(f.now + 60*sec)
		f.all(decide.Armed)
		f.noAPI = false
		f.until(f.now + 3*sec)
		f.all(decide.Armed)
		if got := f.guard["n5"].Refutes; got != "f" {
			t.Fatalf("n5 refutes %q, want f", got)
		}
	}
}

// A suspected node refutes within the gate: r reads of half an interval each.
func TestFleet_SuspicionIsRefutedBeforeTheGateOpens(t *testing.T) {
	for name, profile := range profiles() {
		for begin := time.Duration(0); begin < 1500*ms; begin += 110 * ms {
			f := newFleet(t, profile, 25*sec)
			f.until(f.now + begin)
			f.roll.Serial++
			f.roll.Entries = []roll.Entry{{Node: "n5", Boot: "boot-n5", Fence: "f", State: roll.Suspected}}
			since := f.now
			for f.guard["n5"].Refutes != "f" {
				f.until(f.now + 10*ms)
				if f.now-since > 10*sec {
					t.Fatal("never refuted")
				}
			}
			// The witnesses' counts start when they first see the suspicion.
			if took := f.now - since; took > time.Duration(profile.GateReads-1)*profile.GateInterval() {
				t.Errorf("%s: refuted after %v: the gate may be open", name, took)
			}
		}
	}
}

// The API is lost on one node: its neighbours' relays keep it.
func TestFleet_APILostOnOneNode(t *testing.T) {
	f := newFleet(t, timing.Standard(), 0)
	f.cut = func(a, b string) bool { return a == "n4" && b == "api" }
	f.until(f.now + 5*time.Minute)
	f.all(decide.Armed)
}

// A node that is cut off from everybody resets by its own petUntil, and nobody else does.
func TestFleet_IsolatedNodeLatchesByItsDeadline(t *testing.T) {
	for name, profile := range profiles() {
		for begin := time.Duration(0); begin < 2*sec; begin += 170 * ms {
			f := newFleet(t, profile, 0)
			f.until(f.now + begin)
			f.cut = func(a, b string) bool { return a == "n2" || b == "n2" }
			isolated := f.now
			until := f.nodes["n2"].v.PetUntil.Raw
			f.until(until - ms)
			f.phase("n2", decide.Armed)
			f.until(isolated + profile.RollLife + ms)
			f.phase("n2", decide.Latched)
			f.until(isolated + 3*time.Minute)
			for _, n := range []string{"n1", "n3", "n4", "n5"} {
				f.phase(n, decide.Armed)
				if lost := f.nodes[n].v.Status.Lost; !slices.Equal(lost, []string{"n2"}) {
					t.Fatalf("%s: %s has lost %v, want n2", name, n, lost)
				}
			}
		}
	}
}

// The network splits while the API is away: the side with the quorum of
// witnesses stays, the other side resets.
func TestFleet_MinorityResetsAndMajorityStays(t *testing.T) {
	f := newFleet(t, timing.Standard(), 0)
	f.noAPI = true
	f.until(f.now + 10*sec)
	left := []string{"n1", "n5"} // one of three witnesses
	f.cut = func(a, b string) bool { return slices.Contains(left, a) != slices.Contains(left, b) }
	f.until(f.now + 5100*ms)
	f.phase("n1", decide.Latched)
	f.phase("n5", decide.Latched)
	f.until(f.now + 60*sec)
	for _, n := range []string{"n2", "n3", "n4"} {
		f.phase(n, decide.Armed)
	}
}

// Agents restart one after the other in an outage of the API.
func TestFleet_AgentRestartsInAnOutageGoOn(t *testing.T) {
	for _, down := range []time.Duration{200 * ms, sec, 2 * sec} {
		f := newFleet(t, timing.Standard(), 0)
		f.noAPI, f.hangs = true, true
		for range 3 {
			for name := range f.nodes {
				f.until(f.now + 4*sec)
				f.restart(name, down)
			}
		}
		f.until(f.now + 10*sec)
		f.all(decide.Armed)
		f.noAPI = false
		f.until(f.now + 5*sec)
		f.all(decide.Armed)
	}
}

// All agents restart at once in an outage: what they have stored is enough.
func TestFleet_AllAgentsRestartInAnOutage(t *testing.T) {
	f := newFleet(t, timing.Standard(), 0)
	f.noAPI = true
	f.until(f.now + 5*sec)
	for name := range f.nodes {
		f.restart(name, sec)
	}
	f.until(f.now + 30*sec)
	f.all(decide.Armed)
}

// The agents' port is blocked everywhere: all become unarmed by A7, and an
// outage of the API that follows resets nobody. Unblocked, they arm again.
func TestFleet_BlockedPortUnarmsEverybody(t *testing.T) {
	f := newFleet(t, timing.Standard(), 0)
	f.cut = func(_, b string) bool { return b != "api" }
	f.until(f.now + 50*sec)
	f.all(decide.Unarmed)
	f.noAPI = true
	f.until(f.now + 60*sec)
	f.all(decide.Unarmed)
	f.noAPI = false
	f.until(f.now + 5*sec)
	f.cut = func(string, string) bool { return false }
	f.until(f.now + 10*sec)
	f.all(decide.Armed)
	for name, s := range f.guard {
		if !s.Promise.Armed {
			t.Errorf("%s has not published that it is armed", name)
		}
	}
}

// A graceful stop and the next agent: unarmed in between, armed again, no reset.
func TestFleet_UpgradeUnarmsAndArmsAgain(t *testing.T) {
	f := newFleet(t, timing.Standard(), 0)
	n := f.nodes["n3"]
	f.tell(n, n.run, decide.Stop{})
	f.until(f.now + sec)
	if !n.v.Done || n.mode != decide.HoldFree || f.guard["n3"].Promise.Armed {
		t.Fatalf("done %v, holder %v, promise %+v: want it free and published", n.v.Done, n.mode, f.guard["n3"].Promise)
	}
	f.restart("n3", 30*sec)
	f.until(f.now + 40*sec)
	f.all(decide.Armed)
}

// The Roll begins a new history: nobody resets.
func TestFleet_NewHistoryResetsNobody(t *testing.T) {
	for _, poll := range []time.Duration{0, 25 * sec} {
		f := newFleet(t, timing.Standard(), poll)
		for n := range 3 {
			f.until(f.now + 7*sec)
			f.roll.History, f.roll.Serial = fmt.Sprint("h", n), 1
		}
		f.until(f.now + 60*sec)
		f.all(decide.Armed)
	}
}

// A backup is restored under the same history, and the API goes away again for
// a moment: until the new history begins nobody makes a statement, so that it
// must be shorter than L.
func TestFleet_RestoredBackupAndAnOutageResetNobody(t *testing.T) {
	f := newFleet(t, timing.Standard(), 0)
	f.roll.Serial = 50
	f.until(f.now + 5*sec)
	f.noAPI = true
	f.until(f.now + 20*sec)
	f.noAPI = false
	f.roll.Serial = 40
	f.until(f.now + 2*sec)
	f.noAPI = true
	f.until(f.now + 3*sec)
	f.noAPI = false
	f.until(f.now + 2*sec)
	for _, n := range f.nodes {
		if n.v.Status.HistoryBroken == "" {
			t.Errorf("%s has not noticed", n.name)
		}
	}
	f.roll.History, f.roll.Serial = "h2", 1
	f.until(f.now + 10*sec)
	f.all(decide.Armed)
}

// Reads of the API stay flat: witnesses each interval, others at their pace.
func TestFleet_ReadsOfTheAPI(t *testing.T) {
	f := newFleet(t, timing.Standard(), 25*sec)
	f.reads = 0
	f.until(f.now + 100*sec)
	if f.reads < 300 || f.reads > 320 {
		t.Errorf("%d reads in 100 s of 3 witnesses and 2 others, want about 308", f.reads)
	}
}

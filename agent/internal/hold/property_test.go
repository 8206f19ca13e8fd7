package hold

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/picket-dev/picket/proto/timing"
)

// TestA6NoPingAfterPetUntil drives the machine by random calls, failures and
// delays, with restarts from its own marker, and judges every action by the
// deadline that an agent's view of the protocol would compute. Some calls are
// those of a good agent, or all runs would end unarmed or latched soon.
func TestA6NoPingAfterPetUntil(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := driver{t: t, now: timing.At(100 * s)}
		d.resume(Record{State: Idle}, Absent)
		t.Repeat(map[string]func(*rapid.T){
			"wait":    func(t *rapid.T) { d.pass(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * ms) },
			"suspend": func(t *rapid.T) { d.now.Boot += time.Duration(rapid.IntRange(0, 4000).Draw(t, "ms")) * ms },
			"tick":    func(*rapid.T) { d.carry(d.m.Tick(d.now)) },
			"next": func(*rapid.T) {
				if next, ok := d.m.Next(); ok {
					d.pass(max(-next.Age(d.now), 0))
				}
				d.carry(d.m.Tick(d.now))
			},
			"arm":    func(*rapid.T) { d.call(OpArm, 2, 2000) },
			"extend": func(*rapid.T) { d.call(OpExtend, 0, 2000) },
			"coast":  func(*rapid.T) { d.call(OpCoast, 2, 2000) },
			"test":   func(*rapid.T) { d.call(OpTest, 2, 2000) },
			"call": func(t *rapid.T) {
				d.call(rapid.SampledFrom([]Op{OpStatus, OpArm, OpExtend, OpSetTimeout, OpCoast, OpTest, OpLatch, OpFree, OpDisarm}).Draw(t, "op"), 0, -2000)
			},
			"SIGTERM": func(*rapid.T) { d.carry(d.m.Terminate(d.now)) },
			"kill":    func(*rapid.T) { d.resume(d.m.Record(), Ours) },
		})
	})
}

// driver plays the loop, the device and the clock.
type driver struct {
	t       *rapid.T
	m       *Machine
	now     timing.Instant
	before  Record
	latched bool
	running bool
	done    Act           // the last action that worked
	timeout time.Duration // in force in the device
}

func (d *driver) resume(r Record, v Verdict) {
	m, a, err := Resume(Evidence{Record: r, Verdict: v}, s, d.now)
	d.m, d.before = m, r
	d.carry(a, err)
}

func (d *driver) pass(by time.Duration) { d.now = d.now.Add(by) }

// call makes a call with a T and a petUntil that is at least lead ms ahead.
func (d *driver) call(op Op, least, lead int) {
	q := Request{
		Op:       op,
		Timeout:  time.Duration(rapid.IntRange(least, 12).Draw(d.t, "T")) * s,
		PetUntil: d.now.Add(time.Duration(rapid.IntRange(lead, 6000).Draw(d.t, "lead")) * ms),
	}
	published := max(d.before.Timeout, q.Timeout)
	protected, late := d.before.State == Armed, q.PetUntil.Passed(d.now)
	d.carry(d.m.Request(q, d.now))
	if protected && d.before.State == Coasting && late {
		d.t.Fatalf("coasts by a petUntil that had passed")
	}
	if protected && (d.before.State == Armed || d.before.State == Coasting) && d.timeout > published {
		d.t.Fatalf("T is %v after %v, and %v at most was published", d.timeout, q.Op, published)
	}
}

// carry carries out a and judges it.
func (d *driver) carry(a Action, _ error) {
	for range 10 {
		d.judge(a)
		if a.Act == Exit {
			d.resume(d.m.Record(), Ours)
			return
		}
		if a.Act == Nothing {
			return
		}
		r := d.perform(a)
		if d.done = a.Act; r.Err != nil {
			d.done = Nothing
		}
		a, _ = d.m.Done(a, r, d.now)
	}
	d.t.Fatalf("the machine asks for one action after the other, at last for %v", a.Act)
}

func (d *driver) perform(a Action) Result {
	d.pass(time.Duration(rapid.IntRange(0, 1500).Draw(d.t, "delay")) * ms)
	if rapid.IntRange(0, 9).Draw(d.t, "fails") == 0 || a.Act == Reset {
		r := Result{Timeout: d.timeout, Err: errBroken}
		if rapid.Bool().Draw(d.t, "speechless") {
			r.Timeout = 0
			if a.Act == SetTimeout && rapid.Bool().Draw(d.t, "set all the same") {
				d.timeout = a.Timeout
			}
		}
		return r
	}
	switch a.Act {
	case Open:
		if !d.running {
			d.running, d.timeout = true, 30*s
		}
	case SetTimeout:
		d.timeout = max(a.Timeout+time.Duration(rapid.IntRange(-1, 1).Draw(d.t, "rounds"))*s, s)
	case Close:
		d.running, d.timeout = false, 0
	default:
	}
	return Result{Timeout: d.timeout}
}

func (d *driver) judge(a Action) {
	r := d.m.Record()
	if d.latched && (r.State != Latched || a.Act != Nothing && a.Act != Reset) {
		d.t.Fatalf("latched, and then %v in state %v", a.Act, r.State)
	}
	d.latched = r.State == Latched
	pings := a.Act == Ping || a.Act == SetTimeout || a.Act == Open
	if r.State == Coasting && a.Act != Nothing && a.Act != Exit {
		d.t.Fatalf("%v while coasting", a.Act)
	}
	d.judgeTest(a, r)
	if d.before.State == Coasting && r != d.before && r.State != Latched {
		d.t.Fatalf("coasting, and then %+v", r)
	}
	if r.State == Coasting && d.before.State != Coasting && (d.before.State != Armed || d.before.PetUntil.Passed(d.now)) {
		d.t.Fatalf("coasts at %v after %+v", d.now, d.before)
	}
	if r.State == Coasting && r.Timeout != d.timeout {
		d.t.Fatalf("T in the marker is %v, in the device that coasts %v", r.Timeout, d.timeout)
	}
	if r.State == Armed && pings && r.PetUntil.Passed(d.now) {
		d.t.Fatalf("%v at %v, after petUntil %v", a.Act, d.now, r.PetUntil)
	}
	if r.State == Idle && (a.Act == Ping || a.Act == SetTimeout || a.Act == Reset) {
		d.t.Fatalf("%v while idle", a.Act)
	}
	if a.Act == Reset && r.State != Latched {
		d.t.Fatalf("reset in state %v", r.State)
	}
	if a.Act == Close && r.State != Free {
		d.t.Fatalf("device closed in state %v, the marker says so, too", r.State)
	}
	if d.before.State == Armed && r.State == Armed && (r.PetUntil.Raw < d.before.PetUntil.Raw || r.PetUntil.Boot < d.before.PetUntil.Boot) {
		d.t.Fatalf("petUntil went back from %v to %v", d.before.PetUntil, r.PetUntil)
	}
	if a.Act == Nothing && r.State == Armed && d.m.open && r.Timeout < d.timeout {
		d.t.Fatalf("T in the marker is %v, in the device %v", r.Timeout, d.timeout)
	}
	d.before = r
}

// judgeTest holds a test against what its measurement rests on: it begins by a
// ping of a device that nothing gates, and after that only a latch ends it.
func (d *driver) judgeTest(a Action, r Record) {
	if r.State == Testing && a.Act != Nothing {
		d.t.Fatalf("%v while testing", a.Act)
	}
	if d.before.State == Testing && r != d.before && r.State != Latched {
		d.t.Fatalf("testing, and then %+v", r)
	}
	if r.State == Testing && d.before.State != Testing && (d.before.State != Free && d.before.State != Idle || d.done != Ping) {
		d.t.Fatalf("tests after %+v and %v", d.before, d.done)
	}
	if r.State == Testing && (!d.running || r.Timeout != d.timeout) {
		d.t.Fatalf("T in the marker is %v, in the device that is tested %v (running %t)", r.Timeout, d.timeout, d.running)
	}
}

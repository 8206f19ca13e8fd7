package world

import (
	"fmt"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/timing"
)

// A World runs one schedule.
type World struct {
	Setting
	dice
	now   time.Duration
	queue queue
	seq   uint64

	policy      plan.Policy
	good        timing.Profile // one that agents follow
	store       store
	net         net
	machines    []*machine
	messages    []*message // that are free
	calls       []*call    // the same
	controllers []*controller
	histories   int
	waiting     []Fault // those that wait for a moment
	healed      bool
	judge       judge

	outcome Outcome
	over    bool
	still   int          // events of this very instant
	tell    func(string) // nil: nobody listens
}

// An Outcome is what a schedule came to.
type Outcome struct {
	Violation string // P1, P2 or live, or panic; empty: none
	What      string // the same in words
	Lasted    time.Duration
	Events    int
	Counts    Counts
}

// Run runs the schedule of a setting. Each line of its story goes to tell,
// which may be nil.
func Run(s Setting, tell func(line string)) (out Outcome) {
	w := &World{Setting: s, dice: newDice(s.Seed, 1), policy: s.Policy, tell: tell, queue: make(queue, 0, 128)}
	defer func() {
		if p := recover(); p != nil {
			out = w.outcome
			out.Violation, out.What = "panic", fmt.Sprintf("%v\n%s", p, debug.Stack())
		}
	}()
	w.build()
	for !w.over && len(w.queue) > 0 {
		e := w.queue.pop()
		if w.outcome.Events++; e.at > w.now {
			w.now, w.still = e.at, 0
		} else if w.still++; w.still > patience {
			w.violate("live", "time stands still: something happens again and again")
		}
		e.do()
	}
	w.outcome.Lasted = w.now
	return w.outcome
}

// patience is how many events of one instant are no busy loop.
const patience = 10000

// at plans an event.
func (w *World) at(t time.Duration, do func()) {
	w.seq++
	w.queue.push(event{max(t, w.now), w.seq, do})
}

func (w *World) after(d time.Duration, do func()) { w.at(w.now+d, do) }

// say tells a line of the story. Callers on hot paths look at tells first.
func (w *World) say(who, format string, args ...any) {
	if w.tell != nil {
		w.tell(fmt.Sprintf("%9.3fs %-4s %s", w.now.Seconds(), who, fmt.Sprintf(format, args...)))
	}
}

func (w *World) tells() bool { return w.tell != nil }

// build makes the world as it is before the first fault: in most settings in
// the middle of its life, with everybody armed.
func (w *World) build() {
	n := w.Nodes + w.Spare
	w.net = newNet(n)
	w.judge = newJudge(n, w.Cold)
	w.store = store{
		nodes: make([]object[plan.Node], n), guards: make([]object[plan.Guard], n),
		leases: make([]int64, n), pods: make([][]plan.Pod, n), mounts: make([]bool, n),
	}
	for i := range n {
		w.machines = append(w.machines, &machine{World: w, i: i, name: "n" + strconv.Itoa(i+1), Gear: w.Gear[i], gone: i >= w.Nodes})
	}
	if w.Cold {
		for _, m := range w.machines[:w.Nodes] {
			m.power()
		}
	} else {
		w.warm()
	}
	w.elect()
	for _, f := range w.Faults {
		if f.On == NoMoment {
			w.at(f.At, func() { w.happen(f) })
		} else {
			w.waiting = append(w.waiting, f)
		}
	}
	w.at(w.Span, w.heal)
}

// moment lets those faults happen that wait for it.
func (w *World) moment(m Moment, node int) {
	if len(w.waiting) == 0 || w.healed {
		return
	}
	left := w.waiting[:0:0]
	for _, f := range w.waiting {
		if f.On != m {
			left = append(left, f)
			continue
		}
		if f.Its {
			f.Node = node
		}
		w.after(f.At, func() { w.happen(f) })
	}
	w.waiting = left
}

// violate ends the schedule.
func (w *World) violate(what, format string, args ...any) {
	if w.over {
		return
	}
	w.over = true
	w.outcome.Violation, w.outcome.What = what, fmt.Sprintf(format, args...)
	w.say("", "VIOLATION %s: %s", what, w.outcome.What)
}

// heal ends all faults: whoever is not off for good comes back.
func (w *World) heal() {
	w.healed = true
	w.say("", "all faults are over")
	w.waiting = nil
	w.net = newNet(len(w.machines))
	w.policy = w.Policy
	w.policy.Profile = w.judge.profile(w.Profile)
	if w.store.roll != nil {
		w.policy.ResumeHistory = w.store.roll.History
	}
	w.judge.heal(w.now)
	for _, m := range w.machines {
		m.heal()
		w.detach(m.i)
	}
	w.takeBack()
	w.healControllers()
	limit := w.now + w.limit()
	var look func()
	look = func() {
		if w.store.roll != nil && w.store.roll.Broken != "" {
			w.policy.ResumeHistory = w.store.roll.History
		}
		for _, m := range w.machines {
			if m.on && m.hung && !m.dog.running {
				m.heal()
			}
		}
		why := w.unsettled()
		switch {
		case why == "":
			w.over = true
		case w.now > limit:
			w.violate("live", "%v after all faults: %s", w.limit(), why)
		default:
			w.after(w.Profile.RollInterval/2, look)
		}
	}
	w.after(w.Profile.RollInterval, look)
}

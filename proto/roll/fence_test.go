package roll_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/picket-dev/picket/proto/roll"
)

// A fence, epoch changes (i), (ii), (iii), reads in flight, reboots of witnesses
// and changes of leader run in any order. Whatever the order, no statements that
// were asked for at c or later make a roll that permits the fenced boot.
func TestFenceHoldsThroughEpochChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		choose := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") }
		if f := run(rules{}, choose); f.permits != "" {
			t.Fatal(f.permits)
		}
	})
}

// The same over many more schedules, with proof that they go where it hurts.
func TestFenceHoldsInManySchedules(t *testing.T) {
	const schedules = 20000
	waits, changes, spoken := 0, 0, 0
	for seed := range uint64(schedules) {
		f := run(rules{}, rand.New(rand.NewPCG(seed, 0)).IntN)
		if f.permits != "" {
			t.Fatalf("schedule %d: %s", seed, f.permits)
		}
		if f.started {
			waits++
			changes += f.changes
			spoken += len(f.permitting)
		}
	}
	t.Logf("%d schedules: %d waits, %d epoch changes beside them, %d epochs with some permitting statements", schedules, waits, changes, spoken)
	if waits < schedules/4 || changes < schedules/8 || spoken < schedules/30 {
		t.Errorf("too few waits, epoch changes or permitting statements to prove anything")
	}
}

// Each rule is there for a reason: without it, some schedule permits the boot.
func TestFenceDoesNotHoldWithoutEachRule(t *testing.T) {
	for name, ablated := range map[string]rules{
		"C−1 acknowledgements":                            {fewer: 1},
		"acknowledgements of active epochs only":          {activeOnly: true},
		"the epoch list from before the withholding":      {listEarly: true},
		"an acknowledgement of an earlier fence":          {carryOver: true},
		"an acknowledgement before the roll is kept":      {ackFirst: true},
		"a witness that goes back to an older serial":     {backwards: true},
		"a rebooted witness that speaks from memory":      {staleMemory: true},
		"a read that is not linearizable":                 {staleRead: true},
		"a retiring epoch removed at once":                {removeAtOnce: true},
		"a retiring epoch removed with C−1":               {removeFewer: 1},
		"statements for retiring epochs":                  {speakRetiring: true},
		"statements for epochs that the roll has not yet": {speakUnlisted: true},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(500000) {
				if f := run(ablated, rand.New(rand.NewPCG(seed, 0)).IntN); f.permits != "" {
					t.Logf("schedule %d: %s", seed, f.permits)
					return
				}
			}
			t.Error("no schedule permits the boot: the rule, or this test, is useless")
		})
	}
}

// rules are those of the protocol; each field breaks one.
type rules struct {
	fewer         int // acknowledgements fewer than C start the wait
	activeOnly    bool
	listEarly     bool
	carryOver     bool
	ackFirst      bool
	backwards     bool
	staleMemory   bool
	staleRead     bool
	removeAtOnce  bool
	removeFewer   int
	speakRetiring bool
	speakUnlisted bool
}

// A witness is one node's part: reads, memory and acknowledgements.
type witness struct {
	reading []roll.Roll // GETs in flight: the replies that the store has given
	memory  *roll.Roll  // of the present boot
	acked   int64
}

// A fencing is one run of the protocol around the fence of boot "x".
type fencing struct {
	rules
	choose    func(n int) int
	history   []roll.Roll // what the API's Roll was, by serial from 1
	witnesses []*witness  // by node number; number 0 is the fenced node

	fencedAt  int64        // serial of the withholding, 0 for none
	countFrom int64        // acknowledgements of this serial count: the same
	listed    []roll.Epoch // as the leader read it after the withholding
	started   bool         // c is past, the wait runs

	step       int // of the running epoch change: (i) or (ii) is written, or 0
	stepSerial int64
	numbers    int64 // epoch numbers given so far
	changes    int

	// permitting are statements asked for after c that permit the boot, by
	// epoch and node; enough of them in one epoch, and permits says so.
	permitting map[int64]map[string]roll.Statement
	permits    string
}

const (
	nodes    = 6
	maxSteps = 250
)

// run lets choose pick each step until the wait has run for a while.
func run(r rules, choose func(n int) int) *fencing {
	f := &fencing{rules: r, choose: choose, permitting: map[int64]map[string]roll.Statement{}}
	for range nodes {
		f.witnesses = append(f.witnesses, &witness{})
	}
	f.history = []roll.Roll{{History: "h", Serial: 1, Epochs: []roll.Epoch{f.newEpoch()}}}
	for after, step := 0, 0; step < maxSteps && after < 80 && f.permits == ""; step++ {
		f.act()
		if f.started {
			after++
			f.callTheRoll()
		}
	}
	return f
}

// act takes one step of the controller or of a witness.
func (f *fencing) act() {
	steps := []func(){
		f.withholdOrCount, f.withholdOrCount, f.changeEpoch, f.changeLeader, f.dropFence, f.writeOther, f.read, f.read, f.read,
		f.finish, f.finish, f.finish, f.acknowledge, f.acknowledge, f.acknowledge, f.reboot,
	}
	steps[f.choose(len(steps))]()
}

// now returns the Roll in the API.
func (f *fencing) now() roll.Roll { return f.history[len(f.history)-1] }

// write changes the Roll and returns its new serial.
func (f *fencing) write(change func(*roll.Roll)) int64 {
	r := f.now().Clone()
	r.Serial++
	change(&r)
	f.history = append(f.history, r)
	return r.Serial
}

// newEpoch gives the next number to a set of 1, 3 or 5 nodes.
func (f *fencing) newEpoch() roll.Epoch {
	f.numbers++
	left := []int{0, 1, 2, 3, 4, 5}
	for range nodes - (1 + 2*f.choose(3)) {
		i := f.choose(len(left))
		left = slices.Delete(left, i, i+1)
	}
	e := roll.Epoch{Number: f.numbers}
	for _, i := range left {
		e.Witnesses = append(e.Witnesses, name(i))
	}
	return e
}

func name(node int) string { return fmt.Sprint("node-", node) }

// withholdOrCount is the leader's next step: withhold; read the epoch list; and
// with the acknowledgements of all epochs listed, read c.
func (f *fencing) withholdOrCount() {
	switch {
	case f.listed == nil && (f.fencedAt != 0 || f.listEarly):
		f.listed = f.now().Epochs
	case f.fencedAt == 0:
		f.fencedAt = f.write(func(r *roll.Roll) { r.Entries = append(r.Entries, entry("x", roll.Withheld)) })
		if f.countFrom == 0 || !f.carryOver {
			f.countFrom = f.fencedAt
		}
	case !f.started:
		f.started = !slices.ContainsFunc(f.listed, func(e roll.Epoch) bool {
			return (!e.Retiring || !f.activeOnly) && f.acks(e, f.countFrom, 1) < e.Cover()-f.fewer
		})
	}
}

// acks counts the witnesses of the epoch that acknowledged the serial, those
// from node first on: the fenced one must not vouch for itself.
func (f *fencing) acks(e roll.Epoch, serial int64, first int) int {
	n := 0
	for i := first; i < nodes; i++ {
		if e.Has(name(i)) && f.witnesses[i].acked >= serial {
			n++
		}
	}
	return n
}

// changeEpoch takes the next of the steps (i), (ii), (iii).
func (f *fencing) changeEpoch() {
	epochs := f.now().Epochs
	newest := epochs[len(epochs)-1]
	switch f.step {
	case 0:
		e := f.newEpoch()
		f.step, f.stepSerial = 1, f.write(func(r *roll.Roll) { r.Epochs = append(r.Epochs, e) })
	case 1:
		if f.acks(newest, f.stepSerial, 0) >= newest.Quorum() {
			f.step, f.stepSerial = 2, f.write(func(r *roll.Roll) { r.Epochs[0].Retiring = true })
		}
	case 2:
		if f.removeAtOnce || f.acks(epochs[0], f.stepSerial, 0) >= epochs[0].Cover()-f.removeFewer {
			f.step = 0
			f.write(func(r *roll.Roll) { r.Epochs = r.Epochs[1:] })
			f.changes++
		}
	}
}

// changeLeader makes the leader forget what it has observed; not the wait that
// an earlier one has begun, which may go on in its mind.
func (f *fencing) changeLeader() { f.listed = nil }

// dropFence ends the fence before its wait, as when the node refuted it.
func (f *fencing) dropFence() {
	if f.fencedAt == 0 || f.started || f.choose(3) > 0 {
		return
	}
	f.write(func(r *roll.Roll) { r.Entries = nil })
	f.fencedAt, f.listed = 0, nil
}

// writeOther is any other write, such as another fence's.
func (f *fencing) writeOther() { f.write(func(*roll.Roll) {}) }

func (f *fencing) any() *witness { return f.witnesses[f.choose(nodes)] }

// read sends a GET: the store answers with the newest Roll.
func (f *fencing) read() {
	w := f.any()
	r := f.now()
	if f.staleRead {
		r = f.history[max(0, len(f.history)-1-f.choose(4))]
	}
	if len(w.reading) < 3 {
		w.reading = append(w.reading, r)
	}
	if f.ackFirst {
		w.acked = max(w.acked, r.Serial)
	}
}

// finish receives one of the replies, in any order, and keeps it unless a
// higher serial is known.
func (f *fencing) finish() {
	w := f.any()
	if len(w.reading) == 0 {
		return
	}
	i := f.choose(len(w.reading))
	r := w.reading[i]
	w.reading = slices.Delete(w.reading, i, i+1)
	if f.backwards || w.memory == nil || r.Serial > w.memory.Serial {
		w.memory = &r
	}
}

// acknowledge publishes the serial that is kept.
func (f *fencing) acknowledge() {
	if w := f.any(); w.memory != nil {
		w.acked = max(w.acked, w.memory.Serial)
	}
}

// reboot loses the memory and the replies in flight. A boot that is proven dead
// counts as having acknowledged all that is written: the next one reads anew.
func (f *fencing) reboot() {
	if f.choose(4) > 0 {
		return
	}
	w := f.any()
	w.reading = nil
	w.acked = f.now().Serial
	if !f.staleMemory {
		w.memory = nil
	}
}

// callTheRoll asks every witness now, and keeps each answer that permits the
// boot: those of one epoch, at whatever times after c, are the asker's best try
// to make a roll that permits it.
func (f *fencing) callTheRoll() {
	for i, w := range f.witnesses {
		if w.memory == nil || w.memory.Withholds("x") {
			continue
		}
		s := roll.Statement{Witness: name(i), Roll: f.claimed(*w.memory)}
		for number := int64(1); number <= f.numbers; number++ {
			if _, ok := speaksFor(s.Roll, number, s.Witness); ok {
				f.keep(number, s)
			}
		}
	}
}

func (f *fencing) keep(number int64, s roll.Statement) {
	if f.permitting[number] == nil {
		f.permitting[number] = map[string]roll.Statement{}
	}
	f.permitting[number][s.Witness] = s
	var all []roll.Statement
	for _, kept := range f.permitting[number] {
		all = append(all, kept)
	}
	if held, ok := roll.Quorum("h", all); ok && !held.Roll.Withholds("x") {
		f.permits = fmt.Sprintf("epoch %d permits the boot withheld at serial %d: %+v", number, f.fencedAt, all)
	}
}

// claimed is the roll as the witness tells it: truly, but for the rules ablated.
func (f *fencing) claimed(r roll.Roll) roll.Roll {
	r = r.Clone()
	for i := range r.Epochs {
		r.Epochs[i].Retiring = r.Epochs[i].Retiring && !f.speakRetiring
	}
	if f.speakUnlisted {
		for _, e := range f.now().Epochs {
			if !slices.ContainsFunc(r.Epochs, func(known roll.Epoch) bool { return known.Number == e.Number }) {
				r.Epochs = append(r.Epochs, e)
			}
		}
	}
	return r
}

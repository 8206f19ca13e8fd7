package plan_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/timing"
)

// Another leader started a new history: nothing that this one observed counts.
func TestC10_AnotherHistoryVoidsEveryTrial(t *testing.T) {
	c := ready(t, 5)
	c.toWithheld("n2")
	c.run(15 * time.Second)
	r := *c.roll
	r.Roll = r.Clone()
	r.History = "another" // with the same entries
	r.Serial++
	r.Version = c.version()
	c.roll = &r
	began := c.now
	c.machine("n2").history = "another"
	g := c.guards["n2"]
	g.Status.History = "another"
	c.putGuard(g)
	c.until("n2", plan.Fenced, time.Minute)
	if w := timing.Wait(c.guards["n2"].Status.Promise, c.policy.Profile); c.now-began < w {
		t.Errorf("tainted %v after the new history began, W is %v", c.now-began, w)
	}
}

// A leader that reads behind a rival's writes must not mistake agents that are
// ahead of it for a Roll that went back.
func TestC9_AgentsAheadOfALaggingReadBreakNoHistory(t *testing.T) {
	c := ready(t, 3)
	l := c.leader()
	for range 20 {
		lag := *l.c.roll
		r := lag
		r.Roll = r.Clone()
		r.Serial++
		r.PollEvery += time.Millisecond
		r.Version = c.version()
		c.roll = &r
		for _, m := range c.machines {
			c.agent(m)
		}
		sent := l.clock()
		c.now += 10 * time.Millisecond
		l.sync()
		lag.Sent = sent
		l.fresh = &lag
		for _, a := range l.plan() {
			if put, ok := a.(plan.PutRoll); ok && put.Roll.Broken != "" {
				t.Fatalf("history broken: %s", put.Roll.Broken)
			}
		}
		c.now += 10 * time.Millisecond
	}
}

// A serial that nobody can have read is a lie: to believe it would begin a history
// with each write, for ever, since none can be above it. A lesser lie pauses fencing,
// once.
func TestC9_AnImpossibleSerialBeginsNoHistory(t *testing.T) {
	for claim, histories := range map[int64]int{math.MaxInt64: 1, math.MaxInt64 - 1: 1, 1 << 30: 2} {
		c := ready(t, 5)
		c.machine("n2").api = false // it says nothing else meanwhile
		g := c.guards["n2"]
		g.Status.Serial = claim
		c.putGuard(g)
		seen := make(map[string]bool)
		for range 10 {
			seen[c.roll.History] = true
			c.run(time.Second)
		}
		if broken := c.roll.Broken != ""; len(seen) != histories || broken != (histories > 1) {
			t.Errorf("serial %d: %d histories, broken: %q", claim, len(seen), c.roll.Broken)
		}
	}
}

// A Roll that went back stays broken until the new history is stored.
func TestC9_ABrokenHistoryIsNotForgottenWithALostWrite(t *testing.T) {
	c := ready(t, 3)
	r := *c.roll
	r.Roll = r.Clone()
	r.Serial--
	r.Version = c.version()
	c.roll = &r
	for g, guard := range c.guards { // restored, too
		guard.Status.Serial = 1
		c.guards[g] = guard
	}
	l := c.leader()
	for range 3 {
		l.sync()
		var broken []string
		for _, a := range l.plan() { // and every write is lost
			if put, ok := a.(plan.PutRoll); ok {
				broken = append(broken, put.Roll.Broken)
			}
		}
		if d := cmp.Diff([]string{"serial 2 after 3"}, broken); d != "" {
			t.Error(d)
		}
	}
}

// Whoever did not look for a while starts its waits again, and says so of each
// in a fixed order.
func TestC10_AGapRestartsEveryWait(t *testing.T) {
	for range 10 { // an order of maps would differ in one of them
		c := ready(t, 7)
		c.cut("n2")
		c.cut("n5")
		c.cut("n6")
		c.until("n6", plan.Withheld, 20*time.Second)
		c.run(10 * time.Second)
		began := c.now
		c.now += 6 * time.Second
		c.script = nil
		c.run(tick)
		want := []string{"C10 WaitRestarted n2", "C10 WaitRestarted n5", "C10 WaitRestarted n6", "silence n2", "silence n5", "silence n6"}
		if d := cmp.Diff(want, c.script); d != "" {
			t.Fatal(d)
		}
		c.until("n6", plan.Fenced, time.Minute)
		if w := timing.Wait(c.guards["n6"].Status.Promise, c.policy.Profile); c.now-began < w {
			t.Errorf("tainted %v after the gap, W is %v", c.now-began, w)
		}
	}
}

// A Roll of an earlier history that comes back is no new history: it went back,
// whoever leads.
func TestC9_AnEarlierHistoryWentBack(t *testing.T) {
	for name, elect := range map[string]bool{"same leader": false, "new leader": true} {
		for name2, begin := range map[string]func(*cluster){
			"in place": func(c *cluster) { // somebody wrote an older state
				r := *c.roll
				r.Roll = r.Clone()
				r.Serial--
				r.Version = c.version()
				c.roll = &r
			},
			"made anew": func(c *cluster) { c.roll = nil },
		} {
			t.Run(name+", "+name2, func(t *testing.T) {
				c := ready(t, 5)
				c.toWithheld("n5")
				c.until("n5", plan.Detached, time.Minute)
				c.run(10 * time.Second)
				old, serial := *c.roll, c.roll.Serial
				begin(c)
				c.run(2 * time.Second)
				c.policy.ResumeHistory = c.roll.History
				c.run(5 * time.Second)
				second := c.roll.History
				if second == old.History || c.roll.Broken != "" || c.roll.Serial <= serial {
					t.Fatalf("no second history: %+v, serial was %d", c.roll, serial)
				}
				old.Version = c.version()
				c.roll = &old
				if elect {
					c.elect()
				}
				c.run(2 * time.Second)
				if r := c.roll; r.History == old.History || r.History == second || r.Broken == "" {
					t.Errorf("goes on with %s after %s and %s, broken %q", r.History, old.History, second, r.Broken)
				}
				c.policy.ResumeHistory = c.roll.History
				c.run(5 * time.Second)
				c.cut("n2")
				c.until("n2", plan.Fenced, time.Minute)
			})
		}
	}
}

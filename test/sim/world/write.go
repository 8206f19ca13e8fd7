package world

import (
	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/roll"
)

// putRoll writes the Roll, or makes it. The loop waits for it, and doubts it
// where anything went wrong.
func (c *controller) putRoll(a plan.PutRoll, t *attempt) {
	sent := c.clock.read(c.now)
	var got *plan.Roll
	c.command(func() {
		have := ""
		if c.store.roll != nil {
			have = c.store.roll.Version
		}
		if have != a.Roll.Version {
			return
		}
		old := c.store.roll
		c.store.setRoll(a.Roll)
		got = c.store.roll
		c.rollWritten(c.name, old, got)
	}, func(ok bool) {
		c.reading = false
		if !ok || got == nil {
			c.doubtRoll()
			if ok {
				c.finish(t, conflict)
			} else {
				c.finish(t, failed)
			}
			return
		}
		c.read = sent
		c.readNext = c.now + readEvery
		c.takeRoll(got, sent)
		c.finish(t, done)
	})
}

func (c *controller) releaseRoll(a plan.ReleaseRoll, t *attempt) {
	released := false
	c.command(func() {
		if r := c.store.roll; r != nil && r.Version == a.Version && r.Deleting {
			c.store.roll = nil
			released = true
			c.judge.history.note(c.now)
			c.say(c.name, "lets go of the deleted Roll")
		}
	}, func(ok bool) {
		c.reading = false
		c.doubtRoll()
		if ok && released {
			c.finish(t, done)
		} else {
			c.finish(t, failed)
		}
	})
}

// rollWritten tells the judge, and those who wait for it, what is in the Roll
// now.
func (w *World) rollWritten(by string, old, r *plan.Roll) {
	if w.tells() {
		w.say(by, "writes the Roll: %s", rollInWords(r))
	}
	if old == nil || old.History != r.History {
		w.outcome.Counts.Histories++
		w.judge.history.note(w.now)
	}
	if old != nil {
		for _, e := range old.Entries {
			if stateOf(r, e.Fence) == roll.Unlisted {
				w.outcome.Counts.Dropped++
			}
		}
		if len(old.Epochs) != len(r.Epochs) {
			w.outcome.Counts.Epochs++
			w.moment(EpochChange, 0)
		}
	}
	for _, e := range r.Entries {
		if before := stateOf(old, e.Fence); before != e.State {
			w.judgeEntry(e, before)
			if e.State == roll.Suspected {
				w.moment(Suspected, nodeIndex(e.Node))
			} else {
				w.moment(Withheld, nodeIndex(e.Node))
			}
		}
	}
}

func stateOf(r *plan.Roll, fence string) roll.State {
	if r != nil {
		for i := range r.Entries {
			if r.Entries[i].Fence == fence {
				return r.Entries[i].State
			}
		}
	}
	return roll.Unlisted
}

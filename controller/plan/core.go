package plan

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// Config is what a core gets from outside.
type Config struct {
	// NewID returns an ID that was never used before, for a history.
	NewID func() string
}

// Core plans for the cluster. It is not safe for concurrent use, and lives as
// long as its leadership: a new leader starts with a new Core.
type Core struct {
	cfg     Config
	trials  map[string]*trial  // by fence ID
	planned timing.Instant     // when Plan was last called
	said    map[string]sayings // by node, so that each is said once
	making  map[string]timing.Instant
	over    map[string]timing.Instant // UID → since when a fence is known to have ended
	named   map[string]bool           // IDs of fences that this leader gave and has not yet seen listed
	history memory
	change  change
	stray   strays
	roster
	step step // the last one, whose space the next one uses
}

// sayings are what people were told of a node last: reason → message.
type sayings map[string]string

// New returns a core that has seen nothing yet.
func New(cfg Config) *Core {
	return &Core{
		cfg:    cfg,
		trials: make(map[string]*trial),
		said:   make(map[string]sayings),
		making: make(map[string]timing.Instant),
		named:  make(map[string]bool),
		over:   make(map[string]timing.Instant),
		stray:  make(strays),
		step: step{
			open: make(map[string]*Fence), byID: make(map[string]*Fence),
			overNow: make(map[string]timing.Instant), strayNow: make(strays),
		},
	}
}

// idle is how long Plan may stay uncalled when nothing changes.
const idle = time.Second

// Plan returns what to do now, and when to call it again at the latest. The
// world must have been read before now.
func (c *Core) Plan(now timing.Instant, w World) ([]Action, timing.Instant) {
	p := c.begin(now, w)
	c.noticeGap(p)
	c.planned = now
	if !p.readRoll() {
		return p.actions, p.wake
	}
	p.judge()
	for i := range p.w.Fences {
		p.fence(&p.w.Fences[i])
	}
	p.forget()
	p.suspect()
	p.orphans()
	p.epochs()
	p.guards()
	p.alert()
	p.writeRoll()
	return p.actions, p.wake
}

// begin makes a step of the world, which is the caller's and stays as it is.
func (c *Core) begin(now timing.Instant, w World) *step {
	p := &c.step
	clear(p.open)
	clear(p.byID)
	clear(p.overNow)
	clear(p.strayNow)
	w.Fences = append(p.w.Fences[:0], w.Fences...)
	*p = step{
		Core: c, now: now, wake: now.Add(idle), w: w,
		open: p.open, byID: p.byID, overNow: p.overNow, strayNow: p.strayNow, witnessed: p.witnessed,
	}
	c.call(&w)
	return p
}

// forget drops what was observed of fences that are gone.
func (p *step) forget() {
	p.over, p.overNow = p.overNow, p.over
	maps.DeleteFunc(p.trials, func(id string, _ *trial) bool { return p.byID[id] == nil })
	maps.DeleteFunc(p.named, func(id string, _ bool) bool { return p.byID[id] == nil })
}

// Saw takes the answer to a Look.
func (c *Core) Saw(_ timing.Instant, s Saw) {
	if t := c.trials[s.Fence]; t != nil {
		t.saw = &s
	}
}

// Surveyed takes the answer to a Survey.
func (c *Core) Surveyed(now timing.Instant, s Surveyed) {
	if t := c.trials[s.Fence]; t != nil {
		t.survey, t.counted = &s, now
	}
}

// noticeGap applies C10: whoever did not look for a while starts its waits
// again.
func (c *Core) noticeGap(p *step) {
	limit := max(3*time.Second, p.w.Policy.Profile.RollLife)
	if gap := c.planned.Age(p.now); !c.planned.IsZero() && gap > limit {
		for _, id := range slices.Sorted(maps.Keys(c.trials)) {
			t := c.trials[id]
			if t.counting || len(t.gate) > 0 {
				p.event(t.node, true, C10, "WaitRestarted",
					"the controller did not observe for %v: the wait of fence %s starts again", gap.Round(time.Millisecond), id)
			}
		}
		clear(c.trials)
	}
}

// A step is one call of Plan.
type step struct {
	*Core
	now     timing.Instant
	wake    timing.Instant
	w       World
	next    Roll              // the Roll as it should become
	open    map[string]*Fence // node → its open fence
	byID    map[string]*Fence // by the ID in the Roll; of several, the oldest that is open
	actions []Action

	overNow   map[string]timing.Instant // over, and stray, as they should become
	strayNow  strays
	witnessed []Peer // what witnesses returned
	dismissed bool   // an uninstall runs, and nobody needs anybody any more
}

func (p *step) do(a Action) { p.actions = append(p.actions, a) }

// wakeAt asks for a step at t. What is due already was done in this one, or
// waits for an answer, which brings a step of its own.
func (p *step) wakeAt(t timing.Instant) {
	if t.Elapsed(p.now) < 0 {
		p.wake = p.wake.Earlier(t)
	}
}

// writeRoll emits the one write of the Roll that this step asks for.
func (p *step) writeRoll() {
	if sameRoll(&p.next, p.w.Roll) {
		return
	}
	p.next.Serial = p.w.Roll.Serial + 1
	if p.next.History != p.w.Roll.History {
		p.next.Serial = max(p.next.Serial, p.highest()+1)
	}
	p.do(PutRoll{Roll: p.next})
}

func sameRoll(a, b *Roll) bool {
	return a.History == b.History && a.Broken == b.Broken && a.PollEvery == b.PollEvery &&
		slices.Equal(a.Entries, b.Entries) && slices.EqualFunc(a.Epochs, b.Epochs, func(x, y roll.Epoch) bool {
		return x.Number == y.Number && x.Retiring == y.Retiring && slices.Equal(x.Witnesses, y.Witnesses)
	})
}

// event tells people once, until the message changes or hush is called.
func (p *step) event(node string, warning bool, rule Rule, reason, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	if p.said[node][reason] == message {
		return
	}
	if p.said[node] == nil {
		p.said[node] = make(sayings)
	}
	p.said[node][reason] = message
	p.do(Event{Node: node, Warning: warning, Rule: rule, Reason: reason, Message: message})
}

// hush forgets what was said for these reasons, so that it can be said again.
func (p *step) hush(node string, reasons ...string) {
	said := p.said[node]
	for _, r := range reasons {
		delete(said, r)
	}
}

// setEntry lists the boot of a fence in the next Roll.
func (p *step) setEntry(st *FenceStatus, state roll.State) {
	e := roll.Entry{Node: st.Node, UID: st.NodeUID, Boot: st.Boot, Fence: st.Fence, State: state}
	for i := range p.next.Entries {
		if p.next.Entries[i].Boot == st.Boot {
			p.next.Entries[i] = e
			return
		}
	}
	p.next.Entries = append(p.next.Entries, e)
}

func (p *step) dropEntry(fence string) {
	p.next.Entries = slices.DeleteFunc(p.next.Entries, func(e roll.Entry) bool { return e.Fence == fence })
}

// entry returns what the present Roll holds under a fence's ID.
func (p *step) entry(fence string) roll.State {
	for _, e := range p.w.Roll.Entries {
		if e.Fence == fence {
			return e.State
		}
	}
	return roll.Unlisted
}

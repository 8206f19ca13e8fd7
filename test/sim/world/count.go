package world

import (
	"fmt"
	"strings"

	"github.com/picket-dev/picket/controller/plan"
)

// Agent's rules and controller's rules are A1 to A14 and C1 to C12.
const (
	agentRules      = 14
	controllerRules = 12
)

// Counts is what happened in one schedule, or in many.
type Counts struct {
	Rules      [2][agentRules + 1]int // by letter and number
	Events     int
	Plans      int
	Taints     int // out-of-service, by the controller
	Waited     int // of them after a wait, without a proof
	Resets     int
	Ungated    int // pings by a close
	Adopted    int // harder promises
	Refuted    int // writes of a refutation
	Withheld   int
	Dropped    int // entries that left the Roll
	Epochs     int // steps of a change of witnesses
	Histories  int
	LostWrites int // of agents
	Conflicts  int // of controllers
	Recovered  int // fences
}

// fired counts a rule by its number, such as "A5".
func (c *Counts) fired(rule string) {
	if len(rule) < 2 {
		return
	}
	letter := 0
	if rule[0] == 'C' {
		letter = 1
	}
	if n := number(rule[1:]); n <= agentRules {
		c.Rules[letter][n]++
	}
}

// Add adds d to c.
func (c *Counts) Add(d *Counts) {
	for l := range c.Rules {
		for n := range c.Rules[l] {
			c.Rules[l][n] += d.Rules[l][n]
		}
	}
	c.Events += d.Events
	c.Plans += d.Plans
	c.Taints += d.Taints
	c.Waited += d.Waited
	c.Resets += d.Resets
	c.Ungated += d.Ungated
	c.Adopted += d.Adopted
	c.Refuted += d.Refuted
	c.Withheld += d.Withheld
	c.Dropped += d.Dropped
	c.Epochs += d.Epochs
	c.Histories += d.Histories
	c.LostWrites += d.LostWrites
	c.Conflicts += d.Conflicts
	c.Recovered += d.Recovered
}

// Coverage returns how many rules fired, how many there are, and which did not.
func (c *Counts) Coverage() (fired, all int, silent []string) {
	for l, last := range []int{agentRules, controllerRules} {
		for n := 1; n <= last; n++ {
			all++
			if c.Rules[l][n] > 0 {
				fired++
			} else {
				silent = append(silent, fmt.Sprintf("%c%d", "AC"[l], n))
			}
		}
	}
	return fired, all, silent
}

// String returns the counts as name=value.
func (c *Counts) String() string {
	return fmt.Sprintf("events=%d plans=%d taints=%d waited=%d resets=%d withheld=%d refutations=%d adopted=%d dropped=%d recovered=%d "+
		"epochs=%d histories=%d ungated=%d lost_writes=%d conflicts=%d",
		c.Events, c.Plans, c.Taints, c.Waited, c.Resets, c.Withheld, c.Refuted, c.Adopted, c.Dropped, c.Recovered,
		c.Epochs, c.Histories, c.Ungated, c.LostWrites, c.Conflicts)
}

// notice counts an action that the planner asked for, and tells people's events.
func (c *controller) notice(a plan.Action) {
	switch a := a.(type) {
	case plan.Event:
		c.outcome.Counts.fired(string(a.Rule))
		c.judge.said[a.Node] = a.Reason
		c.say(c.name, "%s %s %s: %s", a.Rule, a.Node, a.Reason, a.Message)
	case plan.PutTaints, plan.PutRoll, plan.PutFence, plan.Look, plan.Survey, plan.PutGuard:
	default:
		if c.tells() {
			c.say(c.name, "does %T %+v", a, a)
		}
	}
}

func rollInWords(r *plan.Roll) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s serial %d", r.History, r.Serial)
	if r.Broken != "" {
		fmt.Fprintf(&b, " broken (%s)", r.Broken)
	}
	for _, e := range r.Epochs {
		fmt.Fprintf(&b, ", epoch %d %v", e.Number, e.Witnesses)
		if e.Retiring {
			b.WriteString(" retiring")
		}
	}
	for _, e := range r.Entries {
		fmt.Fprintf(&b, ", %s %v by %s", e.Boot, e.State, e.Fence)
	}
	return b.String()
}

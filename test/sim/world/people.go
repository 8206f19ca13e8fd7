package world

import (
	"slices"
	"time"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/roll"
)

// interfere lets a person, or another program, do something.
func (w *World) interfere(f Fault) {
	c := w.leads()
	switch f.Kind {
	case LeaderCrash:
		if c != nil {
			c.up = false
			w.after(f.For, func() { w.lead() })
		}
	case LeaderPause:
		if c != nil {
			w.pauseLeader(c, f.For)
		}
	case Rival:
		if c != nil {
			rival := w.elect()
			w.after(f.For, func() { rival.up = rival == w.leads() && w.healed })
		}
	case WatchBreaks:
		if c != nil {
			c.breakWatch(f)
		}
	case Retune, Observe, Exclude, PauseFencing:
		w.steer(f)
	case HumanFence, HumanDelete, HumanForce, Proof, FalseProof:
		w.human(f)
	case ForeignTaint, StripTaints, DeleteRoll, RestoreRoll, DeleteNode, Join:
		w.vandalize(f)
	default:
	}
}

// breakWatch breaks the watch of one kind of objects, or of all. When it is
// opened anew it lists them.
func (c *controller) breakWatch(f Fault) {
	for k := range c.blind {
		if f.Peer%4 < 3 && f.Peer%4 != k {
			continue
		}
		c.blind[k]++
		c.after(f.For, func() {
			c.blind[k] = max(0, c.blind[k]-1)
			c.attend(c.list)
		})
	}
}

// lead elects a controller where there is none.
func (w *World) lead() {
	if w.leads() == nil {
		w.elect()
	}
}

// pauseLeader stops a leader's process for a while. Another one is elected when
// its lease has run out; when it wakes it goes on with what it was about, until
// it notices.
func (w *World) pauseLeader(c *controller, d time.Duration) {
	c.pausedUntil = max(c.pausedUntil, w.now+d)
	lease := 2 * w.Profile.RollInterval
	if d <= lease {
		return
	}
	w.after(lease, func() {
		if c.up && c == w.leads() {
			w.elect()
		}
	})
	w.after(d+w.upTo(w.Profile.RollInterval), func() {
		if c != w.leads() {
			c.up = false
		}
	})
}

// steer changes the policy.
func (w *World) steer(f Fault) {
	p := &w.policy
	switch f.Kind {
	case Retune:
		t := p.Profile
		t.RollLife = pick(w.dice, w.Profile.RollLife+w.Profile.RollInterval, 2*w.Profile.RollLife, 2*w.Profile.RollLife)
		if w.judge.retuned != nil {
			t.RollLife = w.Profile.RollLife
		}
		t.RealTimeout = pick(w.dice, w.Profile.RealTimeout, 2*w.Profile.RealTimeout, w.Profile.RealTimeout*3/4)
		t.ShutdownTimeout = max(t.ShutdownTimeout, t.RealTimeout)
		if t.Validate() == nil {
			p.Profile = t
			w.judge.retuned = &t
			w.say("", "the policy wants L %v, κT ≤ %v", t.RollLife, t.RealTimeout)
		}
		for _, c := range w.controllers {
			c.urge()
		}
		return
	case Observe:
		p.Observe = true
		w.after(f.For, func() { w.policy.Observe = false })
	case PauseFencing:
		p.Paused = "a human's"
		w.after(f.For, func() { w.policy.Paused = "" })
	case Exclude:
		w.exclude(f.Node, true)
		w.after(f.For, func() { w.exclude(f.Node, false) })
	default:
	}
	for _, c := range w.controllers {
		c.urge()
	}
}

func (w *World) exclude(i int, is bool) {
	if o := w.store.nodes[i].value; o != nil && o.Excluded != is {
		n := *o
		n.Excluded = is
		w.setNode(i, n)
	}
}

// openFence returns the newest fence of a node that has not ended, or nil.
func (w *World) openFence(i int) (int, *plan.Fence) {
	for k, o := range slices.Backward(w.store.fences) {
		if f := o.value; f != nil && f.Node == w.machines[i].name && f.Status.Phase != plan.Recovered && f.Status.Phase != plan.Refuted {
			return k, f
		}
	}
	return -1, nil
}

// human is what people do to fences.
func (w *World) human(f Fault) {
	m := w.machines[f.Node]
	k, open := w.openFence(f.Node)
	switch f.Kind {
	case HumanFence:
		w.newFence(f.Node, plan.Requested)
	case HumanDelete:
		if open != nil && !open.Deleting {
			next := *open
			next.Deleting = true
			w.setFence(k, next)
		}
	case HumanForce:
		if open != nil {
			w.dropFence(k)
		}
	case Proof:
		if open == nil || open.Status.Boot == "" {
			return
		}
		if until, dead := m.writesUntil(open.Status.Boot); dead && until <= w.now {
			w.prove(k, *open)
		}
	case FalseProof:
		if open == nil {
			k = w.newFence(f.Node, plan.Requested)
			open = w.store.fences[k].value
		}
		boot := open.Status.Boot
		if boot == "" {
			boot = m.boot
		}
		w.judge.false[boot] = true
		next := *open
		next.Proof, next.ProofBy = boot, "a human who is wrong"
		w.setFence(k, next)
	default:
	}
}

func (w *World) prove(k int, f plan.Fence) {
	f.Proof, f.ProofBy = f.Status.Boot, "a human"
	w.setFence(k, f)
}

// takeBack lets humans see that they were wrong.
func (w *World) takeBack() {
	for k := range w.store.fences {
		if f := w.store.fences[k].value; f != nil && w.judge.false[f.Proof] {
			next := *f
			next.Proof, next.ProofBy = "", ""
			w.setFence(k, next)
		}
	}
}

// vandalize is what people and programs do to objects that are not theirs.
func (w *World) vandalize(f Fault) {
	o := w.store.nodes[f.Node].value
	switch f.Kind {
	case ForeignTaint:
		if o != nil && o.OutOfService == "" {
			n := *o
			n.Taints = append(slices.Clone(n.Taints), plan.Taint{Key: plan.OutOfServiceKey, Value: "nodeshutdown", Effect: "NoExecute"})
			w.setNode(f.Node, n)
			w.after(f.For, func() { w.strip(f.Node, func(t plan.Taint) bool { return t.Key == plan.OutOfServiceKey }) })
		}
	case StripTaints:
		w.strip(f.Node, func(plan.Taint) bool { return true })
	case DeleteRoll:
		if r := w.store.roll; r != nil && !r.Deleting {
			w.ail()
			w.judge.history.note(w.now)
			gone := *r
			gone.Deleting = true
			w.store.setRoll(gone)
		}
	case RestoreRoll:
		w.restoreRoll()
	case DeleteNode:
		if o != nil {
			w.judge.busy[f.Node].note(w.now)
			w.dropNode(f.Node)
		}
	case Join:
		for _, m := range w.machines[w.Nodes:] {
			if m.boots == 0 {
				m.power()
				return
			}
		}
	default:
	}
}

func (w *World) strip(i int, which func(plan.Taint) bool) {
	if o := w.store.nodes[i].value; o != nil && slices.ContainsFunc(o.Taints, which) {
		n := *o
		n.Taints = slices.DeleteFunc(slices.Clone(n.Taints), which)
		w.setNode(i, n)
	}
}

// restoreRoll puts an earlier Roll back, as from a backup.
func (w *World) restoreRoll() {
	if len(w.store.past) < 2 || w.store.roll == nil {
		return
	}
	old := *w.store.past[w.IntN(len(w.store.past)-1)]
	w.judge.history.note(w.now)
	for _, e := range old.Entries {
		if e.State == roll.Withheld {
			w.judge.condemned[e.Boot] = true // a human's doing
		}
	}
	w.store.setRoll(old)
	w.say("", "the Roll is again: %s", rollInWords(w.store.roll))
}

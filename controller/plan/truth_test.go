package plan_test

import (
	"slices"
	"time"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// truth is what a test knows beside the objects, to judge every write by.
type truth struct {
	past      map[string]*history      // by fence ID
	refuted   map[string]time.Duration // fence → when the refutation was stored
	serials   map[string]int64         // history/number/state → serial of the Roll that first showed it
	reach     reach
	lastRoll  plan.Roll // as last written by a controller
	rivals    bool      // several leaders plan at once
	restored  bool      // the Roll went back at least once
	withholds int
	looked    map[string][]time.Duration // node → when looks at it were sent
}

// A history is what became of a fence in the Roll.
type history struct {
	boot     string
	withheld time.Duration // when that was stored; 0: not
	gone     string        // the history in which it left the Roll
	reads    map[int]bool  // leaders that had seen it withheld
	looks    map[int]look  // leader → its first look sent after that
	covered  time.Duration // since when enough witnesses have acknowledged
	tainted  bool
}

type look struct {
	sent    time.Duration
	promise timing.Promise
}

func newTruth() truth {
	return truth{past: make(map[string]*history), refuted: make(map[string]time.Duration), serials: make(map[string]int64), looked: make(map[string][]time.Duration)}
}

func (c *cluster) history(id string) *history {
	h := c.past[id]
	if h == nil {
		h = &history{reads: make(map[int]bool), looks: make(map[int]look)}
		c.past[id] = h
	}
	return h
}

// byID returns the fence that carries the ID.
func (c *cluster) byID(id string) (plan.Fence, bool) {
	for _, f := range c.listFences() {
		if f.Status.Fence == id {
			return f, true
		}
	}
	return plan.Fence{}, false
}

// check judges a write just before it reaches the store. A write that will be
// refused is none.
func (c *cluster) check(l *leader, a plan.Action) {
	c.Helper()
	switch a := a.(type) {
	case plan.PutTaints:
		if c.nodes[a.Node].Version == a.Version {
			c.checkTaint(l, a)
		}
	case plan.PutRoll:
		if c.roll != nil && c.roll.Version == a.Roll.Version {
			c.checkRoll(l, *c.roll, a.Roll)
		}
	}
}

// checkTaint holds promise 1: an out-of-service taint is only ever added to a
// boot that can write no more, after W from a c of the leader that adds it.
func (c *cluster) checkTaint(l *leader, a plan.PutTaints) {
	c.Helper()
	n := c.nodes[a.Node]
	if a.OutOfService == "" || a.OutOfService == n.OutOfService {
		return
	}
	f, ok := c.byID(a.OutOfService)
	h := c.history(a.OutOfService)
	switch {
	case entryOf(c.roll, a.OutOfService) != roll.Withheld:
		c.Fatalf("out-of-service taint for %s, which the Roll does not withhold", a.OutOfService)
	case n.Boot != h.boot:
		c.Fatalf("out-of-service taint for %s: boot %s, the node runs %s", a.OutOfService, h.boot, n.Boot)
	}
	c.reach.Taints++
	h.tainted = true
	if ok && f.Proof == h.boot {
		return
	}
	if b := c.bootOf(h.boot); b != nil {
		if until := b.writesUntil(c.policy.Profile); until > c.now {
			c.Fatalf("out-of-service taint for %s at %v: boot %s can write until %v", a.OutOfService, c.now, h.boot, until)
		}
	}
	first, ok := h.looks[l.id]
	if !ok {
		c.Fatalf("out-of-service taint for %s by leader %d, which never looked after the withholding", a.OutOfService, l.id)
	}
	from := max(h.withheld, first.sent, h.covered)
	if w := timing.Wait(first.promise, c.policy.Profile); h.covered == 0 || c.now-from < w {
		c.Fatalf("out-of-service taint for %s %v after c could be read (covered %v): W is %v", a.OutOfService, c.now-from, h.covered, w)
	}
}

func (c *cluster) bootOf(id string) *boot {
	for _, m := range c.machines {
		if m.boot.id == id {
			return m.boot
		}
	}
	return nil // an earlier boot: it ended when the next one began
}

// checkRoll judges a write of the Roll.
func (c *cluster) checkRoll(l *leader, old, next plan.Roll) {
	c.Helper()
	if next.Serial != old.Serial+1 && (next.History == old.History || next.Serial <= old.Serial) {
		c.Fatalf("serial %d after %d", next.Serial, old.Serial)
	}
	for _, e := range old.Entries {
		if entryOf(&next, e.Fence) == roll.Unlisted && next.History == old.History {
			c.checkDrop(l, e)
		}
	}
	withheld := 0
	for _, e := range next.Entries {
		before := entryOf(&old, e.Fence)
		h := c.history(e.Fence)
		f, known := c.byID(e.Fence)
		decided := h.tainted || known && (f.Status.Phase == plan.Fenced || f.Status.Phase == plan.Detached)
		switch {
		case before == roll.Unlisted && h.gone != "" && !decided && !c.rivals:
			c.Fatalf("fence %s is listed again: it left the Roll under history %s", e.Fence, h.gone)
		case h.boot != "" && h.boot != e.Boot:
			c.Fatalf("fence %s is listed with boot %s and with %s", e.Fence, h.boot, e.Boot)
		}
		if e.State == roll.Withheld && before != roll.Withheld && !decided {
			c.checkWithhold(l, e, f)
		}
		if e.State == roll.Withheld && (!known || f.Status.Phase != plan.Detached) {
			withheld++
		}
	}
	if limit := max(1, len(c.machines)*c.policy.MaxWithheld/100); withheld > limit && withheld > c.withholds && !c.restored {
		c.Fatalf("%d nodes withheld at once, at most %d may be: %v", withheld, limit, next.Entries)
	}
	c.withholds = withheld
	c.checkEpochs(old, next)
}

// checkDrop holds: no entry leaves the Roll before its leader has seen the node
// without our taints, and never with an out-of-service taint of ours.
func (c *cluster) checkDrop(l *leader, e roll.Entry) {
	c.Helper()
	n, exists := c.nodes[e.Node]
	if !exists || e.State == roll.Suspected {
		return
	}
	if n.OutOfService == e.Fence && !c.rivals {
		c.Fatalf("fence %s leaves the Roll with its out-of-service taint on the node", e.Fence)
	}
	if n.Fence != e.Fence {
		return
	}
	if s, ok := l.looks[e.Fence]; !ok || s.saw.Node != nil && s.saw.Node.Fence == e.Fence {
		c.Fatalf("fence %s leaves the Roll with its quarantine on the node", e.Fence)
	}
}

// checkWithhold holds: a boot that has spoken is not withheld by a leader that
// looked afterwards.
func (c *cluster) checkWithhold(l *leader, e roll.Entry, f plan.Fence) {
	c.Helper()
	if f.Reason != plan.PeersLost || f.Proof != "" {
		return
	}
	s, ok := l.looks[e.Fence]
	if !ok {
		c.Fatalf("fence %s is withheld without a look", e.Fence)
	}
	if when := c.refuted[e.Fence]; when > 0 && when < s.sent {
		c.Fatalf("fence %s is withheld by a look that was sent after the boot refuted it", e.Fence)
	}
}

// checkEpochs holds PROTOCOL.md's order (i), (ii), (iii). Until it is noticed
// that the Roll went back, acknowledgements from before count, too; the history
// that then begins voids whatever they were good for.
func (c *cluster) checkEpochs(old, next plan.Roll) {
	c.Helper()
	if len(next.Epochs) > 2 {
		c.Fatalf("three epochs: %v", next.Epochs)
	}
	for _, e := range old.Epochs {
		i := slices.IndexFunc(next.Epochs, func(x roll.Epoch) bool { return x.Number == e.Number })
		switch {
		case i < 0:
			acked := c.acked(old, e, c.serials[epochKey(old, e)])
			if !e.Retiring || acked < e.Cover() && !c.restored {
				c.Fatalf("epoch %d removed with %d of %d acknowledgements", e.Number, acked, e.Cover())
			}
		case !slices.Equal(next.Epochs[i].Witnesses, e.Witnesses), e.Retiring && !next.Epochs[i].Retiring:
			c.Fatalf("epoch %v became %v", e, next.Epochs[i])
		case !e.Retiring && next.Epochs[i].Retiring:
			young := next.Epochs[len(next.Epochs)-1]
			acked := c.acked(old, young, c.serials[epochKey(old, young)])
			if len(next.Epochs) != 2 || acked < young.Quorum() && !c.restored {
				c.Fatalf("epoch %d retires too early: %v", e.Number, next.Epochs)
			}
		}
	}
}

// acked counts the witnesses of an epoch that have stored an acknowledgement of
// the serial, or that are fenced to the end.
func (c *cluster) acked(r plan.Roll, e roll.Epoch, serial int64) int {
	n := 0
	for _, w := range e.Witnesses {
		s := c.guards[w].Status
		f := c.openFence(w)
		dead := (f.Status.Phase == plan.Fenced || f.Status.Phase == plan.Detached) && f.Status.Boot == s.Boot
		if dead || s.History == r.History && s.Serial >= serial {
			n++
		}
	}
	return n
}

func (c *cluster) openFence(node string) plan.Fence {
	for _, f := range c.listFences() {
		if f.Status.Node == node && f.Status.Phase != plan.Recovered && f.Status.Phase != plan.Refuted {
			return f
		}
	}
	return plan.Fence{}
}

func epochKey(r plan.Roll, e roll.Epoch) string {
	state := "active"
	if e.Retiring {
		state = "retiring"
	}
	return r.History + "/" + string(rune('0'+e.Number%64)) + "/" + state
}

// committed notes a write that was stored.
func (c *cluster) committed(_ *leader, a plan.Action) {
	put, ok := a.(plan.PutRoll)
	if !ok {
		return
	}
	if put.Roll.History != c.lastRoll.History {
		c.reach.Histories++
	}
	for _, e := range c.lastRoll.Entries {
		if entryOf(c.roll, e.Fence) == roll.Unlisted {
			c.reach.Dropped++
			c.history(e.Fence).gone = put.Roll.History
		}
	}
	for _, e := range put.Roll.Entries {
		h := c.history(e.Fence)
		h.boot = e.Boot
		if e.State == roll.Withheld && h.withheld == 0 {
			c.reach.Withheld++
			h.withheld = c.now
		}
	}
	for _, e := range put.Roll.Epochs {
		if key := epochKey(put.Roll, e); c.serials[key] == 0 {
			c.reach.Epochs++
			c.serials[key] = put.Roll.Serial
		}
	}
	c.lastRoll = put.Roll
}

// observe notes what has become true of each withheld fence: since when it is
// covered, and each leader's first look after it saw the withholding.
func (c *cluster) observe() {
	if c.roll == nil {
		return
	}
	for _, e := range c.roll.Entries {
		h := c.history(e.Fence)
		if e.State != roll.Withheld || h.covered > 0 || len(c.roll.Epochs) == 0 {
			continue
		}
		covered := true
		for _, epoch := range c.roll.Epochs {
			n := 0
			for _, w := range epoch.Witnesses {
				s := c.guards[w].Status
				f := c.openFence(w)
				dead := f.Status.Phase == plan.Fenced || f.Status.Phase == plan.Detached
				if w != e.Node && (dead || s.History == c.roll.History && slices.Contains(s.Fences, e.Fence)) {
					n++
				}
			}
			covered = covered && n >= epoch.Cover()
		}
		if covered {
			h.covered = c.now
		}
	}
}

// sawWithheld notes that a leader plans on a Roll which withholds the fences.
func (c *cluster) sawWithheld(l *leader) {
	if l.fresh == nil {
		return
	}
	for _, e := range l.fresh.Entries {
		if e.State == roll.Withheld {
			c.history(e.Fence).reads[l.id] = true
		}
	}
}

// lookedAt notes a look that a leader sends.
func (c *cluster) lookedAt(l *leader, s plan.Saw) {
	if f, ok := c.byID(s.Fence); ok {
		c.looked[f.Status.Node] = append(c.looked[f.Status.Node], c.now)
	}
	h := c.history(s.Fence)
	if _, ok := h.looks[l.id]; ok || !h.reads[l.id] || s.Guard == nil {
		return
	}
	h.looks[l.id] = look{sent: c.now, promise: s.Guard.Status.Promise}
}

package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// The whole of a fence, from the power cut to the recovery, rule by rule and
// within its bound.
func TestC1toC8_PowerCut(t *testing.T) {
	for name, profile := range map[string]timing.Profile{"standard": timing.Standard(), "fast": timing.Fast()} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 5)
			c.policy.Profile = profile
			for _, m := range c.machines {
				m.promise(profile)
			}
			c.settle()
			cut := c.now
			c.cut("n2")
			c.until("n2", plan.Fenced, time.Minute)
			bound := timing.Failover(c.guards["n2"].Status.Promise, profile)
			if took := c.now - cut; took > bound+2*tick || took < bound-time.Second {
				t.Errorf("power cut to taint in %v, the bound is %v", took, bound)
			}
			c.until("n2", plan.Detached, 5*time.Second)
			c.run(10 * time.Second)
			c.reboot("n2")
			c.until("n2", plan.Recovered, 5*time.Second)
			c.run(20 * time.Second)
			want := []string{
				"C1 PeersLost n2",
				"fence n2 PeersLost",
				"roll n2=Suspected e1",
				"roll n2=Withheld e1",
				"C4 taints n2 NoSchedule",
				"silence n2",
				"C4 Quarantined n2",
				"C5 taints n2 NoSchedule NoExecute",
				"C5 taints n2 NoSchedule NoExecute OutOfService",
				"C5 Fenced n2",
				"delete db-n2",
				"C7 taints n2 NoSchedule NoExecute",
				"C7 Detached n2",
				"roll n2=Withheld e1 e2", // a dead witness is replaced
				"roll n2=Withheld e1-retiring e2",
				"roll n2=Withheld e2",
				"C8 taints n2",
				"roll e2",
				"C8 Recovered n2",
				"roll e2 e3", // and five nodes have five witnesses again
				"roll e2-retiring e3",
				"roll e3",
			}
			if d := cmp.Diff(want, c.script); d != "" {
				t.Error(d)
			}
			first := plan.Step{Rule: plan.C1, What: "reported lost by [n1 n3 n4 n5]"}
			if got := c.listFences()[0].Status.Steps[0]; got != first {
				t.Errorf("the timeline begins with %v, want %v", got, first)
			}
		})
	}
}

// ready returns a cluster in which everything is armed and quiet.
func ready(t *testing.T, n int) *cluster {
	t.Helper()
	c := newCluster(t, n)
	c.settle()
	return c
}

func (c *cluster) settle() {
	c.Helper()
	c.run(5 * time.Second)
	for _, m := range c.machines {
		if !c.guards[m.name].Status.Promise.Armed {
			c.Fatalf("%s is not armed", m.name)
		}
	}
	c.script = nil
}

// toWithheld cuts a node's power and waits until its boot is withheld.
func (c *cluster) toWithheld(node string) {
	c.Helper()
	c.cut(node)
	c.until(node, plan.Withheld, 20*time.Second)
}

// Another leader withheld the boot while this one was dropping the suspicion:
// its marks go before the entry does.
func TestC1_ARetreatLiftsMarksThatARivalSet(t *testing.T) {
	c := ready(t, 5)
	c.strand("n2")
	c.until("n2", plan.Suspected, 10*time.Second)
	c.agent(c.machine("n2")) // it refutes
	l := c.leader()
	l.sync()
	l.plan() // decides to drop the fence; the write is lost
	f := c.fenceOf("n2")
	r := *c.roll
	r.Roll = r.Clone()
	r.Entries[0].State = roll.Withheld
	r.Serial++
	r.Version = c.version()
	c.roll = &r
	n := c.nodes["n2"]
	n.Fence, n.Taints = f.Status.Fence, []plan.Taint{{Key: plan.QuarantineKey, Value: n.Boot, Effect: "NoSchedule"}}
	c.putNode(n)
	c.run(5 * time.Second) // checkDrop judges the order
	if len(c.roll.Entries) > 0 {
		t.Errorf("entries %v", c.roll.Entries)
	}
}

// A new leader whose caches are behind must not list again what has ended: a
// request that was taken back would reset a healthy node.
func TestC3_AnEndedRequestIsNotListedAgain(t *testing.T) {
	c := ready(t, 5)
	c.policy.Paused = "for a while"
	name := c.ask("n2", plan.Requested)
	c.run(time.Second)
	pending := c.fences[name]
	c.store.delete(name)
	c.run(2 * time.Second)
	c.policy.Paused = ""
	l := c.elect()
	for range 10 {
		c.now += 100 * time.Millisecond
		l.sync()
		l.world.names = []string{name}
		l.world.fences = map[string]plan.Fence{name: pending}
		for _, a := range l.plan() {
			l.act(a)
		}
	}
	if len(c.roll.Entries) > 0 {
		t.Errorf("listed: %v", c.roll.Entries)
	}
}

// A suspicion that falls because too few can tell says so; only one that the
// neighbours answer is said to be heard.
func TestC1_WhyASuspicionFalls(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*plan.GuardStatus)
		want   string
	}{
		"heard":   {func(s *plan.GuardStatus) { s.Lost = nil }, "its neighbours hear it again"},
		"abstain": {func(s *plan.GuardStatus) { s.Lost, s.PeersLost = nil, true }, "too few of its neighbours can tell: 0 report it lost, 0 do not, 4 have no say"},
	} {
		t.Run(name, func(t *testing.T) {
			c := ready(t, 5)
			c.cut("n2")
			c.until("n2", plan.Suspected, 10*time.Second)
			l := c.leader()
			for range 4 {
				c.now += tick
				l.sync()
				for _, n := range []string{"n1", "n3", "n4", "n5"} {
					g := l.world.guards[n]
					tt.change(&g.Status)
					l.world.guards[n] = g
				}
				for _, a := range l.plan() {
					l.act(a)
				}
			}
			st := c.listFences()[0].Status
			if got := st.Steps[len(st.Steps)-1].What; st.Phase != plan.Refuted || got != tt.want {
				t.Errorf("%s: %q", st.Phase, got)
			}
		})
	}
}
